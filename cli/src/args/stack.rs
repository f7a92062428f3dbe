//! What can be typed after `pilot stack`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Change, Connection};

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
    /// Put a state that somebody has in the place of the stack's own, which is kept
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// A file that `pulumi stack export` has written; `-` is what a pipe says
        #[arg(long, value_name = "FILE", default_value = "-")]
        from: PathBuf,
    },
    /// Show what `pilot stack apply` would change: how what is really there differs from the stack; changes nothing
    Diff {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// Exit with 1 when something differs
        #[arg(long)]
        exit_code: bool,
    },
    /// Make what is really there as the stack says: repairs what `pilot stack diff` shows, and waits
    Apply(Change),
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

const IMPORT_EXAMPLES: &str = "\
Examples:
  pilot stack export demo --out ./demo-stack
  (cd demo-stack && . ./env.sh && pulumi stack export) > demo.state
  pilot stack import demo --from demo.state
  pilot stack diff demo                  how what is really there differs from it

It is refused while an operation of the workspace is under way, and when it is not a state of this workspace.";
