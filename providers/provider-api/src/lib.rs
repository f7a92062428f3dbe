//! What a provider author reads first: the traits that make a cloud usable by Pilot.
//!
//! - [`Provider`] describes the module and declares, purely, which resources one runtime needs.
//! - [`Resource`] creates, reads, updates and deletes one kind of external object for the engine.
//! - [`Lifecycle`] starts, stops and suspends what exists; it never goes through Pulumi.
//! - [`Images`], [`ImageStore`], [`Logs`], [`Exec`], [`Snapshots`], [`Refuses`] and [`Inventory`] are optional abilities.
//! - [`RegistryLogins`] are where a module gets logins for images that are not everybody's.
//! - [`Setting`] is what an operator gives a module: where its cloud is, and with which credentials.
//! - [`fence`] says what a module owes to orchestrators that take operations over from each other.
//! - [`site`] says how a runtime that is at another place than before is told from one that is gone.
//! - `conformance` (a feature of this crate) is the suite that every provider's tests run.
//!
//! A provider never sees Pulumi's wire, the store or HTTP. Credentials reach it through its own
//! configuration, never through resource inputs.

#![warn(missing_docs)]

mod captured;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod declare;
pub mod error;
pub mod fence;
pub mod image_store;
pub mod lifecycle;
pub mod provider;
pub mod refusals;
pub mod registry;
pub mod resource;
pub mod schema;
pub mod settings;
pub mod site;
pub mod snapshots;

pub use captured::Captured;
pub use check::differences;
pub use declare::{Declaration, Declared, Expr};
pub use error::{Outcome, ProviderError, Result, Stale};
pub use image_store::ImageStore;
pub use lifecycle::{
    Changes, Exec, Executed, Home, Images, Inventory, Lifecycle, Logs, OwnedObject, RunStatus, RuntimeRef,
    Statuses,
};
pub use provider::{BootFile, BootSource, Description, EgressOffer, Finding, Provider, RuntimeSpec};
pub use refusals::{Refusals, Refuses};
pub use registry::{Login, NoLogins, RegistryLogins};
pub use resource::{
    CheckFailure, CreateRequest, Created, DeleteRequest, Diff, DiffRequest, Properties, ReadRequest,
    ReadState, Resource, UpdateRequest,
};
pub use schema::{EnumType, ObjectType, Property, PropertyType, ResourceSchema};
pub use settings::{Setting, SettingProblem, Settings};
pub use site::{Located, OneSite, Site, Sites};
pub use snapshots::{Copied, Snapshot, Snapshots, Source, Take, Told, no_snapshot};
