//! What has to be true whatever was broken, once nothing is broken any more. Each has a name, by which reports tell of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use crate::witness::{Kind, Object};
use crate::world::World;

/// Every one, and what it says.
pub const ALL: &[(&str, &str)] = &[
    ("answers_are_no_faults", "no request is answered with an internal error"),
    ("every_request_is_answered", "a client that asks again is answered once the faults are over"),
    ("what_is_broken_comes_back", "servers start again, and end cleanly when they are asked to"),
    ("accepted_operations_end", "what was answered 202 is found later, and has ended"),
    ("operations_end_once", "its events are whole and end with one last word, which never changes"),
    ("workspaces_are_as_desired", "or failed, with a problem that says what to do"),
    ("deleted_is_gone", "what is desired deleted is neither listed nor found outside"),
    ("no_orphan", "the witness knows no object of a runtime that no workspace has"),
    ("no_double", "the witness knows no two machines or volumes of one runtime"),
    ("nothing_is_missing", "what is ready runs, what is stopped does not, and both have their volume"),
    (
        "homes_are_kept",
        "what was written into a home when it was new is in it until its workspace is deleted",
    ),
    ("no_late_write", "no write took effect under a lower fence than one before it"),
    ("no_effect_without_intent", "nothing was made for a runtime that the store does not know"),
    ("one_key_one_operation", "the same idempotency key gave the same operation"),
    ("what_is_shared_is_there", "what all machines need was removed after the last of them"),
    ("slugs_are_unique", "no two workspaces have one name, and a race for it has one winner"),
    ("routes_are_those_of_the_ready", "of every orchestrator, with the address that the witness sees"),
];

/// One that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub invariant: &'static str,
    pub detail: String,
}

impl Violation {
    pub fn new(invariant: &'static str, detail: impl Into<String>) -> Self {
        Self { invariant, detail: detail.into() }
    }
}

/// What is true at last, after all that is still under way: empty when it is.
pub async fn standing(world: &World, deadline: Instant) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for state in ["queued", "running"] {
        let open = world.api.all(&format!("/v1/operations?state={state}"), "operations", deadline).await?;
        found.extend(open.iter().map(|operation| {
            let words = format!(
                "the {} {} of {} is {state}",
                text(operation, "kind"),
                text(operation, "id"),
                text(operation, "slug")
            );
            Violation::new("accepted_operations_end", words)
        }));
    }
    let workspaces = world.api.all("/v1/workspaces", "workspaces", deadline).await?;
    let objects = world.witness.objects()?;
    found.extend(workspaces.iter().filter_map(desired));
    found.extend(unique(&workspaces));
    let volumes = objects.iter().filter(|it| it.kind == Kind::Volume).map(|it| it.runtime.clone());
    let homes = {
        let mut kept = world.ledger.lock();
        kept.homes.extend(volumes);
        kept.homes.clone()
    };
    found.extend(outside(&workspaces, &objects, &homes));
    found.extend(marks(world, &workspaces, &objects));
    for server in 0..world.servers.len() {
        found.extend(routes(world, server, &workspaces, &objects).await);
    }
    Ok(found)
}

fn desired(workspace: &Value) -> Option<Violation> {
    let (desired, state) = (text(workspace, "desired"), text(workspace, "state"));
    let error = &workspace["error"];
    let fits = match (desired, state) {
        ("running", "ready") | ("stopped", "stopped") | ("suspended", "suspended") => true,
        // What was suspended was removed by hand: there is nothing to keep any more.
        ("suspended", "stopped") => true,
        // What may pass is tried again, and so this is not its end.
        ("running" | "stopped" | "suspended", "failed") => {
            error["action"].is_string() && error["retryable"] != true
        }
        _ => false,
    };
    let invariant = if desired == "deleted" { "deleted_is_gone" } else { "workspaces_are_as_desired" };
    let words = format!("{} is to be {desired} and is {state}: {error}", text(workspace, "slug"));
    (!fits).then(|| Violation::new(invariant, words))
}

fn unique(workspaces: &[Value]) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let again = workspaces.iter().map(|it| text(it, "slug")).filter(|slug| !seen.insert(*slug));
    again.map(|slug| Violation::new("slugs_are_unique", format!("two are called {slug}"))).collect()
}

/// The file that is put into each home once, and its runtime in it.
const MARK: &str = ".pilot-chaos";

/// Puts one where none was, and looks for those that were put.
fn marks(world: &World, workspaces: &[Value], objects: &[Object]) -> Vec<Violation> {
    let mut found = Vec::new();
    for volume in objects.iter().filter(|it| it.kind == Kind::Volume) {
        if !workspaces.iter().any(|row| text(row, "runtimeId") == volume.runtime) {
            continue;
        }
        let Some(mark) = world.witness.home(&volume.name).map(|home| home.join(MARK)) else { continue };
        if world.ledger.lock().marked.contains(&volume.runtime) {
            let read = std::fs::read_to_string(&mark);
            if read.as_ref().ok() != Some(&volume.runtime) {
                let words = format!("the home {} of {} has {read:?}", volume.name, volume.runtime);
                found.push(Violation::new("homes_are_kept", words));
            }
        } else if std::fs::write(&mark, &volume.runtime).is_ok() {
            world.ledger.lock().marked.insert(volume.runtime.clone());
        }
    }
    found
}

