//! From a journal to the state that it makes of another one.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value as Json, json};

// Kinds of entries.
const BEGIN: i64 = 0;
const SUCCESS: i64 = 1;
const FAILURE: i64 = 2;
const REFRESHED: i64 = 3;
const OUTPUTS: i64 = 4;
const WRITE: i64 = 5;
const SECRETS: i64 = 6;
const REBUILT: i64 = 7;

/// The engine that writes journals.
const VERSION: &str = "v3.276.0";

#[derive(Default)]
struct Replay {
    base: Json,
    /// What was made or kept, in order, by operation; none when it is gone again.
    fresh: Vec<(i64, Option<Json>)>,
    /// Resources of the base that are gone, and those that look different now, by position.
    gone: BTreeSet<usize>,
    changed: BTreeMap<usize, Json>,
    /// Operations that have begun and not ended.
    open: BTreeMap<i64, Json>,
    refreshed: bool,
}

pub fn replay(base: &Json, entries: &[Json]) -> Json {
    let mut replay = Replay { base: base.clone(), ..Replay::default() };
    for entry in entries {
        replay.add(entry);
    }
    replay.deployment()
}

fn number(entry: &Json, field: &str) -> Option<i64> {
    entry[field].as_i64()
}

fn list(of: &Json) -> Vec<Json> {
    of.as_array().cloned().unwrap_or_default()
}

impl Replay {
    fn add(&mut self, entry: &Json) {
        let state = Some(entry["state"].clone()).filter(Json::is_object);
        let operation = number(entry, "operationID").unwrap_or_default();
        match entry["kind"].as_i64() {
            Some(BEGIN) => {
                self.open.insert(operation, entry["operation"].clone());
            }
            Some(FAILURE) => {
                self.open.remove(&operation);
            }
            Some(SUCCESS) => self.succeed(entry, operation, state),
            Some(REFRESHED) => {
                self.open.remove(&operation);
                self.refreshed = true;
                self.supersede(entry, state);
            }
            Some(OUTPUTS) if state.is_some() => self.supersede(entry, state),
            Some(WRITE) => self.base = entry["newSnapshot"].clone(),
            Some(SECRETS) => self.base["secrets_providers"] = entry["secretsProvider"].clone(),
            Some(REBUILT) => *self = Replay { base: self.deployment(), ..Replay::default() },
            _ => {}
        }
    }

    fn succeed(&mut self, entry: &Json, operation: i64, state: Option<Json>) {
        self.open.remove(&operation);
        self.refreshed |= entry["isRefresh"] == true;
        if state.is_some() {
            self.fresh.push((operation, state));
        }
        self.gone.extend(number(entry, "removeOld").map(|at| at as usize));
        for (field, mark) in [("deleteOld", "delete"), ("pendingReplacementOld", "pendingReplacement")] {
            if let Some(at) = number(entry, field) {
                self.base["resources"][at as usize][mark] = true.into();
            }
        }
        for (field, mark) in [("deleteNew", "delete"), ("pendingReplacementNew", "pendingReplacement")] {
            if let Some(resource) = number(entry, field).and_then(|of| self.made_by(of).as_mut()) {
                resource[mark] = true.into();
            }
        }
        if let Some(of) = number(entry, "removeNew") {
            *self.made_by(of) = None;
        }
    }

    /// Another state, or none, in the place of one of the base or of one that was made before.
    fn supersede(&mut self, entry: &Json, state: Option<Json>) {
        if let Some(at) = number(entry, "removeOld").map(|at| at as usize) {
            match state.clone() {
                Some(state) => drop(self.changed.insert(at, state)),
                None => drop(self.gone.insert(at)),
            }
        }
        if let Some(of) = number(entry, "removeNew") {
            *self.made_by(of) = state;
        }
    }

    fn made_by(&mut self, operation: i64) -> &mut Option<Json> {
        let made = self.fresh.iter_mut().rev().find(|(of, _)| *of == operation);
        &mut made.unwrap_or_else(|| panic!("operation {operation} has made nothing")).1
    }

    fn deployment(&self) -> Json {
        let mut resources: Vec<Json> = self.fresh.iter().filter_map(|(_, made)| made.clone()).collect();
        for (at, old) in list(&self.base["resources"]).into_iter().enumerate() {
            if !self.gone.contains(&at) {
                resources.push(self.changed.get(&at).cloned().unwrap_or(old));
            }
        }
        if self.refreshed {
            forget_what_is_gone(&mut resources);
        }
        let mut pending: Vec<Json> = self.open.values().filter(|op| op.is_object()).cloned().collect();
        // Only people know what has become of a create that was cut off.
        pending
            .extend(list(&self.base["pending_operations"]).into_iter().filter(|op| op["type"] == "creating"));
        let magic = digest(&SHA256, VERSION.as_bytes());
        let magic: String = magic.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut made = self.base.clone();
        made["manifest"] = json!({"time": "2026-11-25T00:00:00Z", "magic": magic, "version": VERSION});
        made["resources"] = resources.into();
        made["pending_operations"] = pending.into();
        made
    }
}

/// A refresh may find out that something is gone that others refer to.
fn forget_what_is_gone(resources: &mut [Json]) {
    let there: BTreeSet<String> = resources.iter().map(|resource| resource["urn"].to_string()).collect();
    for resource in resources {
        let is_there = |urn: &Json| there.contains(&urn.to_string());
        if let Some(Json::Array(urns)) = resource.get_mut("dependencies") {
            urns.retain(is_there);
        }
        if let Some(Json::Object(properties)) = resource.get_mut("propertyDependencies") {
            for urns in properties.values_mut() {
                urns.as_array_mut().into_iter().for_each(|urns| urns.retain(is_there));
            }
        }
        for field in ["parent", "deletedWith"] {
            if resource.get(field).is_some_and(|urn| !is_there(urn))
                && let Some(fields) = resource.as_object_mut()
            {
                fields.remove(field);
            }
        }
    }
}
