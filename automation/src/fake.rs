//! An engine without Pulumi, for the tests of whoever uses this crate: programs really run, against a
//! resource monitor in this process; stacks, state and configuration are kept in memory; no provider is
//! asked, a resource's outputs are its inputs. What goes wrong, and when, is scripted.
//!
//! Transforms, hooks and functions are refused, because it calls nobody back and has no providers. Aliases,
//! `ignore_changes`, `replace_on_changes` and timeouts are not looked at: a resource is known by its URN alone.
//!
//! It passes the conformance suite of the real engine (`tests/conformance`).
//!
//! ```
//! # use pulumi_auto::{FakeEngine, Workspace};
//! # async fn run() -> pulumi_auto::Result<()> {
//! let engine = FakeEngine::new();
//! engine.fail("database", "quota used up");
//! let stack = Workspace::temporary(engine.clone(), "shop")?.stack("dev");
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::engine::{Command, Engine, Operation, OperationKind, OperationResult, Place};
use crate::error::{Error, Result};
use crate::event::{EngineEvent, EventKind};

mod commands;
mod monitor;
mod operate;
mod run;
mod state;

use state::StackState;

/// Clones share everything.
#[derive(Clone, Default)]
pub struct FakeEngine {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// By project and stack.
    stacks: BTreeMap<(String, String), StackState>,
    selected: Option<String>,
    calls: Vec<Call>,
    scripts: Vec<Script>,
}

/// What was asked of the engine.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Call {
    /// A command.
    Command(Command),
    /// An operation.
    Operation {
        /// What was to be done.
        kind: OperationKind,
        /// The stack's name.
        stack: String,
    },
}

/// What is to happen once; the first that fits is taken.
enum Script {
    Step { resource: String, what: StepScript },
    Operation { kind: OperationKind, events: Vec<EventKind>, error: Option<Error> },
}

#[derive(Clone)]
enum StepScript {
    Fail { message: String, outcome_unknown: bool },
    Delay(Duration),
    Hold(Arc<Hold>),
}

#[derive(Default)]
struct Hold {
    reached: Notify,
    released: Notify,
}

/// A step that waits: see [`FakeEngine::hold`]. Dropped, it lets the step go on.
pub struct HoldGuard(Arc<Hold>);

impl HoldGuard {
    /// Until the step has begun.
    pub async fn reached(&self) {
        self.0.reached.notified().await;
    }

    /// Lets the step go on.
    pub fn release(self) {}
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.0.released.notify_one();
    }
}

impl std::fmt::Debug for FakeEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FakeEngine")
    }
}

impl FakeEngine {
    /// An engine that knows no stack.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next create, update or delete of the resource with this logical name is refused by its
    /// provider with these words; nothing happened to it.
    pub fn fail(&self, resource: &str, message: &str) {
        self.step(resource, StepScript::Fail { message: message.to_owned(), outcome_unknown: false });
    }

    /// As [`FakeEngine::fail`], with a provider that cannot say whether anything happened.
    pub fn lose(&self, resource: &str, message: &str) {
        self.step(resource, StepScript::Fail { message: message.to_owned(), outcome_unknown: true });
    }

    /// The next step of the resource takes this long.
    pub fn delay(&self, resource: &str, time: Duration) {
        self.step(resource, StepScript::Delay(time));
    }

    /// The next step of the resource waits until it is released.
    pub fn hold(&self, resource: &str) -> HoldGuard {
        let hold = Arc::new(Hold::default());
        self.step(resource, StepScript::Hold(Arc::clone(&hold)));
        HoldGuard(hold)
    }

    /// The next operation of this kind emits these events, and then ends with the error, without running
    /// anything.
    pub fn end_with(&self, kind: OperationKind, events: Vec<EventKind>, error: Error) {
        self.lock().scripts.push(Script::Operation { kind, events, error: Some(error) });
    }

    /// The next operation of this kind emits these events first, and then runs as always.
    pub fn emit(&self, kind: OperationKind, events: Vec<EventKind>) {
        self.lock().scripts.push(Script::Operation { kind, events, error: None });
    }

    /// Everything that was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    fn step(&self, resource: &str, what: StepScript) {
        self.lock().scripts.push(Script::Step { resource: resource.to_owned(), what });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is kept is valid between any two statements, so a panic elsewhere does not spoil it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_step(&self, resource: &str) -> Option<StepScript> {
        let mut inner = self.lock();
        let at = inner
            .scripts
            .iter()
            .position(|script| matches!(script, Script::Step { resource: named, .. } if named == resource))?;
        match inner.scripts.remove(at) {
            Script::Step { what, .. } => Some(what),
            Script::Operation { .. } => None,
        }
    }

    fn take_operation(&self, kind: OperationKind) -> (Vec<EventKind>, Option<Error>) {
        let mut inner = self.lock();
        let fits = |script: &Script| matches!(script, Script::Operation { kind: of, .. } if *of == kind);
        let at = inner.scripts.iter().position(fits);
        match at.map(|at| inner.scripts.remove(at)) {
            Some(Script::Operation { events, error, .. }) => (events, error),
            _ => (Vec::new(), None),
        }
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn version(&self) -> &str {
        "fake"
    }

    async fn command(&self, place: &Place, command: &Command) -> Result<String> {
        let mut inner = self.lock();
        inner.calls.push(Call::Command(command.clone()));
        commands::run(&mut inner, place, command)
    }

    async fn operate(&self, place: &Place, operation: &Operation<'_>) -> Result<OperationResult> {
        let call = Call::Operation { kind: operation.kind, stack: operation.stack.to_owned() };
        self.lock().calls.push(call);
        let (events, error) = self.take_operation(operation.kind);
        let mut sequence = 0;
        for kind in events {
            sequence += 1;
            if let Some(listener) = &operation.options.events {
                let _ = listener.try_send(EngineEvent { sequence, timestamp: 0, kind });
            }
        }
        match error {
            Some(error) => Err(error),
            None => operate::run(self, place, operation, sequence).await,
        }
    }
}
