//! Pulumi's Automation API for Rust: create, preview, update, refresh, import and destroy stacks from async code.
//!
//! A [`Workspace`] is one project and its state backend. A [`Stack`] of it is brought `up`, previewed, refreshed,
//! destroyed, exported: each is a [`Request`] that is told how to run and then awaited. Its program is a [`Source`]: an async Rust [`Program`] that runs in this process, an executable
//! of its own, or what the project's folder names. An [`Engine`] runs it, and it is always Pulumi's own: through the
//! `pulumi` program ([`Cli`]) or through a process that keeps it warm ([`Host`]). [`FakeEngine`] keeps everything in
//! memory, for the tests of whoever uses this crate.
//!
//! ```no_run
//! use pulumi_auto::{Cli, Context, Input, Outputs, ProgramError, ResourceOptions, Workspace, program};
//!
//! async fn shop(context: Context) -> Result<Outputs, ProgramError> {
//!     let options = ResourceOptions::default();
//!     let group = context.component("shop:web:Group", "front", options, Default::default()).await?;
//!     context.register_outputs(&group, Outputs::new()).await?;
//!     Ok(Outputs::from([("group".to_owned(), Input::from(group.urn))]))
//! }
//!
//! # async fn run() -> pulumi_auto::Result<()> {
//! let workspace = Workspace::temporary(Cli::open("pulumi").await?, "shop")?;
//! let stack = workspace.with_empty_passphrase().stack("dev");
//! stack.create().await?;
//! let update = stack.up(program(shop)).message("the first").parallel(4).await?;
//! assert_eq!(update.summary.changes["create"], 2);
//! stack.destroy(program(shop)).await?;
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | Feature | gives |
//! |---|---|
//! | `cli` (default) | [`Cli`]: the `pulumi` program as the engine |
//! | `inline` (default) | [`program()`], [`Context`], [`ChildProgram`]: programs of the caller |
//! | `host` | [`Host`]: operations in a process that stays warm; turns on `cli` |
//! | `fake` | [`FakeEngine`]: an engine in memory, for tests; turns on `inline` |
//! | `git` | [`Workspace::git`]: projects from git repositories |
//!
//! # Errors
//!
//! Everything returns [`Error`], one variant for each thing that a caller may want to do something about:
//! [`Error::ConcurrentUpdate`] when another run holds the stack, [`Error::UpdateFailed`] with the steps that failed and
//! what the providers said, [`Error::StackNotFound`], [`Error::Secrets`] and so on. Exit codes and events decide
//! which one it is. A program has its own [`ProgramError`].
//!
//! # Cancellation and drop
//!
//! [`Options::cancel`] ends an operation in order: the engine finishes the steps that it is in and records them, and
//! the operation returns [`Error::Canceled`]. [`Options::timeout`] does the same after a while, and returns
//! [`Error::TimedOut`]. Dropping the future of an operation also ends what it started in order, but nobody waits for that;
//! the stack's lock is free when it has ended. Nothing global is kept, so any number of operations can run at once.
//!
//! # Logs
//!
//! Each operation is a `tracing` span, `operation`, with `stack`, `kind` and `outcome`: `done`, `failed`, `canceled` or
//! `timed out`. A span without an outcome is one whose future was dropped.
//!
//! # More
//!
//! `docs/migration.md` has the calls of the Automation APIs for Go and TypeScript beside those of this crate, and
//! `CAPABILITIES.md` everything that it does, with the test that proves it; both are in the package.
//!
//! ```text
//! Stack::up ─ starts ─> pulumi CLI ─ Run ──────────────> language::Server ──> your Program
//!                          │                                                     │
//!                          ├─ RegisterResource <──────── Context ────────────────┘
//!                          ├─ Create, Update ──────────> attached providers
//!                          └─ engine events ───────────> events::Server ──────> you
//! ```
//!
//! To read the source, begin with [`workspace`] and [`stack`], what a caller sees; [`engine`] and [`options`] are
//! what they ask for, [`config`] what a stack is told. Then [`source`], [`mod@program`] and [`context`]:
//! what runs and how it speaks to the engine, in the words of [`value`]. Last the engines, [`cli`],
//! [`host`] and [`fake`], what they report ([`event`]) and what goes wrong ([`error`]). The environment of this process
//! counts only for `git` without credentials of its own, and where [`Workspace::inherit_env`] or
//! [`Login::of_user`] says so.

#![deny(missing_docs)]
// What one feature needs is unused without it; with all of them nothing may be.
#![cfg_attr(
    not(all(feature = "cli", feature = "host", feature = "inline", feature = "git")),
    allow(dead_code, unused_imports)
)]

pub mod config;
pub mod engine;
pub mod options;
pub mod stack;
pub mod workspace;

#[cfg(feature = "inline")]
pub mod context;
#[cfg(feature = "inline")]
pub mod program;
pub mod source;
pub mod value;

#[cfg(feature = "cli")]
pub mod cli;
pub mod event;
#[cfg(feature = "fake")]
pub mod fake;
#[cfg(feature = "host")]
pub mod host;

pub mod error;
pub mod versions;

#[cfg(feature = "cli")]
mod argv;
#[cfg(feature = "inline")]
mod child;
mod classify;
#[cfg(any(feature = "cli", feature = "fake"))]
mod deadline;
#[cfg(feature = "cli")]
mod environment;
#[cfg(feature = "cli")]
mod folder;
#[cfg(any(feature = "cli", feature = "inline"))]
mod gather;
#[cfg(any(feature = "cli", feature = "git"))]
mod group;
mod json;
#[cfg(feature = "inline")]
mod language;
#[cfg(all(feature = "cli", not(feature = "inline")))]
#[path = "language/none.rs"]
mod language;
#[cfg(any(feature = "cli", feature = "inline"))]
mod loopback;
#[cfg(feature = "inline")]
mod program_error;
#[cfg(test)]
mod recorder;
#[cfg(feature = "cli")]
mod retry;
mod setters;
mod wire;
mod yaml;

#[cfg(feature = "cli")]
pub use cli::{Cli, CliInstall, MINIMUM_VERSION};
pub use config::{ConfigOptions, ConfigValue};
#[cfg(feature = "inline")]
pub use context::{
    Alias, AliasParent, Context, CustomTimeouts, ErrorHook, Hook, Hooks, InvokeOptions, Package,
    PackageReference, Parameterization, Parent, ProviderReference, Resource, ResourceArgs, ResourceOptions,
    Returned, Severity, SourcePosition, StackReference, Step, Transform, Transformed, TransformedInvoke,
};
pub use engine::{Backend, Command, Engine, Operation, OperationKind, OperationResult, Passphrase, Place};
pub use error::{Diagnostic, Error, FailedOperation, Result};
pub use event::{EngineEvent, EventKind, StepMetadata};
#[cfg(feature = "fake")]
pub use fake::FakeEngine;
#[cfg(feature = "host")]
pub use host::{Host, HostInstall};
pub use options::Options;
#[cfg(feature = "inline")]
pub use program::{Program, program};
#[cfg(feature = "inline")]
pub use program_error::{InvalidArgument, ProgramError};
#[cfg(feature = "inline")]
pub use source::ChildProgram;
pub use source::Source;
pub use stack::{Deployment, RemoteStack, Repair, Request, Stack, Summary, Update, UpdateInfo};
pub use value::{
    Archive, ArchiveEntry, ArchiveSource, Asset, AssetSource, Input, Outputs, ResourceReference, Value,
};
pub use workspace::{Login, Workspace};

pub use tokio_util::sync::CancellationToken;
