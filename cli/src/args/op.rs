//! What can be asked about operations.

use clap::Subcommand;
use contracts::operation::OperationState;

use super::Connection;

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
        /// Only those in this state: queued, running, succeeded, failed or canceled
        #[arg(long, short, value_parser = state)]
        state: Option<OperationState>,
        /// How many at most
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
    },
    /// Ask an operation to end, in whatever phase it is; what was desired before it is desired again
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

fn state(text: &str) -> Result<OperationState, String> {
    let known = OperationState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| {
        let names: Vec<_> = OperationState::ALL.iter().map(|state| state.as_str()).collect();
        format!("use one of: {}", names.join(", "))
    })
}
