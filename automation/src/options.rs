//! How an operation runs. Every field has a default that changes nothing; what an operation does not
//! understand is refused with [`crate::Error::Option`] and never dropped in silence.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::event::EngineEvent;
use crate::setters::setters;

mod remote;

pub use remote::{Authentication, EnvVar, ExecutorImage, GitSource as RemoteGit, Remote};

/// How an operation runs. The default waits a moment for another's lock, reports no events and cannot
/// be cancelled but by dropping its future.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Receives the engine's events while the operation runs. A slow or absent reader holds nothing up and
    /// fills no memory: an event that finds the queue full is left out, and a gap in
    /// [`EngineEvent::sequence`] tells so. What an operation returns never depends on it.
    pub events: Option<mpsc::Sender<EngineEvent>>,
    /// Receives what is printed, in pieces as they appear. Left out when the queue is full, as with events;
    /// all of it is in [`crate::Summary`].
    pub output: Option<mpsc::Sender<Printed>>,
    /// Ends the operation: in order first, and by force when it has not ended after a minute.
    pub cancel: CancellationToken,
    /// How long to wait for a living process to release the stack's lock; 2 s by default.
    pub lock_timeout: Duration,
    /// How long the operation may take before it is cancelled; no limit by default.
    pub timeout: Option<Duration>,
    /// How many resource steps run at once; the engine's own default when absent.
    pub parallel: Option<u32>,
    /// A note for the stack's history.
    pub message: Option<String>,
    /// In `up` and `preview`: ask the providers first what is really there, instead of believing the
    /// state. In `destroy` likewise.
    pub refresh: bool,
    /// In `refresh` and `destroy`: run the program. In `up` and `preview` with `refresh`: refresh each
    /// resource when the program declares it, and not all of them before it runs.
    pub run_program: Option<bool>,
    /// In `up`, `preview` and `refresh`: fail with [`crate::Error::NoChangesExpected`] if anything changes.
    pub expect_no_changes: bool,
    /// In `up` and `destroy`: go on with resources that do not depend on one that failed.
    pub continue_on_error: bool,
    /// In `destroy`: remove the stack, too, when it is empty.
    pub remove: bool,
    /// A settings file in place of `Pulumi.<stack>.yaml`.
    pub config_file: Option<PathBuf>,
    /// Configuration to set before this run; it is saved. Keys are paths when `config_path` is set.
    /// Never a secret: other processes of the machine can see it.
    pub config: Vec<(String, String)>,
    /// Keys in `config` are paths into lists and maps.
    pub config_path: bool,
    /// Do not compare the configuration with what the project declares.
    pub skip_config_validation: bool,
    /// Install plugins that are missing: those the program declares before it runs, others when they are
    /// needed. On by default, as in Pulumi. Off, an operation downloads nothing, and
    /// [`crate::Workspace::install_plugin`] does it at a time of one's own.
    pub install_plugins: bool,
    /// Which resources it is about.
    pub select: Select,
    /// In `up` and `preview`: update plans.
    pub plan: Plan,
    /// In `up` and `preview`: policy packs.
    pub policy: Policy,
    /// What an interrupted operation left undecided.
    pub pending: Pending,
    /// What is printed; events are the same whatever it says.
    pub display: DisplayOptions,
    /// Logs of the engine itself.
    pub debug: DebugOptions,
    /// Run it on Pulumi Deployments, in Pulumi Cloud, instead of here; [`crate::RemoteStack`] sets it.
    pub remote: Option<Remote>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            events: None,
            output: None,
            cancel: CancellationToken::new(),
            lock_timeout: Duration::from_secs(2),
            timeout: None,
            parallel: None,
            message: None,
            refresh: false,
            run_program: None,
            expect_no_changes: false,
            continue_on_error: false,
            remove: false,
            config_file: None,
            config: Vec::new(),
            config_path: false,
            skip_config_validation: false,
            install_plugins: true,
            select: Select::default(),
            plan: Plan::default(),
            policy: Policy::default(),
            pending: Pending::default(),
            display: DisplayOptions::default(),
            debug: DebugOptions::default(),
            remote: None,
        }
    }
}

/// The setters of [`Options`] and of a request that holds some, so that both have the same.
macro_rules! option_setters {
    ([$($generic:ident)?] $owner:ty, [$($path:ident.)*]) => {
        $crate::setters::setters!([$($generic)?] $owner, Options [$($path.)*] {
            events(Option<mpsc::Sender<EngineEvent>>),
            output(Option<mpsc::Sender<Printed>>),
            cancel(CancellationToken),
            lock_timeout(Duration),
            timeout(Option<Duration>),
            parallel(Option<u32>),
            message(Option<String>),
            refresh(bool),
            run_program(Option<bool>),
            expect_no_changes(bool),
            continue_on_error(bool),
            remove(bool),
            config_file(Option<PathBuf>),
            config_path(bool),
            skip_config_validation(bool),
            install_plugins(bool),
            select(Select),
            plan(Plan),
            policy(Policy),
            pending(Pending),
            display(DisplayOptions),
            debug(DebugOptions),
        });
        $crate::setters::setters!([$($generic)?] $owner, Select [$($path.)*select.] {
            targets(Vec<String>),
            target_dependents(bool),
            excludes(Vec<String>),
            exclude_dependents(bool),
            replace(Vec<String>),
            target_replace(Vec<String>),
            exclude_protected(bool),
        });
        $crate::setters::setters!([$($generic)?] $owner, DisplayOptions [$($path.)*display.] {
            diff(bool),
            color(Option<String>),
            show_secrets(bool),
        });
        $crate::setters::setters!([$($generic)?] $owner, DebugOptions [$($path.)*debug.] {
            user_agent(Option<String>),
            attach_debugger(Vec<String>),
        });

        impl<$($generic)?> $owner {
            /// One more of [`Select::targets`].
            pub fn target(mut self, urn: impl Into<String>) -> Self {
                self.$($path.)*select.targets.push(urn.into());
                self
            }

            /// One more of [`Select::excludes`].
            pub fn exclude(mut self, urn: impl Into<String>) -> Self {
                self.$($path.)*select.excludes.push(urn.into());
                self
            }

            /// One more entry of [`Options::config`].
            pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
                self.$($path.)*config.push((key.into(), value.into()));
                self
            }

            /// One more variable of [`DebugOptions::env`].
            pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
                self.$($path.)*debug.env.insert(key.into(), value.into());
                self
            }
        }
    };
}

