//! What runs stacks: one trait for every engine, so that code written against a [`crate::Stack`] works
//! with the `pulumi` CLI ([`crate::Cli`]), with the host that keeps the engine warm ([`crate::Host`]) and
//! with the fake of the tests ([`crate::FakeEngine`]) alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

use crate::error::Result;
use crate::event::{StepMetadata, SummaryEvent};
use crate::options::Options;
use crate::source::Source;
use crate::value::Value;

/// Runs commands and operations on stacks. Both may be called many times at once, also for one stack;
/// dropping a future ends what it started.
#[async_trait]
pub trait Engine: std::fmt::Debug + Send + Sync {
    /// As the engine names it, for example `v3.276.0`.
    fn version(&self) -> &str;

    /// A command that does not run the engine, such as `stack init`. Returns what it prints.
    async fn command(&self, place: &Place, command: &Command) -> Result<String>;

    /// An operation of the engine. Every event is sent to `operation.options.events` while it runs.
    async fn operate(&self, place: &Place, operation: &Operation<'_>) -> Result<OperationResult>;
}

/// So that a program can choose its engine while it runs.
#[async_trait]
impl<E: Engine + ?Sized> Engine for Arc<E> {
    fn version(&self) -> &str {
        (**self).version()
    }

    async fn command(&self, place: &Place, command: &Command) -> Result<String> {
        (**self).command(place, command).await
    }

    async fn operate(&self, place: &Place, operation: &Operation<'_>) -> Result<OperationResult> {
        (**self).operate(place, operation).await
    }
}

/// Where state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// A folder of this machine; locks of dead processes can be proven and removed.
    Folder(PathBuf),
    /// Any URL that Pulumi knows.
    Url(String),
}

impl Backend {
    /// As `pulumi login` takes it.
    pub fn url(&self) -> String {
        match self {
            Backend::Folder(path) => format!("file://{}", escaped(path)),
            Backend::Url(url) => url.clone(),
        }
    }
}

/// A path as that of a URL: what would end it there, and what no URL may hold, is escaped.
fn escaped(path: &std::path::Path) -> String {
    let mut url = String::new();
    for part in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for letter in part.valid().chars() {
            match letter {
                '%' | '?' | '#' | '\0'..=' ' | '\x7f' => url.push_str(&format!("%{:02X}", letter as u32)),
                other => url.push(other),
            }
        }
        part.invalid().iter().for_each(|byte| url.push_str(&format!("%{byte:02X}")));
    }
    url
}

/// What all stacks of a [`crate::Workspace`] share.
#[derive(Clone)]
#[non_exhaustive]
pub struct Place {
    /// The project's name.
    pub project: String,
    /// Holds `Pulumi.yaml` and the stacks' settings.
    pub directory: PathBuf,
    /// Where the stacks' state is.
    pub backend: Backend,
    /// Pulumi's own folder: plugins, credentials, the selected stack.
    pub home: PathBuf,
    /// What encrypts the stacks' secrets.
    pub passphrase: Passphrase,
    /// The secrets provider of new stacks; the passphrase when absent.
    pub secrets_provider: Option<String>,
    /// Providers that already serve, by package: a port of 127.0.0.1.
    pub attached: BTreeMap<String, u16>,
    /// Packages whose create, called again after a crash, finds what it has made.
    pub adopts: BTreeSet<String>,
    /// More environment variables for the engine and what it starts.
    pub env: BTreeMap<String, String>,
    /// Variables of this process that the engine gets where nothing else is said.
    pub inherited: BTreeMap<OsString, OsString>,
    /// How long a [`Command`] may take; no limit when absent.
    pub timeout: Option<Duration>,
    /// How long a [`Command`] waits for a living process to release the stack's lock.
    pub lock_timeout: Duration,
    /// Keeps a temporary folder until the last copy is gone.
    pub(crate) keep: Option<Arc<tempfile::TempDir>>,
}

/// Leaves out what environment variables hold, because that may be a token.
impl std::fmt::Debug for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Place")
            .field("project", &self.project)
            .field("directory", &self.directory)
            .field("backend", &self.backend)
            .field("home", &self.home)
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

/// Where the passphrase is that encrypts the stacks' secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passphrase {
    /// None is offered: for a secrets provider that needs none. What needs one is [`crate::Error::Secrets`].
    #[default]
    Absent,
    /// What this file holds.
    File(PathBuf),
    /// The empty passphrase: secrets are encoded, not protected.
    Empty,
}

