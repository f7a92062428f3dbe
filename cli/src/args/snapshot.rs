//! What can be typed after `pilot ws snapshot` and `pilot ws fork`.

use clap::Subcommand;

use super::ws::label;

#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Take a snapshot of a workspace's files and sessions, and wait until it is whole
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// Your own words for it: 1 to 64 characters
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Return as soon as the request is accepted
        #[arg(long)]
        no_wait: bool,
    },
    /// List the snapshots of a workspace, the newest first
    #[command(visible_alias = "list")]
    Ls {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
    },
    /// Bring the files of a snapshot back; a snapshot of what is there is taken first, so that nothing is lost
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(Named),
    /// Remove a snapshot; the workspace and forks of the snapshot stay as they are
    #[command(visible_alias = "delete")]
    Rm(Named),
}

#[derive(Debug, clap::Args)]
pub struct Named {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// The snapshot, as `pilot ws snapshot ls` shows it
    pub id: String,
    /// Do not ask; a program, which cannot be asked, must say so
    #[arg(long, short)]
    pub yes: bool,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
}

const CREATE_EXAMPLES: &str = "\
Examples:
  pilot ws snapshot create demo
  pilot ws snapshot create demo --name \"before the upgrade\"

What runs stands still while its home is copied, and goes on afterwards, where it was. A snapshot is kept as long as the \
workspace's files are, and goes with them.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  pilot ws snapshot ls demo
  pilot ws snapshot restore demo sn-0199c2f3a4b5d6e7f8a9
  pilot ws snapshot restore demo sn-0199c2f3a4b5d6e7f8a9 --yes --json

The instance is stopped, its files are exchanged, and it boots anew if it ran. `pilot ws restore NAME` is something else: it brings \
back a workspace that was deleted.";

pub(super) const FORK_EXAMPLES: &str = "\
Examples:
  pilot ws fork demo try-it
  pilot ws fork demo try-it --snapshot sn-0199c2f3a4b5d6e7f8a9
  pilot ws fork demo big --size large --label task=42

The fork has the files and sessions of the original, at the same provider, and nothing else of it. Secrets at the places where \
programs keep them (~/.ssh, ~/.netrc, OpenCode's logins and others: docs/snapshots.md) are left out; files in a repository, such \
as .env, are copied. Without --snapshot one is taken first, and kept.";

#[derive(Debug, clap::Args)]
pub struct Fork {
    /// The workspace that it begins like, as `pilot ws ls` shows it
    pub slug: String,
    /// The name of the new one: 1 to 40 of a-z, 0-9 and '-', beginning with a letter
    pub new: String,
    /// The snapshot that it begins with, as `pilot ws snapshot ls` shows it [default: one is taken]
    #[arg(long, value_name = "ID")]
    pub snapshot: Option<String>,
    /// One of the provider's sizes [default: that of the original]
    #[arg(long, value_name = "NAME")]
    pub size: Option<String>,
    /// What it is made from, as its provider names images [default: that of the original]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Whose it is [default: whose the original is]
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Instead of the labels of the original; may be given more than once
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
}
