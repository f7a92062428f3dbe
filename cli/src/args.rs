//! What can be typed. The help texts teach by example; values are checked here and nowhere else.

mod op;
mod provider;
mod serve;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use contracts::network::PortRange;
use url::Url;

pub use op::{Op, OpCommand};
pub use provider::{Provider, ProviderCommand};
pub use serve::{LogFormat, Repair, Role, Serve};

const EXAMPLES: &str = "\
Examples:
  pilot serve                         run Pilot on this machine
  pilot ws create demo                make a workspace and wait until it is ready
  pilot ws create api --provider docker --git https://host/team/api.git --ref main
  pilot ws open demo                  print a link that logs a browser in
  pilot ws ls --json                  the same data for programs
  pilot stack export demo --out ./demo-stack   the workspace as a Pulumi project
  pilot explain workspace_not_ready   what an error means and what to do

Exit codes: 0 done, 1 failed (the reason is printed), 2 wrong usage, 130 interrupted.";

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
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    pub fn data_folder(&self) -> PathBuf {
        let named = self.data.clone().filter(|folder| !folder.as_os_str().is_empty());
        let folder = named.unwrap_or_else(orchestrator::data::default_data_folder);
        // The programs that the server starts have working directories of their own.
        std::path::absolute(&folder).unwrap_or(folder)
    }
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
    /// The Pulumi stack behind a workspace
    Stack(Stack),
    /// Where workspaces can run
    Provider(Provider),
    /// Check this machine: tools, ports, data folder, server
    Doctor(Doctor),
    /// Explain an error code; without a code list them all
    Explain(Explain),
}

/// How to reach a running Pilot.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct Connection {
    /// The orchestrator [default: where the server of the data folder listens, else http://127.0.0.1:14010]
    #[arg(long, global = true, env = "PILOT_SERVER", value_name = "URL")]
    pub server: Option<Url>,
    /// The gateway [default: as for --server, else http://127.0.0.1:14080]
    #[arg(long, global = true, env = "PILOT_GATEWAY", value_name = "URL")]
    pub gateway: Option<Url>,
    /// The admin token [default: read from secrets/admin-token of the data folder]
    #[arg(long, global = true, env = "PILOT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  pilot serve
  pilot serve --provider docker --data /srv/pilot
  PILOT_LOG=debug PILOT_LOG_FORMAT=json pilot serve

The `local` provider runs workspaces as processes of your own account, without isolation. It is only
served on loopback addresses unless you pass --unsafe-expose-local.";

/// What the provider modules are made from, beside the variables that `pilot provider ls` names.
#[derive(Debug, Clone, clap::Args)]
pub struct Providing {
    /// Ports for `local` instances, such as 20000-20099 [default: 14300-14999]
    #[arg(long, value_name = "FIRST-LAST")]
    pub instance_ports: Option<PortRange>,
    /// The Docker engine for the `docker` provider [default: the local socket]
    #[arg(long, env = "DOCKER_HOST", value_name = "HOST")]
    pub docker_host: Option<String>,
    /// The image of `docker` instances [default: pilot-instance with this version's tag]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Ws {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: WsCommand,
}

#[derive(Debug, Subcommand)]
pub enum WsCommand {
    /// Create a workspace and wait until it is ready
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List the workspaces
    #[command(visible_alias = "list")]
    Ls {
        /// Fail when there is any, for scripts that remove Pilot
        #[arg(long)]
        expect_none: bool,
    },
    /// Show one workspace
    Get {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
    },
    /// Start a stopped workspace and wait until it is ready
    Start(Change),
    /// Stop a workspace; its files and sessions stay
    Stop(Change),
    /// Suspend a workspace: it goes on where it was (`pilot provider ls` shows which providers can)
    Suspend(Change),
    /// Resume a suspended workspace and wait until it answers
    Resume(Change),
    /// Delete a workspace with its files
    #[command(visible_alias = "delete")]
    Rm(Remove),
    /// Show the end of an instance's log
    Logs {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// How much of the end, in bytes
        #[arg(long, default_value_t = 64 * 1024, value_name = "N")]
        bytes: u64,
    },
    /// Print a fresh link that logs one browser in; it works once, for ten minutes
    Open {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// Open it in this machine's browser too (on a terminal)
        #[arg(long)]
        browser: bool,
    },
}

const CREATE_EXAMPLES: &str = "\
Examples:
  pilot ws create demo
  pilot ws create demo --plan            show what would be made, and make nothing
  pilot ws create api --git https://host/team/api.git --ref main
  pilot ws create big --provider docker --size large --no-wait";

#[derive(Debug, clap::Args)]
pub struct Create {
    /// Its name and host name: a-z, 0-9 and '-', beginning with a letter
    pub slug: String,
    /// Where it runs; `pilot provider ls` shows the choices [default: the server's]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// One of the provider's sizes [default: the provider's first]
    #[arg(long, value_name = "NAME")]
    pub size: Option<String>,
    /// One of the provider's regions [default: the provider's first]
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
    /// A git repository to clone into it
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
    /// The branch or tag to clone
    #[arg(long = "ref", value_name = "REF", requires = "git")]
    pub reference: Option<String>,
    /// Return as soon as the request is accepted
    #[arg(long, conflicts_with = "plan")]
    pub no_wait: bool,
    /// Only show the plan
    #[arg(long)]
    pub plan: bool,
}

#[derive(Debug, clap::Args)]
pub struct Change {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct Remove {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
    /// Do not ask; a program, which cannot be asked, must say so
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct Stack {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: StackCommand,
}

#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Write the workspace's stack as a Pulumi YAML project, ready for `pulumi preview`
    Export {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// A new or empty folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Write into a folder that has files, over those of the same name
        #[arg(long)]
        force: bool,
    },
    /// Compare the workspace's stack with what is really there, and change nothing
    Diff {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// Exit with 1 when something differs
        #[arg(long)]
        exit_code: bool,
    },
    /// Show which good copy of a damaged state there is, and with --yes put it in its place
    ///
    /// A state that cannot be read stops every change of its workspace with `state_corrupt`. The copies are the backup
    /// beside the state, the last journal and the history. The damaged file is kept.
    Repair {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// Put the copy in its place
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub providing: Providing,
}

#[derive(Debug, clap::Args)]
pub struct Explain {
    /// As an error shows it, such as `workspace_not_ready`
    pub code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn connection_flags_stand_anywhere_after_the_noun() {
        for line in ["pilot ws --server http://a:1 ls", "pilot ws ls --server http://a:1 --json"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            let Command::Ws(ws) = args.command else { panic!("{line}") };
            assert_eq!(ws.connection.server.unwrap().as_str(), "http://a:1/");
        }
    }

    #[test]
    fn serve_takes_addresses_under_short_names_as_well() {
        let line = "pilot serve --gateway 127.0.0.1:1 --orchestrator 127.0.0.1:2 --admin 127.0.0.1:3";
        let Command::Serve(serve) = Args::try_parse_from(line.split(' ')).unwrap().command else { panic!() };
        let given = [serve.listen_gateway, serve.listen_orchestrator, serve.listen_admin];
        assert_eq!(given.map(|address| address.unwrap().port()), [1, 2, 3]);
    }

    #[test]
    fn contradicting_flags_are_wrong_usage() {
        for line in [
            "pilot ws create a --plan --no-wait",
            "pilot ws create a --ref main",
            "pilot serve --ready-timeout 0",
            "pilot serve --instance-ports 9-1",
            "pilot serve --log a=b=c",
        ] {
            let error = Args::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
