//! Runs accepted operations to their end: in order for each runtime, several runtimes at once, each as
//! durable as its row in the store.

mod apply;
mod create;
mod delete;
mod feed;
mod run;
mod shared;
#[cfg(test)]
pub(crate) mod stand_in;
mod start;
mod steady;
mod stop;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::operation::{Operation, OperationKind, OperationState};
use contracts::{ErrorCode, InstallationId, OperationId, Problem, RuntimeId};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::Engine;
use crate::lifecycle::state::Event;
use crate::store::Store;
use crate::wiring::Providers;

pub use feed::{Feed, OperationStream};
use run::Run;
pub use shared::Applied as SharedStacks;
pub(crate) use steady::steady;

/// How many operations run at once. Each is a CLI process and a booting instance.
const AT_ONCE: usize = 8;

/// What every operation needs.
pub struct Parts {
    pub store: Store,
    pub engine: Arc<Engine>,
    pub providers: Providers,
    pub installation: InstallationId,
    pub feed: Feed,
    pub ready_timeout: Duration,
    /// The process is stopping: operations are left as they are, the next process resumes them.
    pub shutdown: CancellationToken,
    pub probe: reqwest::Client,
    pub shared: SharedStacks,
}

/// Runs operations. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    parts: Arc<Parts>,
    slots: Arc<Semaphore>,
    turns: Arc<Mutex<Turns>>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Turns {
    cancel: HashMap<OperationId, CancellationToken>,
    /// Cancelled when the last operation submitted for the runtime has ended.
    ended: HashMap<RuntimeId, CancellationToken>,
}

impl Runner {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            turns: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    pub fn feed(&self) -> &Feed {
        &self.parts.feed
    }

    /// Takes over everything that an earlier process accepted and did not finish.
    pub async fn resume(&self) -> Result<usize, Problem> {
        let unfinished = self.parts.store.unfinished_operations().await?;
        let count = unfinished.len();
        for operation in &unfinished {
            self.submit(operation.clone());
        }
        // A delete that was accepted meant to cancel what came before it.
        for delete in unfinished.iter().filter(|operation| operation.kind == OperationKind::Delete) {
            for earlier in unfinished.iter().take_while(|operation| operation.id != delete.id) {
                if earlier.runtime_id == delete.runtime_id {
                    self.cancel(&earlier.id);
                }
            }
        }
        Ok(count)
    }

    /// Runs an operation that is in the store, after those submitted before it for the same runtime.
    pub fn submit(&self, operation: Operation) {
        // The end of the process cancels every operation, a delete only those before it.
        let (cancel, ended) = (self.parts.shutdown.child_token(), CancellationToken::new());
        let before = {
            let mut turns = self.turns();
            turns.cancel.insert(operation.id.clone(), cancel.clone());
            turns.ended.insert(operation.runtime_id.clone(), ended.clone())
        };
        self.parts.feed.open(&operation);
        let runner = self.clone();
        self.tasks.spawn(async move {
            // However this ends, those behind it get their turn.
            let ended = ended.drop_guard();
            if let Some(before) = before {
                before.cancelled().await;
            }
            let (id, runtime) = (operation.id.clone(), operation.runtime_id.clone());
            if let Ok(_slot) = runner.slots.clone().acquire_owned().await {
                runner.drive(operation, cancel).await;
            }
            drop(ended);
            let mut turns = runner.turns();
            turns.cancel.remove(&id);
            // Only when nothing was submitted behind this one.
            if turns.ended.get(&runtime).is_some_and(CancellationToken::is_cancelled) {
                turns.ended.remove(&runtime);
            }
        });
    }

    /// Removes what all runtimes of a provider share; `false` when that is nothing.
    pub async fn remove_shared(&self, provider: &dyn provider_api::Provider) -> Result<bool, Problem> {
        shared::remove(&self.parts, provider).await
    }

    /// Asks a submitted operation to end; nothing happens when it has ended.
    pub fn cancel(&self, id: &OperationId) {
        if let Some(cancel) = self.turns().cancel.get(id) {
            cancel.cancel();
        }
    }

    /// Waits until nothing runs. `Parts::shutdown` must be cancelled before.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drive(&self, operation: Operation, cancel: CancellationToken) {
        if self.parts.shutdown.is_cancelled() {
            return;
        }
        let started = std::time::Instant::now();
        let run = Arc::new(Run::new(Arc::clone(&self.parts), operation, cancel.clone()));
        // A task of its own, so that a panic in one operation is that operation's failure only.
        let result = tokio::spawn(execute(Arc::clone(&run))).await.unwrap_or_else(|panic| {
            tracing::error!(%panic, operation = %run.id(), "an operation panicked");
            Err(Problem::new(
                ErrorCode::Internal,
                "The operation ended unexpectedly; the log has the reason.",
            ))
        });
        let (state, error) = match result {
            Ok(()) => (OperationState::Succeeded, None),
            // The end of the process cancels as well; then the next process goes on where this one was.
            Err(_) if cancel.is_cancelled() && self.parts.shutdown.is_cancelled() => return,
            Err(problem) if cancel.is_cancelled() => (OperationState::Canceled, Some(canceled(problem))),
            Err(problem) => (OperationState::Failed, Some(problem)),
        };
        let error = error.map(|problem| problem.with_request_id(run.request_id()));
        if let (OperationState::Failed, Some(problem)) = (state, &error) {
            run.observe_failure(Event::OperationFailed, problem).await;
        }
        run.finish(state, error, Timestamp::now()).await;
        crate::metrics::operation_ended(run.kind(), state, started.elapsed());
    }
}

async fn execute(run: Arc<Run>) -> Result<(), Problem> {
    run.begin().await?;
    match run.kind() {
        OperationKind::Create => create::run(&run).await,
        // What was suspended goes on where it was; what was not is started.
        OperationKind::Start | OperationKind::Resume => start::run(&run).await,
        OperationKind::Stop => stop::run(&run).await,
        OperationKind::Suspend => stop::suspend(&run).await,
        OperationKind::Delete => delete::run(&run).await,
    }
}

fn canceled(problem: Problem) -> Problem {
    match problem.code {
        ErrorCode::Canceled => problem,
        _ => Problem::new(ErrorCode::Canceled, format!("Cancelled by a delete, after: {}", problem.detail)),
    }
}
