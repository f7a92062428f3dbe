//! What can be typed after `pilot ws`.

mod reach;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use contracts::egress::EgressChoice;
use contracts::workspace::Observed;

use super::snapshot::{FORK_EXAMPLES, Fork, SnapshotCommand};
pub use reach::{Exec, Ssh, SshConfig};

use super::{Connection, one_of, time};

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
    #[command(visible_alias = "list", after_help = LIST_EXAMPLES)]
    Ls(List),
    /// Show one workspace
    Get {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
    },
    /// Say why a workspace is as it is: who wants it so, what was tried, and what comes next
    Why {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
    },
    /// Show what a workspace reaches, whether its list is in force, and what was refused to it in the last hour
    #[command(after_help = EGRESS_EXAMPLES)]
    Egress {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
    },
    /// Start stopped workspaces and wait until they are ready
    #[command(after_help = SEVERAL_EXAMPLES)]
    Start(Several),
    /// Stop workspaces; their files and sessions stay
    #[command(after_help = SEVERAL_EXAMPLES)]
    Stop(Several),
    /// Restart workspaces: their instances boot anew, with the newest model configuration; files and sessions stay
    #[command(after_help = SEVERAL_EXAMPLES)]
    Restart(Several),
    /// Suspend workspaces: they go on where they were (`pilot provider ls` shows which providers can)
    #[command(after_help = SEVERAL_EXAMPLES)]
    Suspend(Several),
    /// Hibernate workspaces: they end and keep their files, and a visit or `resume` boots them (where files outlive a stop)
    #[command(after_help = SEVERAL_EXAMPLES)]
    Hibernate(Several),
    /// Resume suspended and hibernated workspaces and wait until they answer
    #[command(after_help = SEVERAL_EXAMPLES)]
    Resume(Several),
    /// Give a workspace another image, size or list of destinations, and wait; its files stay, and what is stopped stays stopped
    #[command(after_help = UPDATE_EXAMPLES)]
    Update(Update),
    /// Give a workspace another name, and with it another host name; its id, files and sessions stay
    Rename {
        /// The workspace's name as it is
        old: String,
        /// The name that it gets: 1 to 40 of a-z, 0-9 and '-', beginning with a letter; admin, api, app, auth, gateway,
        /// localhost, pilot and www are reserved
        new: String,
    },
    /// Wait until a workspace is in a state and nothing is under way, whoever brings it there
    #[command(after_help = WAIT_EXAMPLES)]
    Wait(Wait),
    /// Delete workspaces; their files are kept for a while, and `pilot ws restore` brings one back
    #[command(visible_alias = "delete", after_help = REMOVE_EXAMPLES)]
    Rm(Remove),
    /// Bring back a deleted workspace with its files, and wait until it is ready
    Restore {
        /// The name that it had, or its id (`pilot ws ls --deleted`)
        slug: String,
        /// Another name, where its own is taken
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Return as soon as the request is accepted
        #[arg(long)]
        no_wait: bool,
    },
    /// Take, list, restore and remove snapshots of a workspace's files
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Make a new workspace that begins with the files and sessions of another, without its secrets
    #[command(after_help = FORK_EXAMPLES)]
    Fork(Fork),
    /// Show the end of an instance's log, and with -f what comes after it
    Logs(Logs),
    /// Run a program in a workspace's instance, through its provider: also when nothing in the instance answers
    #[command(after_help = reach::EXEC_EXAMPLES)]
    Exec(Exec),
    /// Log in to a workspace's instance with this machine's `ssh`, also while OpenCode in it does not work
    #[command(after_help = reach::SSH_EXAMPLES)]
    Ssh(Ssh),
    /// Print an entry for ssh's own configuration for each workspace, so that ssh, scp and editors reach them as NAME.pilot
    #[command(after_help = reach::SSH_CONFIG_EXAMPLES)]
    SshConfig(SshConfig),
    /// Print a fresh link that logs one browser in; it works once, for ten minutes
    Open {
        /// The workspace's name, as `pilot ws ls` shows it
        slug: String,
        /// Open it in this machine's browser too (on a terminal)
        #[arg(long)]
        browser: bool,
    },
}

const EGRESS_EXAMPLES: &str = "\
Examples:
  pilot ws egress demo                   names and addresses, the last first, and how to allow them
  pilot ws egress demo --json | jq -r '.refused[].destination'";

const LIST_EXAMPLES: &str = "\
Examples:
  pilot ws ls --state failed --sort newest
  pilot ws ls --owner ada --label team=core --label task=42
  pilot ws ls --json | jq -r '.workspaces[].slug'";

#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only those with this label; may be given more than once, and all must be there
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Only those in this state
    #[arg(long, value_parser = one_of(&Observed::ALL, Observed::as_str))]
    state: Option<Observed>,
    /// Only those of this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Those that are deleted and can be restored
    #[arg(long)]
    pub deleted: bool,
    /// By name, or by age
    #[arg(long, value_enum, default_value = "slug")]
    sort: Sort,
    /// Fail when there is any, for scripts that remove Pilot
    #[arg(long)]
    pub expect_none: bool,
}

impl List {
    /// As the lifecycle API takes it.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let sort = match self.sort {
            Sort::Slug => None,
            Sort::Oldest => Some("oldest".to_owned()),
            Sort::Newest => Some("newest".to_owned()),
        };
        let state = self.state.map(|state| state.as_str().to_owned());
        let wanted = [
            ("owner", self.owner.clone()),
            ("state", state),
            ("provider", self.provider.clone()),
            ("sort", sort),
            ("deleted", self.deleted.then(|| "true".to_owned())),
        ];
        let wanted = wanted.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let labels = self.labels.iter().map(|(name, value)| ("label", format!("{name}={value}")));
        wanted.chain(labels).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    Slug,
    Oldest,
    Newest,
}

