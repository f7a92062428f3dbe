//! What can be typed after `pilot provider`.

use clap::Subcommand;

use super::Connection;

#[derive(Debug, clap::Args)]
pub struct Provider {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: ProviderCommand,
}

#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// List the providers with their sizes and what isolates their workspaces
    Ls,
    /// Prove that a provider keeps the promises that every provider makes; needs no server
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Its name, as `pilot provider ls` shows it
        name: String,
        /// Only the promises whose names have this text in them
        #[arg(long, value_name = "PATTERN", default_value = "", hide_default_value = true)]
        case: String,
    },
    /// Remove what all workspaces of a provider share, once none is left; the next create makes it again
    #[command(after_help = TEARDOWN_EXAMPLES)]
    Teardown {
        /// Its name, as `pilot provider ls` shows it
        name: String,
        /// Return as soon as the request is accepted
        #[arg(long)]
        no_wait: bool,
    },
    /// Begin a new provider: run this in a checkout of Pilot's repository
    #[command(after_help = NEW_EXAMPLES)]
    New {
        /// Its name: a-z, 0-9 and '-', beginning with a letter
        name: String,
    },
}

const CHECK_EXAMPLES: &str = "\
Examples:
  pilot provider check fake                      in memory, in seconds
  pilot provider check local --case suspend
  pilot provider check docker --json             one document for each promise

Each promise is proved in a world of its own, which is removed afterwards. What a provider does not offer \
is `not applicable`. Exit code 1 when a promise is broken.";

const TEARDOWN_EXAMPLES: &str = "\
Examples:
  pilot provider teardown cloudflare     deletes the Worker and the container application

Providers whose workspaces share nothing have nothing to remove.";

const NEW_EXAMPLES: &str = "\
Examples:
  pilot provider new my-cloud     writes providers/my-cloud, and adds it to the workspace and the wiring
  cargo test -p provider-my-cloud

docs/adding-a-provider.md tells what comes then.";
