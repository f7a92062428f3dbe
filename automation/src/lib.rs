//! A Pulumi Automation API for Rust: run real Pulumi stacks from async Rust code.
//!
//! A [`Workspace`] is one project and its state backend. A [`Stack`] of it is brought `up`, previewed,
//! destroyed and exported; the program is either an async Rust [`Program`] that runs in this process, or
//! the project found in a folder. The engine is the real one, driven through the `pulumi` CLI.
//!
//! Nothing here knows Pilot. No environment variable is read, nothing global is kept, so any number of
//! programs can run at once in one process.
//!
//! ```text
//! Stack::up ─ starts ─> pulumi CLI ─ Run ──────────────> language::Server ──> your Program
//!                          │                                                     │
//!                          ├─ RegisterResource <──────── Context ────────────────┘
//!                          ├─ Create, Update ──────────> attached providers
//!                          └─ engine events ───────────> events::Server ──────> you
//! ```

pub mod config;
pub mod engine;
pub mod options;
pub mod stack;
pub mod workspace;

pub mod context;
pub mod program;
pub mod source;
pub mod value;

pub mod cli;
pub mod event;
pub mod fake;

pub mod error;

mod child;
mod gather;
mod language;
#[cfg(test)]
mod recorder;
mod wire;
mod yaml;

pub use cli::{Cli, MINIMUM_VERSION};
pub use config::{ConfigOptions, ConfigValue};
pub use context::{
    Alias, AliasParent, Context, CustomTimeouts, ErrorHook, Hook, Hooks, InvokeOptions, Package,
    PackageReference, Parameterization, ProviderReference, Resource, ResourceArgs, ResourceOptions, Returned,
    Severity, StackReference, Step, Transform, Transformed, TransformedInvoke,
};
pub use engine::{Backend, Command, Engine, Finished, Kind, Operation, Passphrase, Place};
pub use error::{Diagnostic, Error, FailedOperation, Result};
pub use event::{EngineEvent, EventKind, StepMetadata};
pub use fake::FakeEngine;
pub use options::Options;
pub use program::{Input, InvalidArgument, Outputs, Program, ProgramError, program};
pub use source::{ChildProgram, Source};
pub use stack::{Deployment, Stack, Summary, Update, UpdateInfo};
pub use value::{Archive, ArchiveEntry, ArchiveSource, Asset, AssetSource, ResourceReference, Value};
pub use workspace::Workspace;

pub use tokio_util::sync::CancellationToken;
