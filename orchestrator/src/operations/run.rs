//! One operation while it runs: its row, its event stream, its workspace's state.

mod rights;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use automation::Options;
use contracts::operation::{
    Operation, OperationEventBody, OperationKind, OperationState, Phase, Severity, Update,
};
use contracts::snapshot::SnapshotWork;
use contracts::workspace::Endpoint;
use contracts::{ErrorCode, OperationId, Problem, ProviderName};
use jiff::Timestamp;
use provider_api::{Provider, RuntimeRef, Site};
use provider_server::Authority;
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span};

use super::Parts;
use super::ending::{Ending, Why};
use super::progress;
use super::repeated::Repeated;
use super::room::{Place, Room};
use crate::engine::engine_options;
use crate::lifecycle::state::Event;
use crate::store::{Change, End, Hold, Left, Step, StoreError, WorkspaceRow};

/// How long an operation waits for a living Pulumi run that an earlier process left behind.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The same where the process had a claim on it and lost that.
const HEIR: Duration = Duration::from_secs(2);

/// So many events of the engine may wait; those who pass them on are never far behind.
const EVENTS: usize = 4096;

/// How long one Pulumi run may take: no create or change of one runtime comes near it.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How soon a write to the store is tried again.
const STORE_RETRY: Duration = Duration::from_millis(500);

pub struct Run {
    pub parts: Arc<Parts>,
    pub ending: Ending,
    hold: Hold,
    /// Of another process, which may not know yet that it is not its own any more.
    pub inherited: bool,
    operation: Mutex<Operation>,
    /// Where it works; it has no place there while it only waits.
    room: Room,
    place: Mutex<Option<Place>>,
    /// While it has the lease on what all runtimes of its provider share: until when.
    shared_right: Mutex<Option<Authority>>,
    /// Where an instance answers that says of itself that its boot has failed: people repair it there.
    pub failed_at: OnceLock<Endpoint>,
    /// When the last phase was reached here, or the operation claimed.
    reached: Mutex<Instant>,
}

impl Run {
    pub fn new(
        parts: Arc<Parts>,
        (operation, hold, inherited): (Operation, Hold, bool),
        ending: Ending,
        room: Room,
        place: Option<Place>,
    ) -> Self {
        Self {
            parts,
            ending,
            hold,
            inherited,
            operation: Mutex::new(operation),
            room,
            place: Mutex::new(place),
            shared_right: Mutex::default(),
            failed_at: OnceLock::new(),
            reached: Mutex::new(Instant::now()),
        }
    }

    pub fn id(&self) -> OperationId {
        self.hold.operation.clone()
    }

    pub fn kind(&self) -> OperationKind {
        self.operation().kind
    }

    /// Of an update: what it changes.
    pub fn update(&self) -> Update {
        self.operation().update.clone().unwrap_or_default()
    }

    /// Which snapshot it works on.
    pub fn snapshot(&self) -> Result<SnapshotWork, Problem> {
        let work = self.operation().snapshot.clone();
        work.ok_or_else(|| Problem::new(ErrorCode::RecordUnreadable, "The operation names no snapshot."))
    }

    /// Whether the runtime worked before this operation, as far as is known.
    pub async fn worked_before(&self) -> Result<bool, Problem> {
        let operation = self.operation().clone();
        self.patiently(|| self.parts.store.worked_before(&operation)).await
    }

    /// Whether the runtime ran at any time.
    pub async fn has_run(&self) -> Result<bool, Problem> {
        self.patiently(|| self.parts.store.has_run(&self.hold.runtime)).await
    }

    /// Whether it may begin a home anew, empty.
    pub async fn begins_anew(&self) -> Result<bool, Problem> {
        self.patiently(|| self.parts.store.begins_anew(&self.hold.operation)).await
    }

    /// Of a teardown: whose workspaces shared what it removes.
    pub fn provider_name(&self) -> Result<ProviderName, Problem> {
        let name = self.operation().provider.clone();
        name.ok_or_else(|| Problem::new(ErrorCode::RecordUnreadable, "The operation names no provider."))
    }

    pub fn request_id(&self) -> String {
        self.operation().request_id.clone()
    }

