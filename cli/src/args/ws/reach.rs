//! What can be typed to get into an instance: `pilot ws exec`.

use std::time::Duration;

use super::time;

pub const EXEC_EXAMPLES: &str = "\
Examples:
  pilot ws exec demo -- git -C workspace status --short
  pilot ws exec demo -- sh -c 'ps aux | grep opencode'       a shell, where one is needed
  pilot ws exec demo --timeout 5m -- make -C workspace test
  pilot ws exec demo --json -- cat workspace/logo.png | jq -r '.stdoutBase64 // empty'
  pilot ws exec demo -- sh -c 'nohup make > make.log 2>&1 &' goes on when the command has ended

It runs as the instance's user, in the home, without a terminal and without input. Its exit code is that of this command;
where Pilot itself fails, an error on stderr says so. It is never run twice by itself: after an error that says that it may
have run, look first. Of each stream 1 MiB is kept.";

#[derive(Debug, clap::Args)]
pub struct Exec {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// How long it may run before it is ended, at most 5m; Fly allows 30s
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = time::grace)]
    pub timeout: Duration,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
