//! A Pulumi Automation API for Rust: run real Pulumi stacks from async Rust code.
//!
//! A [`Workspace`] is one project and its state backend. A [`Stack`] of it is brought `up`, previewed,
//! refreshed, destroyed, exported. Its program is a [`Source`]: an async Rust [`Program`] that runs in this
//! process, an executable of its own, or what the project's folder names. An [`Engine`] runs it. There are
//! two drivers of the real one: [`Cli`] starts the `pulumi` CLI for each command and each operation; [`Host`]
//! speaks to `pilot-engine`, a process that keeps the engine warm. [`FakeEngine`] keeps everything in
//! memory, for the tests of whoever uses this crate.
//!
//! Nothing here knows Pilot. Nothing global is kept, so any number of programs can run at once in one
//! process. The environment of this process counts only for `git` without credentials of its own, and where
//! [`Workspace::inherit_env`] says so.
//!
//! ```no_run
//! use pulumi_auto::{Cli, Input, Options, Outputs, ResourceOptions, Workspace, program};
//!
//! # async fn run() -> pulumi_auto::Result<()> {
//! let shop = program(|context| async move {
//!     let group = context
//!         .component("shop:web:Group", "front", ResourceOptions::default(), Default::default())
//!         .await?;
//!     context.register_outputs(&group, Outputs::new()).await?;
//!     Ok(Outputs::from([("group".to_owned(), Input::from(group.urn))]))
//! });
//! let workspace = Workspace::temporary(Cli::open("pulumi").await?, "shop")?;
//! let stack = workspace.with_empty_passphrase().stack("dev");
//! stack.create().await?;
//! let update = stack.up(shop, &Options::default()).await?;
//! assert_eq!(update.summary.changes["create"], 2);
//! # Ok(()) }
//! ```
//!
//! ```text
//! Stack::up ─ starts ─> pulumi CLI ─ Run ──────────────> language::Server ──> your Program
//!                          │                                                     │
//!                          ├─ RegisterResource <──────── Context ────────────────┘
//!                          ├─ Create, Update ──────────> attached providers
//!                          └─ engine events ───────────> events::Server ──────> you
//! ```
//!
//! To read it, begin with [`workspace`] and [`stack`], what a caller sees; [`engine`] and [`options`] are
//! what they ask for, [`config`] what a stack is told. Then [`source`], [`mod@program`] and [`context`]:
//! what runs and how it speaks to the engine, in the words of [`value`]. Last the engines, [`cli`],
//! [`host`] and [`fake`], what they report ([`event`]) and what goes wrong ([`error`]).
//!
#![deny(missing_docs)]
// What one feature needs is unused without it; with all of them nothing may be.
#![cfg_attr(
    not(all(feature = "cli", feature = "host", feature = "inline", feature = "git")),
    allow(dead_code, unused_imports)
)]
#![doc = include_str!("../CAPABILITIES.md")]

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
#[cfg(feature = "inline")]
mod language;
#[cfg(all(feature = "cli", not(feature = "inline")))]
#[path = "language/none.rs"]
mod language;
#[cfg(any(feature = "cli", feature = "inline"))]
mod loopback;
#[cfg(feature = "cli")]
mod patience;
#[cfg(test)]
mod recorder;
mod wire;
mod yaml;

#[cfg(feature = "cli")]
pub use cli::{Cli, MINIMUM_VERSION};
pub use config::{ConfigOptions, ConfigValue};
#[cfg(feature = "inline")]
pub use context::{
    Alias, AliasParent, Context, CustomTimeouts, ErrorHook, Hook, Hooks, InvokeOptions, Package,
    PackageReference, Parameterization, ProviderReference, Resource, ResourceArgs, ResourceOptions, Returned,
    Severity, StackReference, Step, Transform, Transformed, TransformedInvoke,
};
pub use engine::{Backend, Command, Engine, Operation, OperationKind, OperationResult, Passphrase, Place};
pub use error::{Diagnostic, Error, FailedOperation, Result};
pub use event::{EngineEvent, EventKind, StepMetadata};
#[cfg(feature = "fake")]
pub use fake::FakeEngine;
#[cfg(feature = "host")]
pub use host::Host;
pub use options::Options;
#[cfg(feature = "inline")]
pub use program::{InvalidArgument, Outputs, Program, ProgramError, program};
#[cfg(feature = "inline")]
pub use source::ChildProgram;
pub use source::Source;
pub use stack::{Deployment, Repair, Stack, Summary, Update, UpdateInfo};
pub use value::{Archive, ArchiveEntry, ArchiveSource, Asset, AssetSource, Input, ResourceReference, Value};
pub use workspace::Workspace;

pub use tokio_util::sync::CancellationToken;