/// What names and values may be is for the server to say.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  pilot ws rm demo
  pilot ws ls --deleted                  what can be restored, and until when
  pilot ws restore demo
  pilot ws rm demo --purge --yes         now and for good
  pilot ws rm one two --yes
  pilot ws rm --all                      asks once, with all names
  pilot ws rm --purge --deleted --all    what is kept of those that are deleted, now and for good";

const SEVERAL_EXAMPLES: &str = "\
Several workspaces are asked together and change side by side. One that fails keeps no other from its change; the exit \
code is that of the first that failed. `--all` leaves alone what the change is not about: `start` what is ready, `stop` what \
is stopped, `resume` what is not suspended, `restart`, `suspend` and `hibernate` what does not run.";

const UPDATE_EXAMPLES: &str = "\
Examples:
  pilot ws update demo --size large
  pilot ws update demo --image pilot-instance:0.2.0
  pilot ws update demo --egress-allow 'github.com,*.npmjs.org'
  pilot ws get demo                      shows image, size and list as they are
  pilot rollout --image pilot-instance:0.2.0   the same for all workspaces of a provider";

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["image", "size", "egress_allow"])))]
pub struct Update {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// The image that it gets, as its provider names images; running instances boot anew from it
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// The size that it gets (`pilot provider ls` shows them)
    #[arg(long)]
    pub size: Option<String>,
    /// The whole list of what it reaches, as for `pilot ws create`; one that has a list already goes on running meanwhile
    #[arg(long, value_name = "LIST")]
    pub egress_allow: Option<EgressChoice>,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
}

const CREATE_EXAMPLES: &str = "\
Examples:
  pilot ws create demo
  pilot ws create demo --plan            show what would be made, and make nothing
  pilot ws create api --git https://host/team/api.git --ref main
  pilot ws create big --provider docker --size large --no-wait
  pilot ws create safe --egress-allow 'github.com,*.npmjs.org,api.anthropic.com:443'
  pilot ws create ml --owner ada --label team=core --label task=42";

#[derive(Debug, clap::Args)]
pub struct Create {
    /// Its name and host name: 1 to 40 of a-z, 0-9 and '-', beginning with a letter; admin, api, app, auth, gateway,
    /// localhost, pilot and www are reserved
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
    /// What it reaches, and nothing else, with commas between: names, `*.NAME` for all names below one, addresses and networks,
    /// each with `:PORT` or for every port; or `none`, or `all` [default: the provider's, usually all]
    #[arg(long, value_name = "LIST")]
    pub egress_allow: Option<EgressChoice>,
    /// Whose it is; of several owners, each has its turn
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Your own words to find it by, with `pilot ws ls --label`; may be given more than once, each name once
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Return as soon as the request is accepted
    #[arg(long, conflicts_with = "plan")]
    pub no_wait: bool,
    /// Only show the plan
    #[arg(long)]
    pub plan: bool,
}

impl Create {
    pub fn repeated_label(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.labels.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

const WAIT_EXAMPLES: &str = "\
Examples:
  pilot ws create demo --no-wait && pilot ws wait demo --timeout 300
  pilot ws wait demo --for deleted

Exit codes: 0 it is so, 1 it failed and nothing is under way, 3 there is no such workspace (0 with --for deleted), 6 not in time.";

#[derive(Debug, clap::Args)]
pub struct Wait {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value = "ready", value_name = "STATE")]
    pub goal: Goal,
    /// How long at most
    #[arg(long, default_value = "120", value_name = "SECONDS", value_parser = time::wait)]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    Ready,
    Stopped,
    Suspended,
    Deleted,
}

impl Goal {
    pub fn as_str(self) -> &'static str {
        match self {
            Goal::Ready => "ready",
            Goal::Stopped => "stopped",
            Goal::Suspended => "suspended",
            Goal::Deleted => "deleted",
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// Go on with what is new, until Ctrl-C (exit code 130) or until the workspace is gone
    #[arg(long, short)]
    pub follow: bool,
    /// How much of the end, in bytes
    #[arg(long, default_value_t = 64 * 1024, value_name = "N")]
    pub bytes: u64,
}

#[derive(Debug, clap::Args)]
pub struct Change {
    /// The workspace's name, as `pilot ws ls` shows it
    pub slug: String,
    /// Return as soon as the request is accepted
    #[arg(long)]
    pub no_wait: bool,
}

/// Of a change that several workspaces can be asked for together.
#[derive(Debug, clap::Args)]
pub struct Several {
    /// The workspaces' names, as `pilot ws ls` shows them
    #[arg(value_name = "SLUG", required_unless_present = "all")]
    pub slugs: Vec<String>,
    /// All workspaces
    #[arg(long, conflicts_with = "slugs")]
    pub all: bool,
    /// Return as soon as the requests are accepted
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("further").args(["purge", "forget"])))]
pub struct Remove {
    #[command(flatten)]
    pub which: Several,
    /// Do not ask; a program, which cannot be asked, must say so
    #[arg(long, short)]
    pub yes: bool,
    /// Remove its files as well, now and for good; also of a workspace that was deleted and is kept
    #[arg(long)]
    pub purge: bool,
    /// Only those that are deleted and kept; who has the name by now stays
    #[arg(long, requires = "further")]
    pub deleted: bool,
    /// Release it without its provider, which is gone for good: what exists there stays, and is named
    #[arg(long)]
    pub forget: bool,
}
