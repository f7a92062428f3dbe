//! What differs between the databases that can keep an installation. Statements are written once, for all of them.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::{AnyConnection, AnyPool};
use tokio::sync::{broadcast, watch};

use super::Result;

/// Statements that become true together or, with an error, not at all.
pub(super) type Job = Box<dyn for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<()>> + Send>;

#[async_trait]
pub(super) trait Database: std::fmt::Debug + Send + Sync {
    /// For reads. What was written before is seen.
    fn pool(&self) -> &AnyPool;

    /// Runs a job; what it has written is durable once this returns. Its own error is for whoever gave it: here it is the
    /// database's.
    async fn write(&self, job: Job) -> Result<()>;

    /// A SELECT of 1 where all writes are refused, else of 0.
    fn is_read_only(&self) -> &'static str;

    /// Milliseconds since 1970 by the clock that all processes share.
    fn now(&self) -> &'static str;

    /// The texts of a JSON array, which is the statement's first parameter.
    fn each(&self) -> &'static str;

    /// Behind a SELECT: nobody else changes these rows until the job ends.
    fn locking(&self) -> &'static str;

    /// Behind a SELECT from operations: as above, and rows in other hands are not waited for.
    fn skipping(&self) -> &'static str;

    /// One process has it for itself, so that nobody can take over what it runs.
    fn is_alone(&self) -> bool;

    /// Tells other processes of what was written, when the job is done. Nothing where there are none.
    async fn tell(&self, connection: &mut AnyConnection, topic: Topic, about: &str) -> Result<()>;

    async fn close(&self);
}

/// What processes tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// There is something to run, or somebody wants what runs to end.
    Work,
    /// An operation told something; about which.
    Events,
    /// What is known of a runtime is another; of which.
    Routes,
}

impl Topic {
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Work => "pilot_work",
            Topic::Events => "pilot_events",
            Topic::Routes => "pilot_routes",
        }
    }
}

/// Who is woken by what was written, here or elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Wakes {
    pub work: watch::Sender<()>,
    /// Ids of operations that told something in another process.
    pub events: broadcast::Sender<String>,
    /// Ids of runtimes of which something else is known now; none that can be read where that was missed.
    pub routes: broadcast::Sender<String>,
}

impl Wakes {
    pub fn new() -> Self {
        Self {
            work: watch::Sender::new(()),
            events: broadcast::Sender::new(1024),
            routes: broadcast::Sender::new(4096),
        }
    }

    /// Nobody need listen.
    pub fn route(&self, runtime: &str) {
        let _ = self.routes.send(runtime.to_owned());
    }

    pub fn work(&self) {
        self.work.send_replace(());
    }
}
