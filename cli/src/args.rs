//! What can be typed. The help texts teach by example; values are checked here and nowhere else.

mod backup;
mod connection;
mod context;
mod database;
mod image;
mod op;
mod provider;
mod rollout;
mod serve;
mod snapshot;
mod stack;
mod time;
mod usage;
mod ws;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use contracts::network::PortRange;

use crate::contexts;

pub use backup::{Backup, BackupCommand, Store, StoreCommand};
pub use connection::Connection;
pub use context::{Context, ContextCommand, Login};
use database::Address;
pub use image::{Image, ImageCommand, Push};
pub use op::{Op, OpCommand};
pub use provider::{Provider, ProviderCommand};
pub use rollout::{Rollout, RolloutCommand};
pub use serve::{LogFormat, Repair, Role, Serve};
pub use snapshot::{Fork, Named, SnapshotCommand};
pub use stack::{Stack, StackCommand};
pub use usage::Usage;
pub use ws::{
    Change, Create, Exec, Goal, List, Logs, Remove, Several, Ssh, SshConfig, Update, Wait, Ws, WsCommand,
};

const EXAMPLES: &str = "\
Examples:
  pilot serve                         run Pilot on this machine
  pilot ws create demo                make a workspace and wait until it is ready
  pilot ws create api --provider docker --git https://host/team/api.git --ref main
  pilot ws open demo                  print a link that logs a browser in
  pilot ws ls --json                  the same data for programs
  pilot ws wait demo --timeout 300    wait until it is ready, in a script
  pilot stack export demo --out ./demo-stack   the workspace as a Pulumi project
  pilot backup create a.backup --key-file pilot.key
  pilot explain workspace_not_ready   what an error means and what to do

Which server:
  1. --server or PILOT_SERVER
  2. --context or PILOT_CONTEXT
  3. that of the data folder, if it runs or the folder was named (--data, PILOT_DATA)
  4. that of the current context (`pilot login`, `pilot context use`)
`pilot ws --help` has all options for it.

Exit codes:
  0    done
  1    the operation failed, or the answer is no
  2    wrong usage
  3    not found
  4    conflict, or busy
  5    not authorized, or forbidden
  6    unreachable, or timed out: the same command may succeed later
  7    the request was refused
  130  interrupted";

/// Options that every command has come after the command's own.
const GLOBAL: usize = 500;

/// Pilot runs coding workspaces: isolated instances with an agent, made from Pulumi stacks.
#[derive(Debug, Parser)]
#[command(name = "pilot", version, after_help = EXAMPLES, propagate_version = true)]
pub struct Args {
    /// Write JSON to stdout, one document for each line; errors are problem documents
    #[arg(long, global = true, display_order = GLOBAL)]
    pub json: bool,
    /// The data folder: state, secrets, and where the server listens [default: ~/.local/share/pilot]
    #[arg(long, global = true, env = "PILOT_DATA", value_name = "DIR", display_order = GLOBAL)]
    data: Option<PathBuf>,
    /// The folder of contexts.json, which `pilot login` writes [default: ~/.config/pilot]
    #[arg(long, global = true, env = "PILOT_CONFIG", value_name = "DIR", display_order = GLOBAL)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// As it was typed. Help that was asked for is an error, too.
    pub fn read() -> Result<Self, clap::Error> {
        Self::of(std::env::args_os())
    }

    fn of(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let read = Self::parser().try_get_matches_from(line).map_err(connection::without_token);
        read.and_then(|matches| Self::from_arg_matches(&matches)?.sound())
            .map_err(|error| error.format(&mut Self::parser()))
    }

    /// The command line as it is read. Clap's own usage in an error has also what was said beside, on the line or in a variable, as
    /// if a command needed it; here it is the same as in the command's help.
    fn parser() -> clap::Command {
        let mut command = Self::command();
        command.build();
        with_usage(command)
    }

    /// What parts of the command line say of each other.
    fn sound(self) -> Result<Self, clap::Error> {
        if let Command::Ws(Ws { command: WsCommand::Create(create), .. }) = &self.command
            && let Some(name) = create.repeated_label()
        {
            let detail = format!("the label {name} is given twice; a workspace has one value of each");
            return Err(Self::command().error(ErrorKind::ArgumentConflict, detail));
        }
        Ok(self)
    }

    pub fn folders(&self) -> Folders {
        let named = |folder: &Option<PathBuf>| folder.clone().filter(|folder| !folder.as_os_str().is_empty());
        let data = named(&self.data);
        let data_is_named = data.is_some();
        let data = data.unwrap_or_else(orchestrator::data::default_data_folder);
        // The programs that the server starts have working directories of their own.
        let data = std::path::absolute(&data).unwrap_or(data);
        let config = named(&self.config).unwrap_or_else(contexts::default_folder);
        Folders { data, data_is_named, config }
    }
}

