//! A stack and the operations on it. Each is one run of the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tracing::Instrument as _;
use tracing::field::Empty;

use crate::engine::{Backend, Command, Operation, OperationKind, OperationResult};
use crate::error::{Error, Result};
use crate::event::StepMetadata;
use crate::options::Options;
use crate::source::Source;
use crate::value::Value;
use crate::workspace::Workspace;

mod config;
mod environments;
mod history;
mod import;
mod manage;
mod open;
mod outputs;
mod remote;
mod repair;
mod request;
mod secrets;
mod state;
mod tags;

pub use history::{HistoryOptions, UpdateInfo};
pub use import::{ImportOptions, ImportResource, Imported};
pub use manage::{CreateOptions, RemoveOptions};
pub use remote::RemoteStack;
pub use repair::Repair;
pub use request::Request;
use request::Work;
pub use secrets::SecretsProvider;
pub use state::Deployment;

/// One stack of a [`Workspace`]. Cheap to clone; holds nothing open.
#[derive(Debug, Clone)]
pub struct Stack {
    pub(crate) workspace: Workspace,
    pub(crate) name: String,
}

/// What an operation did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Steps by their operation: `create`, `same`, ...
    pub changes: BTreeMap<String, u64>,
    /// The steps in the order the engine announced them, the stack itself and providers left out.
    pub steps: Vec<StepMetadata>,
    /// What was printed.
    pub stdout: String,
    /// What was printed to the standard error.
    pub stderr: String,
}

impl Summary {
    /// True when no step changes anything.
    pub fn is_unchanged(&self) -> bool {
        self.changes.iter().all(|(op, count)| op == "same" || *count == 0)
    }

    /// Where the operation can be looked at, if its backend has a page for it; a folder has none.
    pub fn permalink(&self) -> Option<&str> {
        let marks = ["View Live: ", "View in Browser (Ctrl+O): ", "View in Browser: ", "Permalink: "];
        let line = self.stdout.lines().find_map(|line| {
            marks.iter().find_map(|mark| line.split_once(mark).map(|(_, address)| address.trim()))
        });
        line.filter(|address| address.starts_with("http"))
    }
}

/// The result of [`Stack::up`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Update {
    /// The stack's outputs; secrets are [`Value::Secret`]. Those of a program that did not run in this
    /// process are hidden as `Secret(Unknown)`: [`Stack::outputs`] tells them.
    pub outputs: BTreeMap<String, Value>,
    /// What was done.
    pub summary: Summary,
    pub(crate) stack: Stack,
}

impl Update {
    /// The entry of this update in the stack's history: version, times, configuration. It is asked for now, which is one
    /// more command; the latest entry is told, so that of another run if there has been one since.
    pub async fn info(&self) -> Result<Option<UpdateInfo>> {
        self.stack.last_update().await
    }
}

impl Stack {
    /// As it was given: plain, or with organisation and project.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The workspace it is in.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Brings the stack to what the program says; `pulumi up`.
    pub fn up(&self, program: impl Into<Source>) -> Request<Update> {
        self.request(OperationKind::Up, program.into(), |stack, mut finished, _| {
            let outputs = finished.outputs.take().unwrap_or_default();
            Update { outputs, summary: summarize(finished), stack }
        })
    }

    /// Plans what `up` would do and changes nothing; `pulumi preview`. Takes no lock.
    pub fn preview(&self, program: impl Into<Source>) -> Request<Summary> {
        self.summary_of(OperationKind::Preview, program.into())
    }

    /// Brings the state to what the providers say; `pulumi refresh`. The program is not run unless
    /// [`Options::run_program`] says so.
    pub fn refresh(&self, program: impl Into<Source>) -> Request<Summary> {
        self.summary_of(OperationKind::Refresh, program.into())
    }

    /// What a refresh would change in the state; `pulumi refresh --preview-only`. Takes no lock.
    pub fn preview_refresh(&self, program: impl Into<Source>) -> Request<Summary> {
        self.summary_of(OperationKind::PreviewRefresh, program.into())
    }

    /// Deletes every resource; `pulumi destroy`. The stack itself stays unless [`Options::remove`] says
    /// otherwise. The program is not run unless [`Options::run_program`] says so.
    pub fn destroy(&self, program: impl Into<Source>) -> Request<Summary> {
        self.summary_of(OperationKind::Destroy, program.into())
    }

    /// What a destroy would delete; `pulumi destroy --preview-only`. Takes no lock.
    pub fn preview_destroy(&self, program: impl Into<Source>) -> Request<Summary> {
        self.summary_of(OperationKind::PreviewDestroy, program.into())
    }

    fn summary_of(&self, kind: OperationKind, program: Source) -> Request<Summary> {
        self.request(kind, program, |_, finished, _| summarize(finished))
    }

    fn request<T>(
        &self,
        kind: OperationKind,
        program: Source,
        finish: fn(Stack, OperationResult, Option<String>) -> T,
    ) -> Request<T> {
        let (stack, options) = (self.clone(), Options::default());
        Request { stack, kind, work: Work::Program(program), options, finish }
    }

    pub(crate) async fn operate(
        &self,
        kind: OperationKind,
        program: Source,
        own: Command,
        options: &Options,
    ) -> Result<OperationResult> {
        let operation = Operation { kind, stack: &self.name, program, own, options };
        let span = tracing::info_span!("operation", stack = self.name, ?kind, outcome = Empty);
        let result = self.workspace.engine().operate(self.workspace.place(), &operation);
        let result =
            self.workspace.observed(kind.command(), &self.name, result.instrument(span.clone())).await;
        // Without one when the future was dropped.
        span.record("outcome", outcome(&result));
        result
    }

    pub(crate) async fn command(&self, command: Command) -> Result<String> {
        self.workspace.command(&command).await
    }
}

/// In one word, for a log; the error tells the rest to the caller.
fn outcome(result: &Result<OperationResult>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(Error::Canceled) => "canceled",
        Err(Error::TimedOut { .. }) => "timed out",
        Err(_) => "failed",
    }
}

/// The stack itself, its providers, and looking are not what anybody counts as steps.
pub(crate) fn summarize(finished: OperationResult) -> Summary {
    let own = ["pulumi:pulumi:", "pulumi:providers:"];
    let steps = finished.steps.into_iter().filter(|step| step.op != "refresh");
    let steps = steps.filter(|step| !own.iter().any(|own| step.resource_type.starts_with(own))).collect();
    let changes = finished.summary.map(|summary| summary.resource_changes).unwrap_or_default();
    Summary { changes, steps, stdout: finished.stdout, stderr: finished.stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_an_operation_is_found_in_what_was_printed() {
        let permalink = |stdout: &str| {
            let summary = Summary { stdout: stdout.to_owned(), ..Summary::default() };
            summary.permalink().map(str::to_owned)
        };
        let page = "https://app.pulumi.com/me/shop/dev/updates/3";
        for line in ["View Live: ", "View in Browser (Ctrl+O): ", "View in Browser: ", "Permalink: "] {
            let printed = format!("Updating (dev)\n\n{line}{page}\n\nResources:\n    1 unchanged\n");
            assert_eq!(permalink(&printed).as_deref(), Some(page), "{line}");
        }
        assert_eq!(permalink("Permalink: file:///state/.pulumi/stacks/shop/dev.json\n"), None);
        assert_eq!(permalink("Resources:\n    1 unchanged\n"), None);
    }
}