/// A command of the `pulumi` CLI in its parts. An engine reads them as they are; only [`crate::Cli`] makes arguments of
/// them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// What names it, such as `["stack", "init"]`.
    pub words: Vec<String>,
    /// By the CLI's flag, without dashes: true or false, a number, a text, or a list of texts where the flag is repeated.
    pub options: BTreeMap<String, Json>,
    /// What it is about besides, such as a key. Data, whatever it begins with.
    pub args: Vec<String>,
    /// What the command reads, if anything: secrets go this way and never into `args` or `options`.
    pub input: Option<String>,
    /// The stack whose lock it takes.
    pub locks: Option<String>,
}

/// Leaves the input out, because it may be a secret.
impl std::fmt::Debug for Command {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Command")
            .field("words", &self.words)
            .field("options", &self.options)
            .field("args", &self.args)
            .field("locks", &self.locks)
            .finish()
    }
}

impl Command {
    /// The command of these words, such as `["stack", "ls"]`.
    pub fn new<const N: usize>(words: [&str; N]) -> Self {
        Self { words: words.map(str::to_owned).to_vec(), ..Self::default() }
    }

    /// Sets an option that is on or off, when it is wanted.
    pub fn flag(self, name: &str, wanted: bool) -> Self {
        self.option(name, wanted.then_some(true))
    }

    /// Sets an option when there is a value.
    pub fn option(mut self, name: &str, value: Option<impl Into<Json>>) -> Self {
        if let Some(value) = value {
            self.options.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Sets an option to all of these values, when there are any.
    pub fn values(self, name: &str, values: impl IntoIterator<Item = impl Into<Json>>) -> Self {
        let values: Vec<Json> = values.into_iter().map(Into::into).collect();
        self.option(name, (!values.is_empty()).then_some(values))
    }

    /// Sets the option `stack`.
    pub fn stack(self, name: &str) -> Self {
        self.option("stack", Some(name))
    }

    /// Adds one argument.
    pub fn arg(self, arg: impl Into<String>) -> Self {
        self.args([arg])
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// What the command reads.
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Says that the stack's lock is taken.
    pub fn locking(mut self, stack: &str) -> Self {
        self.locks = Some(stack.to_owned());
        self
    }

    /// True when the option is on.
    pub fn is_set(&self, option: &str) -> bool {
        self.options.get(option) == Some(&Json::Bool(true))
    }

    /// The stack that it is about; empty when there is none.
    pub fn about(&self) -> &str {
        let named = self.options.get("stack").and_then(Json::as_str);
        named.or(self.locks.as_deref()).unwrap_or_default()
    }

    /// Its words as one text, for messages: `stack init`.
    pub fn name(&self) -> String {
        self.words.join(" ")
    }
}

/// What an operation does to its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// `up`
    Up,
    /// `preview`
    Preview,
    /// `refresh`
    Refresh,
    /// `refresh --preview-only`
    PreviewRefresh,
    /// `destroy`
    Destroy,
    /// `destroy --preview-only`
    PreviewDestroy,
    /// `import`
    Import,
    /// `import --preview-only`
    PreviewImport,
}

impl OperationKind {
    /// The CLI's command.
    pub fn command(self) -> &'static str {
        match self {
            OperationKind::Up => "up",
            OperationKind::Preview => "preview",
            OperationKind::Refresh | OperationKind::PreviewRefresh => "refresh",
            OperationKind::Destroy | OperationKind::PreviewDestroy => "destroy",
            OperationKind::Import | OperationKind::PreviewImport => "import",
        }
    }

    /// True when nothing changes and no lock is taken.
    pub fn is_preview(self) -> bool {
        matches!(
            self,
            OperationKind::Preview
                | OperationKind::PreviewRefresh
                | OperationKind::PreviewDestroy
                | OperationKind::PreviewImport
        )
    }
}

/// One operation on one stack.
#[derive(Debug)]
#[non_exhaustive]
pub struct Operation<'a> {
    /// What is done.
    pub kind: OperationKind,
    /// The stack's name.
    pub stack: &'a str,
    /// Where the program comes from.
    pub program: Source,
    /// Options and arguments that only this kind has, such as the file of an import.
    pub own: Command,
    /// How it is done.
    pub options: &'a Options,
}

impl<'a> Operation<'a> {
    /// With nothing of its own.
    pub fn new(kind: OperationKind, stack: &'a str, program: Source, options: &'a Options) -> Self {
        Self { kind, stack, program, own: Command::default(), options }
    }
}

/// What an operation left behind. An engine of one's own begins with the default.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct OperationResult {
    /// Absent when the engine ended before it could sum up.
    pub summary: Option<SummaryEvent>,
    /// Every step the engine announced, in its order, without the resources' states.
    pub steps: Vec<StepMetadata>,
    /// The stack's outputs: of an inline program as it returned them, else as the engine reported them,
    /// with [`Value::Unknown`] in place of each secret.
    pub outputs: Option<BTreeMap<String, Value>>,
    /// What was printed.
    pub stdout: String,
    /// What was printed to the standard error.
    pub stderr: String,
}
