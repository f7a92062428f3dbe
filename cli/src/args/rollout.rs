//! What can be typed after `pilot rollout`.

use clap::Subcommand;

use super::Connection;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Rollout {
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub start: Start,
    #[command(subcommand)]
    pub command: Option<RolloutCommand>,
}

#[derive(Debug, clap::Args)]
pub struct Start {
    /// The image that all workspaces of the provider get [default: that of new workspaces]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// The provider whose workspaces are moved [default: the installation's]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// How many are moved at a time [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub at_once: Option<u32>,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// List rollouts, the newest first
    #[command(visible_alias = "list")]
    Ls,
    /// Show a rollout and how far each workspace is
    Show {
        /// As `pilot rollout ls` shows it
        id: String,
    },
    /// Follow a rollout to its end
    Watch {
        /// As `pilot rollout ls` shows it
        id: String,
    },
    /// Begin no more of a rollout; what is under way comes to its end
    Stop {
        /// As `pilot rollout ls` shows it
        id: String,
    },
    /// Give all that a rollout has moved the image that they had before, and wait
    Back {
        /// As `pilot rollout ls` shows it
        id: String,
        /// Return as soon as the request is accepted
        #[arg(long)]
        no_wait: bool,
    },
}