pub(crate) use option_setters;

option_setters!([] Options, []);

/// A piece of what an operation prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// Lines of the standard output.
    Stdout(String),
    /// Lines of the standard error.
    Stderr(String),
}

/// Which resources an operation is about, as URNs; `*` and `**` stand for parts of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Select {
    /// Only these.
    pub targets: Vec<String>,
    /// And what depends on them.
    pub target_dependents: bool,
    /// All but these.
    pub excludes: Vec<String>,
    /// And what depends on them; not in `destroy`.
    pub exclude_dependents: bool,
    /// In `up` and `preview`: replace these even if they did not change.
    pub replace: Vec<String>,
    /// In `up` and `preview`: target and replace these.
    pub target_replace: Vec<String>,
    /// In `destroy`: leave protected resources alone instead of failing.
    pub exclude_protected: bool,
}

setters!(Select {
    targets(Vec<String>),
    target_dependents(bool),
    excludes(Vec<String>),
    exclude_dependents(bool),
    replace(Vec<String>),
    target_replace(Vec<String>),
    exclude_protected(bool),
});

/// Update plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// In `preview`: write what would be done to this file.
    pub save: Option<PathBuf>,
    /// In `up`: do nothing but what this file says.
    pub apply: Option<PathBuf>,
    /// In `preview`: write a file for `import` with every resource that would be created.
    pub import_file: Option<PathBuf>,
}

setters!(Plan { save(Option<PathBuf>), apply(Option<PathBuf>), import_file(Option<PathBuf>) });

/// Policy packs of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Folders.
    pub packs: Vec<PathBuf>,
    /// A file of settings for each pack, in the same order.
    pub configs: Vec<PathBuf>,
}

setters!(Policy { packs(Vec<PathBuf>), configs(Vec<PathBuf>) });

/// Creates that an interrupted operation left in the state without an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// In `refresh`: forget them.
    pub clear: bool,
    /// In `refresh`: leave them as they are.
    pub skip: bool,
    /// In `refresh`: they did succeed; URN and id of each.
    pub import: Vec<(String, String)>,
}

setters!(Pending { clear(bool), skip(bool), import(Vec<(String, String)>) });

/// What is printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisplayOptions {
    /// A diff of every changed property.
    pub diff: bool,
    /// `always`, `never`, `raw` or `auto`; never by default.
    pub color: Option<String>,
    /// Leave the stack's outputs out; they are in the result anyway.
    pub suppress_outputs: bool,
    /// Print a line for each step while it happens.
    pub progress: bool,
    /// Print no address of a page about the operation.
    pub suppress_permalink: bool,
    /// Print resources that do not change, too.
    pub show_sames: bool,
    /// In `up`, `preview` and `refresh`.
    pub show_replacement_steps: bool,
    /// In `up`, `preview`.
    pub show_reads: bool,
    /// Print long outputs in full.
    pub show_full_output: bool,
    /// In `up` and `preview`.
    pub show_policy_remediations: bool,
    /// In `up`, `preview` and `destroy`.
    pub show_config: bool,
    /// In `up` and `preview`: print secret outputs in plain text.
    pub show_secrets: bool,
    /// Print URNs instead of names.
    pub show_urns: bool,
    /// Print the engine's events as JSON instead.
    pub json: bool,
}

setters!(DisplayOptions {
    diff(bool),
    color(Option<String>),
    suppress_outputs(bool),
    progress(bool),
    suppress_permalink(bool),
    show_sames(bool),
    show_replacement_steps(bool),
    show_reads(bool),
    show_full_output(bool),
    show_policy_remediations(bool),
    show_config(bool),
    show_secrets(bool),
    show_urns(bool),
    json(bool),
});

/// Logs of the engine itself, for those who debug it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DebugOptions {
    /// Log to the standard error instead of files.
    pub log_to_stderr: bool,
    /// 0 is silent, 11 is everything.
    pub verbosity: Option<u8>,
    /// Providers and programs log as the engine does.
    pub log_flow: bool,
    /// An endpoint for traces, or a `file:` to write them to.
    pub tracing: Option<String>,
    /// Print debug messages of the engine, providers and program.
    pub debug: bool,
    /// Work with a state that is not sound, to mend it.
    pub disable_integrity_checking: bool,
    /// In `up` and `preview`: wait for a debugger: `program`, `plugins`, `plugin:NAME` or `all`.
    pub attach_debugger: Vec<String>,
    /// Names whoever runs this, for the stack's history.
    pub user_agent: Option<String>,
    /// More environment variables for this run.
    pub env: BTreeMap<String, String>,
}

setters!(DebugOptions {
    log_to_stderr(bool),
    verbosity(Option<u8>),
    log_flow(bool),
    tracing(Option<String>),
    debug(bool),
    disable_integrity_checking(bool),
    attach_debugger(Vec<String>),
    user_agent(Option<String>),
    env(BTreeMap<String, String>),
});
