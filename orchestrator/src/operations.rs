//! Runs accepted operations to their end: one of a runtime at a time, several runtimes at once, each as durable as its row
//! in the store. Whoever runs one can be gone at any moment; another then takes it over.

mod apply;
mod claimer;
mod create;
mod delete;
mod ending;
mod feed;
pub mod home;
mod images;
mod progress;
mod readers;
pub mod remains;
mod repeated;
mod room;
mod run;
mod shared;
mod shared_sites;
mod sites;
mod snapshots;
#[cfg(test)]
pub(crate) mod stand_in;
mod start;
mod steady;
mod stop;
mod update;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::operation::{OperationKind, OperationState};
use contracts::{Code, ErrorCode, InstallationId, OperationId, Problem};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::engine::Engine;
use crate::lifecycle::state::Event;
use crate::store::{Change, Left, Store};
use crate::wiring::Providers;

use claimer::Claimer;
pub(crate) use claimer::LEASE;
use ending::Why;
pub use feed::{Feed, OperationStream};
use run::Run;
pub use shared::Applied as SharedStacks;
pub(crate) use steady::steady;

/// What every operation needs.
pub struct Parts {
    pub store: Store,
    pub engine: Arc<Engine>,
    pub providers: Providers,
    pub installation: InstallationId,
    pub feed: Feed,
    pub ready_timeout: Duration,
    /// How long the home of a deleted workspace is kept.
    pub home_grace: Duration,
    /// How long a claim holds without a word of the claimer.
    pub lease: Duration,
    /// The process is stopping: operations are left as they are, another process goes on with them.
    pub shutdown: CancellationToken,
    pub probe: reqwest::Client,
    pub shared: SharedStacks,
}

/// Runs operations. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    parts: Arc<Parts>,
    claimer: Arc<Claimer>,
    tasks: TaskTracker,
    /// Until the last operation has ended here, also while the process ends.
    renewal: Arc<OnceLock<AbortHandle>>,
}

impl Runner {
    pub fn new(parts: Parts) -> Self {
        let parts = Arc::new(parts);
        let claimer = Arc::new(Claimer::new(Arc::clone(&parts)));
        Self { claimer, parts, tasks: TaskTracker::new(), renewal: Arc::default() }
    }

    /// For questions to instances.
    pub fn probe(&self) -> &reqwest::Client {
        &self.parts.probe
    }

    pub fn feed(&self) -> &Feed {
        &self.parts.feed
    }

    /// Of this process, among those that share the store.
    pub fn name(&self) -> &str {
        self.claimer.name()
    }

    /// Begins to take what is to be done, also what an earlier process has left.
    pub async fn start(&self) -> Result<(), Problem> {
        if self.parts.store.is_alone() {
            let left = self.parts.store.release_all().await?;
            self.parts.store.free_leases().await?;
            if left > 0 {
                tracing::info!(left, "operations of an earlier process go on");
            }
        }
        images::learn(&self.parts).await?;
        let renewal = tokio::spawn(Arc::clone(&self.claimer).renew_all());
        let _ = self.renewal.set(renewal.abort_handle());
        self.tasks.spawn(Arc::clone(&self.claimer).claim_all(self.tasks.clone()));
        Ok(())
    }

    /// Tells an operation that runs here that its end was asked for: the others hear of it from the store.
    pub fn cancel(&self, id: &OperationId) {
        self.claimer.end(id, Why::Asked);
    }

    /// Waits until nothing runs, and gives back what has not ended. `Parts::shutdown` must be cancelled before.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(renewal) = self.renewal.get() {
            renewal.abort();
        }
        if let Err(error) = self.parts.store.release(self.claimer.name()).await {
            tracing::warn!(%error, "what is unfinished was not given back; another waits for its lease");
        }
    }
}

/// Runs one that was claimed until it has ended or is another's.
async fn drive(run: Arc<Run>) {
    let started = std::time::Instant::now();
    // A task of its own, so that a panic in one operation is that operation's failure only.
    let result = tokio::spawn(execute(Arc::clone(&run)).in_current_span()).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "an operation panicked");
        Err(Problem::new(ErrorCode::Internal, "The operation ended unexpectedly; the log has the reason."))
    });
    let (state, problem) = match (result, run.ending.why()) {
        (Ok(left), _) => return run.succeed(left, started).await,
        (Err(_), Some(Why::Shutdown)) => return,
        (Err(_), Some(Why::Fenced)) => return run.leave(),
        (Err(problem), Some(Why::Asked)) => (OperationState::Canceled, canceled(problem)),
        (Err(problem), None) => (OperationState::Failed, problem),
    };
    let event = match state == OperationState::Canceled || is_open(&problem) {
        true => Event::ContactLost,
        false => Event::OperationFailed,
    };
    let problem = problem.with_request_id(run.request_id());
    let goes_on = match event {
        Event::OperationFailed => stop::goes_on(&run).await,
        _ => None,
    };
    let (event, endpoint) = match goes_on {
        Some(endpoint) => (Event::FoundReady, Some(endpoint)),
        // Terminal, files and SSH lead into what runs, also when OpenCode does not.
        None => (event, run.failed_at.get().cloned()),
    };
    let change = Change { event, endpoint, error: Some(problem.clone()) };
    run.fail(state, problem, change, started).await;
}

/// What there is of the runtime then.
async fn execute(run: Arc<Run>) -> Result<Left, Problem> {
    run.begin()?;
    sites::check(&run).await?;
    match run.kind() {
        OperationKind::Create => create::run(&run).await?,
        OperationKind::Restore => create::restore(&run).await?,
        // What was suspended goes on where it was; what was not is started.
        OperationKind::Start | OperationKind::Resume => start::run(&run).await?,
        OperationKind::Stop => stop::run(&run).await?,
        OperationKind::Suspend => stop::suspend(&run).await?,
        OperationKind::Hibernate => stop::hibernate(&run).await?,
        OperationKind::Restart => start::anew(&run).await?,
        OperationKind::Apply => create::again(&run).await?,
        OperationKind::Update => update::run(&run).await?,
        OperationKind::Delete => return delete::run(&run, run.parts.home_grace).await,
        OperationKind::Purge => return delete::run(&run, Duration::ZERO).await,
        OperationKind::Forget => {
            delete::forget(&run).await?;
            return Ok(Left::Nothing);
        }
        OperationKind::Teardown => shared::teardown(&run).await?,
        OperationKind::Snapshot => snapshots::take(&run).await?,
        OperationKind::Rewind => snapshots::rewind(&run).await?,
        OperationKind::Discard => snapshots::discard(&run).await?,
    }
    Ok(Left::All)
}

/// What is true outside after such a failure is for the reconciler to see.
fn is_open(problem: &Problem) -> bool {
    matches!(
        problem.code,
        Code::Known(
            ErrorCode::ProviderTimeout
                | ErrorCode::ProviderUnreachable
                | ErrorCode::ProviderUnreadable
                | ErrorCode::DockerUnavailable
                | ErrorCode::RuntimeElsewhere
                | ErrorCode::EngineInterrupted
                | ErrorCode::InstanceNotReady
        )
    )
}

fn canceled(problem: Problem) -> Problem {
    match problem.code == ErrorCode::Canceled {
        true => problem,
        false => Problem::new(ErrorCode::Canceled, format!("Canceled, after: {}", problem.detail)),
    }
}