/// Rows against what the witness sees. A create that was cancelled in time has left nothing, and is stopped.
fn outside(workspaces: &[Value], objects: &[Object], homes: &BTreeSet<String>) -> Vec<Violation> {
    let rows: HashMap<&str, &Value> = workspaces.iter().map(|it| (text(it, "runtimeId"), it)).collect();
    let mut found = Vec::new();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in objects.iter().filter(|it| !it.runtime.is_empty()) {
        let kind = match object.kind {
            Kind::Machine => "machine",
            Kind::Volume => "volume",
            Kind::Network => "network",
            Kind::Mark => "mark",
        };
        *counts.entry((&object.runtime, kind)).or_default() += 1;
        if !rows.contains_key(object.runtime.as_str()) {
            found.push(Violation::new("no_orphan", format!("the {kind} {} is nobody's", object.name)));
        }
    }
    for ((runtime, kind), count) in &counts {
        if *count > 1 && *kind != "mark" {
            found.push(Violation::new("no_double", format!("{runtime} has {count} of the kind {kind}")));
        }
    }
    for (runtime, row) in rows {
        let runs = objects.iter().any(|it| it.runtime == runtime && it.kind == Kind::Machine && it.runs);
        let missing = |what: &str| {
            let words = format!("{} is {} and {what}", text(row, "slug"), text(row, "state"));
            Violation::new("nothing_is_missing", words)
        };
        match text(row, "state") {
            "ready" if !runs => found.push(missing("its machine does not run")),
            "stopped" | "suspended" if runs => found.push(missing("its machine runs")),
            state
                if (state == "ready" || homes.contains(runtime))
                    && !counts.contains_key(&(runtime, "volume")) =>
            {
                found.push(missing("its volume is gone"));
            }
            _ => {}
        }
    }
    found
}

async fn routes(world: &World, server: usize, workspaces: &[Value], objects: &[Object]) -> Vec<Violation> {
    let wrong =
        |words: String| Violation::new("routes_are_those_of_the_ready", format!("server {server}: {words}"));
    let asked = crate::api::Asked::new(reqwest::Method::GET, "/v1/routes");
    let Some(answer) = world.api.once(server, &asked).await else { return vec![wrong("no answer".into())] };
    let routes = answer.body["routes"].as_array().cloned().unwrap_or_default();
    let ready = |list: &[Value]| -> BTreeSet<(String, String)> {
        let ready = list.iter().filter(|it| text(it, "state") == "ready");
        ready.map(|it| (text(it, "slug").to_owned(), text(it, "runtimeId").to_owned())).collect()
    };
    let (told, true_ones) = (ready(&routes), ready(workspaces));
    let mut found = Vec::new();
    if told != true_ones {
        found.push(wrong(format!("{told:?} are told, and {true_ones:?} are ready")));
    }
    for route in routes.iter().filter(|it| text(it, "state") == "ready") {
        let machine = objects.iter().find(|it| it.runtime == text(route, "runtimeId") && it.port.is_some());
        let Some(machine) = machine else { continue };
        if route["endpoint"]["port"].as_u64() != machine.port.map(u64::from) {
            found.push(wrong(format!("{route} leads elsewhere than to {machine:?}")));
        }
    }
    found
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(slug: &str, runtime: &str, state: &str) -> Value {
        json!({"slug": slug, "runtimeId": runtime, "desired": "running", "state": state})
    }

    fn object(kind: Kind, name: &str, runtime: &str, runs: bool) -> Object {
        Object { kind, name: name.into(), runtime: runtime.into(), runs, port: None }
    }

    fn names(found: &[Violation]) -> Vec<&str> {
        found.iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn what_the_witness_sees_is_held_against_the_rows() {
        let home = object(Kind::Volume, "v", "rt-1", false);
        let machine = object(Kind::Machine, "m", "rt-1", true);
        let rows = [row("ada", "rt-1", "ready")];
        let outside = |rows: &[Value], objects: &[Object]| super::outside(rows, objects, &BTreeSet::new());
        assert_eq!(outside(&rows, &[home.clone(), machine.clone()]), []);
        assert_eq!(names(&outside(&rows, std::slice::from_ref(&home))), ["nothing_is_missing"]);
        assert_eq!(names(&outside(&rows, std::slice::from_ref(&machine))), ["nothing_is_missing"]);
        let stopped = [row("ada", "rt-1", "stopped")];
        assert_eq!(outside(&stopped, &[]), [], "never made");
        let had = BTreeSet::from(["rt-1".to_owned()]);
        assert_eq!(names(&super::outside(&stopped, &[], &had)), ["nothing_is_missing"], "lost");
        let twin = object(Kind::Machine, "n", "rt-1", true);
        assert_eq!(names(&outside(&rows, &[home.clone(), machine.clone(), twin])), ["no_double"]);
        assert_eq!(names(&outside(&[], &[home, machine])), ["no_orphan", "no_orphan"]);
    }

    #[test]
    fn a_failure_is_an_end_only_when_it_says_what_to_do_and_does_not_pass_by_itself() {
        let failed = |error: Value| {
            let mut row = row("ada", "rt-1", "failed");
            row["error"] = error;
            desired(&row).is_none()
        };
        assert!(failed(json!({"action": "Pay the bill.", "retryable": false})));
        assert!(!failed(json!({"action": "Wait.", "retryable": true})));
        assert!(!failed(json!({"retryable": false})));
        let mut deleted = row("ada", "rt-1", "failed");
        (deleted["desired"], deleted["error"]) = (json!("deleted"), json!({"action": "Try again."}));
        assert_eq!(desired(&deleted).unwrap().invariant, "deleted_is_gone");
        assert_eq!(names(&unique(&[row("ada", "a", ""), row("ada", "b", "")])), ["slugs_are_unique"]);
    }
}