/// Each command's usage is that of its help, also in an error.
fn with_usage(mut command: clap::Command) -> clap::Command {
    // The first word is the heading, which is written before it.
    let usage = command.render_usage().ansi().to_string();
    let usage = usage.split_once(' ').map(|(_, usage)| usage.to_owned()).unwrap_or_default();
    command.override_usage(usage).mut_subcommands(with_usage)
}

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Folders {
    pub data: PathBuf,
    /// Somebody has said which, so that it is this folder's server that is meant and no other.
    pub data_is_named: bool,
    pub config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the orchestrator and the gateway until SIGINT or SIGTERM
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Create, list, start, stop, open and delete workspaces
    Ws(Ws),
    /// Look at operations: every accepted change is one
    Op(Op),
    /// Move all workspaces of a provider to another image, a few at a time
    #[command(after_help = ROLLOUT_EXAMPLES)]
    Rollout(Rollout),
    /// The Pulumi stack behind a workspace
    Stack(Stack),
    /// How long instances ran, for whom
    #[command(after_help = USAGE_EXAMPLES)]
    Usage(Usage),
    /// Where workspaces can run
    Provider(Provider),
    /// What instances are made from: bring an image to a provider
    Image(Image),
    /// Keep a server's URL and token under a name, for every later command
    Login(Login),
    /// The servers that `pilot login` has stored
    Context(Context),
    /// Back up an installation, check a backup, restore it
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(Backup),
    /// Move the store from the data folder to a PostgreSQL
    #[command(after_help = STORE_EXAMPLES)]
    Store(Store),
    /// Check this machine: tools, ports, data folder, server
    Doctor(Doctor),
    /// Print a script that completes commands and options in your shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion(Completion),
    /// Explain an error code; without a code list them all
    Explain(Explain),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  pilot serve
  pilot serve --provider docker --data /srv/pilot
  PILOT_LOG=debug PILOT_LOG_FORMAT=json pilot serve

The `local` provider runs workspaces as processes of your own account, without isolation. It is only \
served on loopback addresses unless you pass --unsafe-expose-local.";

const ROLLOUT_EXAMPLES: &str = "\
Examples:
  pilot rollout                                        all get the image of new workspaces
  pilot rollout --image pilot-instance:0.2.0 --at-once 5
  pilot rollout show ro-0199c2f3a4b57c6d8e9f0a1b2c3d4e5f
  pilot rollout back ro-0199c2f3a4b57c6d8e9f0a1b2c3d4e5f

It stops at the first workspace that does not become ready. Files stay, and what is stopped stays stopped. \
Running instances boot anew, one batch after the other.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  (umask 077; head -c 32 /dev/urandom | base64 > ~/pilot.key)      once; keep it apart from the backups
  export PILOT_BACKUP_KEY_FILE=~/pilot.key
  pilot backup create /backups/pilot-$(date +%F).backup
  pilot backup verify /backups/pilot-2026-11-29.backup
  pilot --data /srv/pilot backup restore /backups/pilot-2026-11-29.backup
  PILOT_DATABASE=postgres://pilot:PASSWORD@db/pilot pilot backup create /backups/pilot.backup

Homes of workspaces are not in a backup. Without its key nobody can read one.";

const USAGE_EXAMPLES: &str = "\
Examples:
  pilot usage --from 2026-11-01 --to 2026-12-01
  pilot usage --owner ada --json | jq '[.usage[].seconds] | add / 3600'

An instance runs from its boot until it is stopped, suspended or deleted. What was before and after the interval does not \
count; what still runs has run until now.";

const STORE_EXAMPLES: &str = "\
Examples, with the server stopped and the database empty:
  PILOT_DATABASE=postgres://pilot:PASSWORD@db/pilot pilot store migrate
  PILOT_DATABASE=postgres://pilot:PASSWORD@db/pilot pilot serve --role orchestrator
  PILOT_DATABASE=postgres://pilot:PASSWORD@db/pilot pilot store migrate --undo
                                     back to the data folder, as it was when it moved";

/// What the provider modules are made from, beside the variables that `pilot provider ls` names.
#[derive(Debug, Clone, clap::Args)]
pub struct Providing {
    /// Ports for `local` instances, such as 20000-20099 [default: 14300-14999]
    #[arg(long, value_name = "FIRST-LAST")]
    pub instance_ports: Option<PortRange>,
    /// The Docker engine for the `docker` provider [default: the one that `docker` asks]
    #[arg(long, env = "PILOT_DOCKER_HOST", value_name = "HOST")]
    pub docker_host: Option<String>,
    /// The image of `docker` instances [default: pilot-instance with this version's tag]
    #[arg(long, env = "PILOT_IMAGE", value_name = "IMAGE")]
    pub image: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub providing: Providing,
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  pilot completion bash > ~/.local/share/bash-completion/completions/pilot
  pilot completion zsh > ~/.zfunc/_pilot          # ~/.zshrc: fpath+=~/.zfunc, before compinit
  pilot completion fish > ~/.config/fish/completions/pilot.fish

For this shell alone: source <(pilot completion bash)";

#[derive(Debug, clap::Args)]
pub struct Completion {
    /// Which one
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, clap::Args)]
pub struct Explain {
    /// As an error shows it, such as `workspace_not_ready`
    pub code: Option<String>,
}

/// One of a type's values by its name in JSON; help, errors and completion list them all.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(all.iter().map(move |value| name(*value)));
    names.try_map(move |text| all.iter().copied().find(|value| name(*value) == text).ok_or("no such value"))
}

#[cfg(test)]
mod tests;
