//! Copies of homes: taken, listed, removed, brought back, and what a new runtime begins with.
//!
//! A snapshot has a *key*, which its taker chooses: taking it again under the same key finds it, so that a take whose
//! taker died makes no second. Only whole copies are listed. What is half made is made anew by the next take with its
//! key, and removed by the next one with another, by [`Snapshots::remove`] and with the home.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{ErrorCode, RuntimeId};
use jiff::Timestamp;

use serde_json::Value;

use crate::declare::Declaration;
use crate::error::{ProviderError, Result};
use crate::lifecycle::RuntimeRef;
use crate::resource::Properties;
use crate::schema::{Property, PropertyType};

/// A copy of an instance's home at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The key with which it was taken; the vendor's own id where the vendor keeps snapshots and removes them by itself.
    pub id: String,
    /// For people, as the taker has said it.
    pub name: Option<String>,
    /// By the vendor's clock.
    pub created: Timestamp,
    /// In bytes, when the vendor tells.
    pub size: Option<u64>,
    /// When the vendor removes it by itself; `None` where nobody does.
    pub until: Option<Timestamp>,
}

/// What is asked of a take.
#[derive(Clone)]
pub struct Take {
    /// Of 1 to 40 of a-z, 0-9 and '-'; no other snapshot of the runtime has it.
    pub key: String,
    /// For people.
    pub name: Option<String>,
    /// Who hears how far the copy is.
    pub told: Told,
}

impl Take {
    /// Without a name, and nobody hears of it.
    pub fn of(key: &str) -> Self {
        Self { key: key.to_owned(), name: None, told: Told::nobody() }
    }
}

/// How far a copy is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// So many are copied.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// Hears how far a copy is, every few seconds.
#[derive(Clone)]
pub struct Told(Arc<dyn Fn(Copied) + Send + Sync>);

impl Told {
    /// Hears each.
    pub fn to(hears: impl Fn(Copied) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hears))
    }

    /// Nobody listens.
    pub fn nobody() -> Self {
        Self::to(|_| {})
    }

    /// Says it.
    pub fn tell(&self, copied: Copied) {
        (self.0)(copied);
    }
}

/// A snapshot that a new runtime's home begins with. It is of the same provider and installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Whose home it is a copy of.
    pub runtime_id: RuntimeId,
    /// By its id.
    pub snapshot: String,
}

impl Source {
    /// The inputs of the resource that holds the home.
    pub fn properties() -> [Property; 2] {
        [
            Property::optional(
                "sourceRuntimeId",
                PropertyType::String,
                "The runtime of whose home `sourceSnapshot` is a copy: the new home begins with it, without its secrets.",
            )
            .at_create(),
            Property::optional(
                "sourceSnapshot",
                PropertyType::String,
                "A snapshot of `sourceRuntimeId`, by its id.",
            )
            .at_create(),
        ]
    }

    /// The declaration with these inputs, where there is a source.
    pub fn declare(source: Option<&Source>, home: Declaration) -> Declaration {
        home.optional_input("sourceRuntimeId", source.map(|source| source.runtime_id.as_str()))
            .optional_input("sourceSnapshot", source.map(|source| source.snapshot.as_str()))
    }

    /// Whether what is declared begins with a copy, which takes as long as that has files.
    pub fn is_of(declaration: &Declaration) -> bool {
        declaration.inputs.contains_key("sourceSnapshot")
    }

    /// What a create reads of its inputs.
    pub fn read(inputs: &Properties) -> Result<Option<Self>> {
        let text = |name: &str| inputs.get(name).and_then(Value::as_str);
        match (text("sourceRuntimeId"), text("sourceSnapshot")) {
            (Some(runtime), Some(snapshot)) => {
                let runtime_id = runtime.parse().map_err(|error: contracts::ids::InvalidName| {
                    ProviderError::new(ErrorCode::BadRequest, error.to_string())
                })?;
                Ok(Some(Self { runtime_id, snapshot: snapshot.to_owned() }))
            }
            (None, None) => Ok(None),
            _ => {
                let message = "`sourceRuntimeId` and `sourceSnapshot` say something only together";
                Err(ProviderError::new(ErrorCode::BadRequest, message))
            }
        }
    }
}

/// Copies of homes. `take`, `remove` and `restore` are writes, see [`crate::fence`].
///
/// A call that is dropped may leave something half made, which is never listed.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// A copy of the home at one moment: what runs stands still meanwhile and goes on afterwards, whether the copy came to
    /// its end or not. Finds the one with this key where there is one. A process that dies in a take may leave the instance
    /// suspended; who takes the operation over lets it go on.
    async fn take(&self, runtime: &RuntimeRef, take: &Take) -> Result<Snapshot>;

    /// Whole ones only, the newest first.
    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>>;

    /// Idempotent. Also what is half made under this id. The home and forks that were made of it stay as they are.
    async fn remove(&self, runtime: &RuntimeRef, id: &str) -> Result<()>;

    /// Whether there is room for a restore: for a copy of what is there and for the copy of then, beside the home. Asked while the
    /// instance runs, so that it is not stopped for a restore that could only fail; an error says what is missing. It changes
    /// nothing, and what is free is another's the moment after: [`Snapshots::restore`] can still be refused.
    async fn has_room(&self, _runtime: &RuntimeRef, _id: &str) -> Result<()> {
        Ok(())
    }

    /// Makes the home of what does not run as it was then. The home is whole whenever an instance runs in it: before as it
    /// was, afterwards as it was then; a change that was cut off is finished by the next call, and by a start.
    async fn restore(&self, runtime: &RuntimeRef, _id: &str, _told: &Told) -> Result<()> {
        let message =
            format!("the provider of {} cannot bring the files of a snapshot back", runtime.runtime_id);
        Err(ProviderError::new(ErrorCode::CapabilityUnsupported, message))
    }

    /// Whether it can bring files back.
    fn restores(&self) -> bool {
        true
    }

    /// Whether a new runtime's home can begin with one, see [`RuntimeSpec::source`](crate::RuntimeSpec::source). Without what
    /// [`contracts::secrets::BELOW_HOME`] names.
    fn forks(&self) -> bool {
        true
    }
}

/// There is none of this id.
pub fn no_snapshot(runtime: &RuntimeId, id: &str) -> ProviderError {
    let message = format!("{runtime} has no snapshot {id}");
    ProviderError::new(ErrorCode::SnapshotNotFound, message)
        .with_action("`pilot ws snapshot ls NAME` lists those that there are.")
}
