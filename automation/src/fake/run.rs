//! What one operation of the fake engine does to its resources, step by step.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::mpsc;
use tonic::Status;

use super::state::{Resource, blinded};
use crate::error::{Diagnostic, FailedOperation};
use crate::event::{DiagnosticEvent, EngineEvent, EventKind, StepFailure, StepMetadata};
use crate::value::Value;
use crate::wire::STACK_TYPE;

/// One operation under way.
pub(super) struct Run {
    pub project: String,
    pub stack: String,
    pub preview: bool,
    pub old: Vec<Resource>,
    pub made: Vec<Resource>,
    /// The last number that became an id.
    pub ids: u64,
    pub changes: BTreeMap<String, u64>,
    pub diagnostics: Vec<Diagnostic>,
    pub failed: Vec<FailedOperation>,
    pub events: mpsc::UnboundedSender<EngineEvent>,
    pub sequence: i64,
}

/// As the engine builds it: the types of a resource's parents are part of it.
pub(super) fn urn(stack: &str, project: &str, parent: &str, kind: &str, name: &str) -> String {
    let parents = parent.split("::").nth(2).filter(|kind| *kind != STACK_TYPE);
    let qualified = parents.map_or(kind.to_owned(), |parents| format!("{parents}${kind}"));
    format!("urn:pulumi:{stack}::{project}::{qualified}::{name}")
}

impl Run {
    pub fn emit(&mut self, kind: EventKind) {
        self.sequence += 1;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        // Nobody listens any more once the operation was dropped.
        let _ = self.events.send(EngineEvent { sequence: self.sequence, timestamp, kind });
    }

    /// What has to be done for a resource; told to whoever listens.
    pub fn begin(&mut self, resource: &Resource) -> Result<&'static str, Status> {
        if self.made.iter().any(|made| made.urn == resource.urn) {
            let message = format!("Duplicate resource URN '{}'; try giving it a unique name", resource.urn);
            self.diagnostics.push(Diagnostic { urn: resource.urn.clone(), message: message.clone() });
            return Err(Status::invalid_argument(message));
        }
        let op = match self.old.iter().find(|old| old.urn == resource.urn) {
            None => "create",
            Some(old) if old.inputs == resource.inputs => "same",
            Some(_) => "update",
        };
        self.step(resource, op, EventKind::ResourcePre);
        Ok(op)
    }

    /// Records what was done; the resource as it is now.
    pub fn done(&mut self, mut resource: Resource, op: &'static str) -> Resource {
        let old = self.old.iter().find(|old| old.urn == resource.urn);
        resource.id = match old {
            Some(old) => old.id.clone(),
            None if self.preview || !resource.custom => String::new(),
            None => {
                self.ids += 1;
                format!("fake-{}", self.ids)
            }
        };
        // What a program has made itself has the outputs of before until the program gives new ones.
        if !resource.custom
            && let Some(old) = old
        {
            resource.outputs.clone_from(&old.outputs);
        }
        *self.changes.entry(op.to_owned()).or_default() += 1;
        if resource.kind != STACK_TYPE {
            self.step(&resource, op, EventKind::ResourceOutputs);
        }
        self.made.push(resource.clone());
        resource
    }

    /// Records a resource's outputs; nothing when it is not known.
    pub fn outputs(&mut self, urn: &str, outputs: BTreeMap<String, Value>) -> Option<()> {
        let resource = self.made.iter_mut().find(|resource| resource.urn == urn)?;
        resource.outputs = outputs;
        let resource = resource.clone();
        let op = if self.old.iter().any(|old| old.urn == urn) { "same" } else { "create" };
        self.step(&resource, op, EventKind::ResourceOutputs);
        Some(())
    }

    pub fn failed(&mut self, resource: &Resource, op: &str, message: &str, outcome_unknown: bool) {
        self.diagnostic(&resource.urn, message);
        let metadata = metadata(resource, op);
        let status = if outcome_unknown { 2 } else { 0 };
        self.failed.push(FailedOperation { op: op.to_owned(), urn: resource.urn.clone(), outcome_unknown });
        self.emit(EventKind::ResourceFailed(StepFailure { metadata, status }));
    }

    pub fn diagnostic(&mut self, urn: &str, message: &str) {
        self.diagnostics.push(Diagnostic { urn: urn.to_owned(), message: message.to_owned() });
        self.emit(EventKind::Diagnostic(DiagnosticEvent {
            urn: urn.to_owned(),
            message: message.to_owned(),
            severity: "error".to_owned(),
            ..DiagnosticEvent::default()
        }));
    }

    pub fn step(&mut self, resource: &Resource, op: &str, kind: fn(StepMetadata) -> EventKind) {
        self.emit(kind(metadata(resource, op)));
    }

    /// The state after the run: what was made, and what was there and not touched.
    pub fn resources(&self) -> Vec<Resource> {
        let untouched = self.old.iter().filter(|old| !self.made.iter().any(|made| made.urn == old.urn));
        self.made.iter().chain(untouched).cloned().collect()
    }
}

fn metadata(resource: &Resource, op: &str) -> StepMetadata {
    let state = json!({
        "urn": resource.urn, "type": resource.kind, "id": resource.id, "custom": resource.custom,
        "inputs": blinded(&resource.inputs), "outputs": blinded(&resource.outputs),
    });
    let (old, new) = if op == "delete" { (Some(state), None) } else { (None, Some(state)) };
    StepMetadata {
        op: op.to_owned(),
        urn: resource.urn.clone(),
        resource_type: resource.kind.clone(),
        logical: true,
        old,
        new,
        ..StepMetadata::default()
    }
}
