//! What can be typed to get into an instance: `pilot ws exec`, `ssh` and `ssh-config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::time;

pub const EXEC_EXAMPLES: &str = "\
Examples:
  pilot ws exec demo -- git -C workspace status --short
  pilot ws exec demo -- sh -c 'ps aux | grep opencode'       a shell, where one is needed
  pilot ws exec demo --timeout 5m -- make -C workspace test
  pilot ws exec demo --json -- cat workspace/logo.png | jq -r '.stdoutBase64 // empty'
  pilot ws exec demo -- sh -c 'nohup make > make.log 2>&1 &' goes on when the command has ended

It runs as the instance's user, in the home, without a terminal and without input: what is at stdin is not read, and \
`pilot ws ssh NAME -- COMMAND` passes it on. Its exit code is that of this command; where Pilot itself fails, an error on \
stderr says so. When its time is over it is ended, what it wrote is shown, and the exit code is 124; with Ctrl-C it is ended, \
too. It is never run twice by itself: after an error that says that it may have run, look first. Of each stream 1 MiB is kept. \
For a terminal, files and ports: `pilot ws ssh NAME`.";

#[derive(Debug, clap::Args)]
pub struct Exec {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// How long it may run before it is ended, 1s to 5m; Fly allows 30s
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = time::command)]
    pub timeout: Duration,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub const SSH_EXAMPLES: &str = "\
Examples:
  pilot ws ssh demo                                 a shell in its home
  pilot ws ssh demo -- git -C workspace status      a command, which a shell there reads
  pilot ws ssh demo -- -L 8080:localhost:8080 -N    its port 8080 as this machine's, until Ctrl-C
  tar c src | pilot ws ssh demo -- tar x -C workspace
  pilot ws ssh-config --write                       then: ssh demo.pilot, scp, sftp, rsync, VS Code

What is after `--` goes to `ssh` behind the host's name: options of ssh, or a command. The exit code is the command's own, \
or 255 with words on stderr for all that keeps Pilot or ssh from running it: Pilot's other exit codes are not used here. No port \
is opened: the connection goes through the gateway, with this command's token, and the instance's key is told by the server.";

#[derive(Debug, clap::Args)]
pub struct Ssh {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// For ssh itself, as its ProxyCommand: carry one connection between stdin, stdout and the instance
    #[arg(long, hide = true)]
    pub stdio: bool,
    /// Where ssh reads by which key the instance is known
    #[arg(long, hide = true, requires = "stdio", value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// A command for the instance, or more options of ssh
    #[arg(last = true, value_name = "COMMAND")]
    pub rest: Vec<OsString>,
}

pub const SSH_CONFIG_EXAMPLES: &str = "\
Examples:
  pilot ws ssh-config                      print the entries
  pilot ws ssh-config --write              keep them, and let ~/.ssh/config include them
  ssh demo.pilot                           and scp, sftp, rsync
  code --remote ssh-remote+demo.pilot /home/pilot/workspace

Run it again when there is a new workspace. Which server, which context and which token file they are for is kept in them.";

#[derive(Debug, clap::Args)]
pub struct SshConfig {
    /// Keep the entries beside contexts.json, and let ssh's configuration include them; nothing else in it is changed
    #[arg(long)]
    pub write: bool,
    /// What is behind the names of workspaces; give each of several servers one of its own
    #[arg(long, default_value = "pilot", value_name = "NAME", value_parser = suffix)]
    pub suffix: String,
    /// ssh's configuration [default: ~/.ssh/config]
    #[arg(long, requires = "write", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// A part of a host's name, without what has a meaning for ssh.
fn suffix(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = (1..=63).contains(&text.len()) && text.bytes().all(is_plain);
    let is_name = is_name && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    is_name
        .then(|| text.to_owned())
        .ok_or("write 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit")
}
