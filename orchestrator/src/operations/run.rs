//! One operation while it runs: its row, its event stream, its workspace's state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use automation::{EngineEvent, EventKind, Options};
use contracts::operation::{Operation, OperationEventBody, OperationKind, OperationState, Phase, Severity};
use contracts::workspace::Endpoint;
use contracts::{ErrorCode, OperationId, Problem};
use jiff::Timestamp;
use provider_api::{Provider, RuntimeRef};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::engine::engine_options;
use crate::lifecycle::state::{Event, next};
use crate::store::{Change, StoreError, WorkspaceRow};

/// How long an operation waits for a living Pulumi run that an earlier process left behind.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// So many events of the engine may wait; those who pass them on are never far behind.
const EVENTS: usize = 4096;

/// How long one Pulumi run may take: no create or delete of one runtime comes near it.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How soon a write to the store is tried again.
const STORE_RETRY: Duration = Duration::from_millis(500);

pub struct Run {
    pub parts: Arc<Parts>,
    /// Cancelled by a delete of the workspace or by the end of the process.
    pub cancel: CancellationToken,
    operation: Mutex<Operation>,
}

impl Run {
    pub fn new(parts: Arc<Parts>, operation: Operation, cancel: CancellationToken) -> Self {
        Self { parts, cancel, operation: Mutex::new(operation) }
    }

    pub fn id(&self) -> OperationId {
        self.operation().id.clone()
    }

    pub fn kind(&self) -> OperationKind {
        self.operation().kind
    }

    pub fn request_id(&self) -> String {
        self.operation().request_id.clone()
    }

    pub fn runtime(&self) -> RuntimeRef {
        let runtime_id = self.operation().runtime_id.clone();
        RuntimeRef { runtime_id, installation: self.parts.installation.clone(), fence: None }
    }

    pub async fn begin(&self) -> Result<(), Problem> {
        self.operation().state = OperationState::Running;
        self.check_cancelled()?;
        let (id, kind, request_id) = (self.id(), self.kind(), self.request_id());
        tracing::info!(operation = %id, ?kind, runtime = %self.runtime().runtime_id, requestId = request_id, "operation begins");
        self.save().await
    }

    pub async fn reach(&self, phase: Phase) -> Result<(), Problem> {
        self.check_cancelled()?;
        self.operation().phases.reach(phase, Timestamp::now());
        self.save().await?;
        self.publish(OperationEventBody::Phase { phase });
        Ok(())
    }

    pub fn say(&self, severity: Severity, text: impl Into<String>) {
        self.publish(OperationEventBody::Message { severity, text: text.into() });
    }

    pub fn check_cancelled(&self) -> Result<(), Problem> {
        if self.cancel.is_cancelled() {
            return Err(canceled());
        }
        Ok(())
    }

    /// The workspace's row; an error when it is gone, which only a finished delete can cause.
    pub async fn row(&self) -> Result<WorkspaceRow, Problem> {
        let runtime = self.runtime().runtime_id;
        let row = self.parts.store.workspace_of(&runtime).await?;
        row.ok_or_else(|| Problem::new(ErrorCode::WorkspaceNotFound, format!("Runtime {runtime} is gone.")))
    }

    pub fn provider(&self, row: &WorkspaceRow) -> Result<Arc<dyn Provider>, Problem> {
        self.parts.providers.get(row.provider.as_str()).cloned()
    }

    pub fn compile(&self, row: &WorkspaceRow) -> Result<stacks::Stack, Problem> {
        crate::engine::stack_of(row, &self.parts.providers, &self.parts.installation)
    }

    /// Moves the workspace on. `endpoint` is where traffic may go from now on.
    pub async fn observe(&self, event: Event, endpoint: Option<Endpoint>) -> Result<(), Problem> {
        self.transition(event, endpoint, None).await
    }

    /// Records why an operation failed; logged and left when the state does not allow it.
    pub async fn observe_failure(&self, event: Event, problem: &Problem) {
        if let Err(error) = self.transition(event, None, Some(problem.clone())).await {
            tracing::warn!(operation = %self.id(), %error, "the failure could not be shown on the workspace");
        }
    }

    async fn transition(
        &self,
        event: Event,
        endpoint: Option<Endpoint>,
        error: Option<Problem>,
    ) -> Result<(), Problem> {
        loop {
            let row = self.row().await?;
            let observed = next(row.observed, event)
                .map_err(|illegal| Problem::new(ErrorCode::OperationInProgress, format!("{illegal}.")))?;
            let change = Change { observed, endpoint: endpoint.clone(), error: error.clone() };
            let written =
                self.patiently(|| self.parts.store.observe(&row.runtime_id, row.observed, &change)).await?;
            if written {
                return Ok(());
            }
        }
    }

    /// The options of an engine operation, and the task that passes its events on.
    pub fn engine_options(self: &Arc<Self>) -> Options {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let run = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                run.pass_on(event);
            }
        });
        engine_options()
            .events(sender)
            .cancel(self.cancel.clone())
            .lock_timeout(LOCK_TIMEOUT)
            .timeout(ENGINE_TIMEOUT)
    }

    pub async fn finish(&self, state: OperationState, error: Option<Problem>, at: Timestamp) {
        {
            let mut operation = self.operation();
            operation.state = state;
            operation.error = error.clone();
            operation.phases.finished = Some(at);
        }
        // An end that is not on record would block the workspace, so it is tried until it is.
        while let Err(problem) = self.save().await {
            tracing::error!(operation = %self.id(), %problem, "the end of the operation is not stored yet");
            if self.parts.shutdown.is_cancelled() {
                return;
            }
            tokio::time::sleep(STORE_RETRY).await;
        }
        let code = error.as_ref().map(|problem| problem.code.as_str()).unwrap_or("none");
        tracing::info!(operation = %self.id(), ?state, code, requestId = self.request_id(), "operation ended");
        self.publish(OperationEventBody::Done { state, error });
    }

    fn pass_on(&self, event: EngineEvent) {
        let (step, done) = match event.kind {
            EventKind::ResourcePre(step) => (step, false),
            EventKind::ResourceOutputs(step) => (step, true),
            _ => return,
        };
        // The stack and the default provider are Pulumi's own, not the user's.
        if step.op == "same" || step.resource_type.starts_with("pulumi:") {
            return;
        }
        let name = step.name().to_owned();
        self.publish(OperationEventBody::Resource {
            op: step.op,
            name,
            resource_type: step.resource_type,
            done,
        });
    }

    async fn save(&self) -> Result<(), Problem> {
        let operation = self.operation().clone();
        self.patiently(|| self.parts.store.save_operation(&operation)).await
    }

    /// A disk that is full is waited for: what was accepted is not given up for it.
    async fn patiently<T, F>(&self, mut write: impl FnMut() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match write().await {
                Err(StoreError::Full) if !self.parts.shutdown.is_cancelled() => {
                    tracing::warn!(operation = %self.id(), "the store's disk is full; waiting for space");
                    tokio::time::sleep(STORE_RETRY).await;
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
    Problem::new(ErrorCode::Canceled, "The operation was cancelled.")
}
