//! What can be asked about operations.

use clap::Subcommand;
use contracts::operation::OperationState;

use super::{Connection, one_of};

#[derive(Debug, clap::Args)]
pub struct Op {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: OpCommand,
}

#[derive(Debug, Subcommand)]
pub enum OpCommand {
    /// List operations, the newest first
    Ls {
        /// Only those of this workspace
        #[arg(long, short, value_name = "SLUG")]
        workspace: Option<String>,
        /// Only those in this state
        #[arg(long, short, value_parser = one_of(&OperationState::ALL, OperationState::as_str))]
        state: Option<OperationState>,
        /// How many at most
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
    },
    /// Ask an operation to end, in whatever phase it is; what was desired before it is desired again
    ///
    /// What an update had changed when it ended stays: its error says how to go back. What a purge has begun is not taken back.
    Cancel {
        /// As `pilot op ls` shows it
        id: String,
        /// Return as soon as the request is accepted
        #[arg(long)]
        no_wait: bool,
    },
    /// Show one operation
    Get {
        /// As `pilot ws get` and `--no-wait` show it
        id: String,
    },
    /// Follow an operation to its end, from its beginning
    Watch {
        /// As `pilot ws get` and `--no-wait` show it
        id: String,
    },
}
