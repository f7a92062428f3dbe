//! What cannot become true later if it is not now: operations that have ended, and what was written outside.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use anyhow::Result;
use provider_fake::cloud::Written;
use serde_json::Value;

use crate::invariants::{Violation, text};
use crate::witness::runtime_of;
use crate::world::World;

/// Of those that were not looked at before; with `all`, of all.
pub async fn lasting(world: &World, deadline: Instant, all: bool) -> Result<Vec<Violation>> {
    let mut found = std::mem::take(&mut world.ledger.lock().violations);
    let accepted = world.ledger.lock().accepted.clone();
    for (id, accepted) in accepted {
        if accepted.ended.is_some() && !all {
            continue;
        }
        let answer = world.api.get(&format!("/v1/operations/{id}"), deadline).await?;
        let state = text(&answer.body, "state");
        let is_final = ["succeeded", "failed", "canceled"].contains(&state);
        if answer.status != 200 || !is_final {
            let words = format!("{id} of {}: {} {state}", accepted.what, answer.status);
            found.push(Violation::new("accepted_operations_end", words));
            continue;
        }
        if accepted.ended.as_deref().is_some_and(|before| before != state) {
            let words = format!("{id} of {} was {:?} and is {state}", accepted.what, accepted.ended);
            found.push(Violation::new("operations_end_once", words));
        }
        if accepted.ended.is_none() {
            found.extend(events(world, &id, state).await?);
        }
        if let Some(kept) = world.ledger.lock().accepted.get_mut(&id) {
            kept.ended = Some(state.to_owned());
        }
    }
    found.extend(written(world, deadline).await?);
    Ok(found)
}

async fn events(world: &World, id: &str, state: &str) -> Result<Vec<Violation>> {
    let once = |words: String| Violation::new("operations_end_once", format!("{id} is {state}: {words}"));
    let deadline = Instant::now() + Duration::from_secs(15);
    let events = match world.api.events(id, deadline).await {
        Ok(events) => events,
        Err(error) => return Ok(vec![once(format!("its events do not end: {error}"))]),
    };
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence"].as_u64()).collect();
    let ends: Vec<&Value> = events.iter().filter(|event| event["type"] == "done").collect();
    let mut found = Vec::new();
    if numbers != (1..=numbers.len() as u64).collect::<Vec<_>>() {
        found.push(once(format!("its events are {numbers:?}")));
    }
    let last_is_end = events.last().is_some_and(|event| event["type"] == "done");
    if ends.len() != 1 || !last_is_end || text(ends[0], "state") != state {
        found.push(once(format!("its last words are {ends:?}, of {} events", events.len())));
    }
    Ok(found)
}

/// The journal of the fake cloud.
async fn written(world: &World, deadline: Instant) -> Result<Vec<Violation>> {
    let (mut found, mut highest) = (Vec::new(), HashMap::<&str, u64>::new());
    let journal = world.witness.journal();
    for (number, write) in journal.iter().enumerate() {
        let Some(fence) = write.fence else { continue };
        let seen = highest.entry(runtime_of(&write.name)).or_default();
        if fence < *seen {
            let words = format!("write {number}, {} {}, under {fence} after {seen}", write.what, write.name);
            found.push(Violation::new("no_late_write", words));
        }
        *seen = fence.max(*seen);
    }
    found.extend(shared(&journal));
    let of_runtimes = journal.iter().filter(|write| !write.what.ends_with("network"));
    let made: BTreeSet<&str> = of_runtimes.map(|write| runtime_of(&write.name)).collect();
    let known: BTreeSet<String> =
        world.ledger.lock().accepted.values().map(|it| it.runtime.clone()).collect();
    if made.iter().any(|runtime| !known.contains(*runtime)) {
        // Of requests whose answers were lost, too.
        let operations = world.api.all("/v1/operations", "operations", deadline).await?;
        let stored: BTreeSet<&str> = operations.iter().map(|it| text(it, "runtimeId")).collect();
        let unknown = made.iter().filter(|runtime| !stored.contains(*runtime) && !known.contains(**runtime));
        found.extend(unknown.map(|runtime| {
            Violation::new("no_effect_without_intent", format!("{runtime} was written to the cloud"))
        }));
    }
    Ok(found)
}

/// Nothing of the cloud keeps what all need from being removed.
fn shared(journal: &[Written]) -> Vec<Violation> {
    let (mut machines, mut found) = (BTreeSet::new(), Vec::new());
    for (number, write) in journal.iter().enumerate() {
        match write.what {
            "create machine" => drop(machines.insert(&write.name)),
            "delete machine" => drop(machines.remove(&write.name)),
            "delete network" if !machines.is_empty() => {
                let words = format!("write {number}, {} {}, with {machines:?}", write.what, write.name);
                found.push(Violation::new("what_is_shared_is_there", words));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_need_may_go_only_when_there_is_no_machine() {
        let write = |what, name: &str| Written { what, name: name.to_owned(), fence: None };
        let mut journal = vec![
            write("create network", "n"),
            write("create machine", "m"),
            write("delete machine", "m"),
            write("delete network", "n"),
        ];
        assert_eq!(shared(&journal), []);
        journal.swap(2, 3);
        assert_eq!(shared(&journal)[0].invariant, "what_is_shared_is_there");
    }
}