    pub fn runtime(&self) -> RuntimeRef {
        let (runtime_id, installation) = (self.hold.runtime.clone(), self.parts.installation.clone());
        RuntimeRef { runtime_id, installation, fence: Some(self.hold.fence) }
    }

    pub fn begin(&self) -> Result<(), Problem> {
        tracing::info!("operation begins");
        let (kind, queued) = {
            let operation = self.operation();
            (operation.kind, operation.phases.queued)
        };
        // One that was taken over has waited for another reason.
        if let Some(queued) = queued.filter(|_| !self.inherited) {
            let waited = Timestamp::now().duration_since(queued).try_into().unwrap_or_default();
            crate::metrics::operation_phase(kind, Phase::Queued, waited);
        }
        self.check_cancelled()
    }

    /// Here, or by whom it was taken over from.
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.operation().phases.get(phase).is_some()
    }

    /// A phase is reached.
    pub async fn reach(&self, phase: Phase) -> Result<(), Problem> {
        self.step(None, Some(phase), None).await
    }

    /// What exists outside is as this row says.
    pub async fn applied(&self, row: &WorkspaceRow, event: Option<Event>) -> Result<(), Problem> {
        super::sites::narrow(self, row).await?;
        self.patiently(|| self.parts.store.applied(&self.hold, row.generation)).await?;
        self.step(event, Some(Phase::Applied), None).await
    }

    /// Something happened to the runtime. `endpoint` is where traffic may go from now on.
    pub async fn observe(&self, event: Event, endpoint: Option<Endpoint>) -> Result<(), Problem> {
        self.step(Some(event), None, endpoint).await
    }

    /// Both, in one commit.
    pub async fn step(
        &self,
        event: Option<Event>,
        phase: Option<Phase>,
        endpoint: Option<Endpoint>,
    ) -> Result<(), Problem> {
        self.check_cancelled()?;
        let phases = phase.map(|phase| {
            let mut operation = self.operation();
            operation.phases.reach(phase, Timestamp::now());
            operation.phases.clone()
        });
        let change = event.map(|event| Change { event, endpoint, error: None });
        let step = Step { phases, change };
        self.patiently(|| self.parts.store.advance(&self.hold, step.clone())).await?;
        if let Some(phase) = phase {
            let before = std::mem::replace(
                &mut *self.reached.lock().unwrap_or_else(PoisonError::into_inner),
                Instant::now(),
            );
            crate::metrics::operation_phase(self.kind(), phase, before.elapsed());
            self.publish(OperationEventBody::Phase { phase });
        }
        Ok(())
    }

    /// Nothing is kept from here on, and no cancel takes the wish back.
    pub async fn end_grace(&self) -> Result<(), Problem> {
        self.patiently(|| self.parts.store.end_grace(&self.hold)).await
    }

    /// What the runtime is to be made from, from here on.
    pub async fn respecify(&self, row: &WorkspaceRow, update: &Update) -> Result<(), Problem> {
        self.patiently(|| self.parts.store.respecify(&self.hold, row, update)).await
    }

    /// At one of these places the runtime is, from here on.
    pub async fn settle(&self, sites: &[Site]) -> Result<(), Problem> {
        self.patiently(|| self.parts.store.settle(&self.hold, sites)).await
    }

    pub fn say(&self, severity: Severity, text: impl Into<String>) {
        self.publish(OperationEventBody::Message { severity, text: text.into() });
    }

    /// From here on it only waits, and another may work.
    pub fn only_waits(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From here on it works again, once there is a place.
    pub async fn works(&self) -> Result<(), Problem> {
        let place = tokio::select! {
            place = self.room.enter() => place,
            () = self.ending.token().cancelled() => return Err(canceled()),
        };
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        Ok(())
    }

    pub fn check_cancelled(&self) -> Result<(), Problem> {
        if self.ending.token().is_cancelled() {
            return Err(canceled());
        }
        Ok(())
    }

    /// The workspace's row; an error when it is gone, which only a finished delete can cause.
    pub async fn row(&self) -> Result<WorkspaceRow, Problem> {
        let runtime = &self.hold.runtime;
        let row = self.patiently(|| self.parts.store.workspace_of(runtime)).await?;
        row.ok_or_else(|| Problem::new(ErrorCode::WorkspaceNotFound, format!("Runtime {runtime} is gone.")))
    }

    pub fn provider(&self, row: &WorkspaceRow) -> Result<Arc<dyn Provider>, Problem> {
        self.parts.providers.serving(row).cloned()
    }

    pub fn compile(&self, row: &WorkspaceRow) -> Result<stacks::Stack, Problem> {
        crate::engine::stack_of(row, &self.parts.providers, &self.parts.installation)
    }

    /// The options of an engine operation, and the task that passes its events on.
    pub fn engine_options(self: &Arc<Self>) -> Options {
        let may_break = self.is_heir() || self.shared_right().is_some();
        let (sender, events) = mpsc::channel(EVENTS);
        let run = Arc::clone(self);
        tokio::spawn(progress::tell(events, move |body| run.publish(body)).in_current_span());
        engine_options()
            .events(sender)
            .cancel(self.ending.token().clone())
            .lock_timeout(if may_break { HEIR } else { LOCK_TIMEOUT })
            .timeout(ENGINE_TIMEOUT)
    }

    /// It is another's to end.
    pub fn leave(&self) {
        tracing::warn!("fenced: another orchestrator goes on with the operation");
    }

    /// Its work is done.
    pub async fn succeed(&self, left: Left, started: Instant) {
        let change = (left != Left::All).then(|| Change::of(Event::DeleteFinished));
        self.finish(OperationState::Succeeded, None, change, left, started).await;
    }

    /// It ends without; the runtime is seen as `change` says, where its state allows that.
    pub async fn fail(&self, state: OperationState, problem: Problem, change: Change, started: Instant) {
        self.finish(state, Some(problem), Some(change), Left::All, started).await;
    }

    async fn finish(
        &self,
        state: OperationState,
        error: Option<Problem>,
        change: Option<Change>,
        left: Left,
        started: Instant,
    ) {
        let phases = {
            let mut operation = self.operation();
            operation.phases.finished = Some(Timestamp::now());
            operation.phases.clone()
        };
        let last = phases.last();
        let end = End { state, phases, error: error.clone(), change, left };
        // An end that is not on record would block the workspace, so it is tried until it is.
        let mut outage = Repeated::default();
        loop {
            match self.parts.store.finish(&self.hold, end.clone()).await {
                Ok(()) => break,
                Err(StoreError::Fenced) => return self.leave(),
                Err(error) if outage.is_news() => {
                    tracing::error!(%error, "the end of the operation is not stored yet");
                }
                Err(_) => {}
            }
            // Whoever has a claim on it by now ends it.
            if self.ending.why() == Some(Why::Fenced) {
                return self.leave();
            }
            if self.parts.shutdown.is_cancelled() {
                return;
            }
            tokio::time::sleep(STORE_RETRY).await;
        }
        let code = error.as_ref().map(|problem| problem.code.as_str()).unwrap_or("none");
        // In a trace: the fields of a span go with all that follows in the log.
        Span::current().record("state", state.as_str()).record("code", code);
        tracing::info!("operation ended");
        self.publish(OperationEventBody::Done { state, error });
        crate::metrics::operation_ended(self.kind(), state, last, started.elapsed());
    }

    /// A disk that is full and a database that is away or takes no writes are waited for: what was accepted is not given up for that.
    pub async fn patiently<T, F>(&self, mut write: impl FnMut() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut outage = Repeated::default();
        loop {
            match write().await {
                Err(error) if error.passes() => {
                    self.check_cancelled()?;
                    if outage.is_news() {
                        tracing::warn!(%error, "waiting for the store");
                    }
                    tokio::time::sleep(STORE_RETRY).await;
                }
                Err(StoreError::Fenced) => {
                    self.ending.because(Why::Fenced);
                    return Err(StoreError::Fenced.into());
                }
                result => return result.map_err(Problem::from),
            }
        }
    }

    fn publish(&self, body: OperationEventBody) {
        self.parts.feed.publish(&self.id(), body);
    }

    fn operation(&self) -> MutexGuard<'_, Operation> {
        self.operation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a step that was cancelled ends with.
pub fn canceled() -> Problem {
    Problem::new(ErrorCode::Canceled, "The operation was canceled.")
}
