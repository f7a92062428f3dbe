//! Waiting for a machine's state, without asking again and again.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::world::{Machine, State};

/// What a caller waits for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub states: Vec<String>,
    /// Only this version; a newer one ends the wait with a refusal.
    pub version: Option<String>,
}

/// Answers when the machine is as wanted, or with 408 when it is not in time.
///
/// # Errors
/// 408 after `limit`; 404 when the machine is not known (any more).
pub async fn wait(
    core: &Core,
    org: &str,
    app: &str,
    id: &str,
    wanted: &Wanted,
    limit: Duration,
) -> Answer<Value> {
    let deadline = tokio::time::Instant::now() + limit;
    let notice = core.notice(id);
    loop {
        let changed = notice.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let seen = core.look(|world| {
            let machine = world.machine(org, app, id)?;
            Ok::<_, Refusal>(wanted.holds(machine)?.then(|| answer(machine)))
        })?;
        if let Some(answer) = seen {
            return Ok(answer);
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            let words = format!("timed out waiting for machine to reach state {}", wanted.states.join(","));
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, words));
        }
    }
}

impl Wanted {
    fn holds(&self, machine: &Machine) -> Answer<bool> {
        if let Some(version) = self.version.as_ref().filter(|version| **version != machine.version) {
            if !machine.replaced.iter().any(|(known, _)| known == version) {
                return Err(Refusal::bad(format!("machine has no version {version}")));
            }
            // An old version has reached every end that it will reach.
            return Ok(self
                .states
                .iter()
                .any(|state| matches!(state.as_str(), "stopped" | "settled" | "destroyed")));
        }
        Ok(self.states.iter().any(|state| match state.as_str() {
            "settled" => machine.state.is_settled(),
            word => machine.state.word() == word,
        }))
    }
}

fn answer(machine: &Machine) -> Value {
    let event = machine.events.first().map(|event| event.id.clone());
    json!({"ok": true, "event_id": event, "state": machine.state, "version": machine.version})
}

impl State {
    /// The states that may be waited for.
    pub fn may_be_awaited(word: &str) -> bool {
        ["started", "stopped", "suspended", "destroyed", "failed", "settled"].contains(&word)
    }
}
