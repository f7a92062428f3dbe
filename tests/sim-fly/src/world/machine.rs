//! A machine: its states, its versions, its lease and its events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Answer, Refusal};
use crate::ids;
use crate::runner::Running;

/// Events that a machine keeps.
const EVENTS: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Created,
    Starting,
    Started,
    Stopping,
    Stopped,
    Suspending,
    Suspended,
    Replacing,
    Failed,
    Destroying,
    Destroyed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub id: String,
    pub app: String,
    pub name: String,
    pub region: String,
    pub state: State,
    pub version: String,
    /// As it was accepted.
    pub config: Value,
    /// What the image's name meant then; empty where it is not known.
    #[serde(default)]
    pub image_digest: String,
    /// Earlier versions with their configurations, the oldest first.
    pub replaced: Vec<(String, Value)>,
    pub private_ip: String,
    pub cordoned: bool,
    pub skip_secrets: bool,
    /// `ok`, `unknown` or `unreachable`.
    pub host_status: String,
    pub lease: Option<Lease>,
    pub events: Vec<Event>,
    /// What runs, when something does.
    pub running: Option<Running>,
    /// How often it was started, so that an exit is told from the exit of an earlier start.
    pub incarnation: u64,
    pub restarts: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lease {
    pub nonce: String,
    pub owner: String,
    pub description: String,
    /// Seconds of the Unix epoch.
    pub expires_at: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub source: String,
    /// Milliseconds of the Unix epoch.
    pub timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Starting => "starting",
            State::Started => "started",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
            State::Suspending => "suspending",
            State::Suspended => "suspended",
            State::Replacing => "replacing",
            State::Failed => "failed",
            State::Destroying => "destroying",
            State::Destroyed => "destroyed",
        }
    }

    /// True for states that stay until somebody acts.
    pub fn is_settled(self) -> bool {
        use State::{Created, Destroyed, Failed, Started, Stopped, Suspended};
        matches!(self, Created | Started | Stopped | Suspended | Failed | Destroyed)
    }
}

impl Machine {
    /// Moves to a state and remembers it as an event.
    pub fn become_state(&mut self, state: State, kind: &str, source: &str) {
        let now = crate::clock::now();
        self.state = state;
        self.updated_at = now;
        self.events.insert(
            0,
            Event {
                id: ids::ulid(now),
                kind: kind.to_owned(),
                status: state.word().to_owned(),
                source: source.to_owned(),
                timestamp: now.as_millisecond(),
                request: None,
            },
        );
        self.events.truncate(EVENTS);
    }

    /// Notes why the machine's program ended, on the newest event.
    pub fn note_exit(&mut self, code: Option<i32>, requested: bool) {
        let exit = json!({"exit_event": {
            "exit_code": code.unwrap_or(0), "guest_exit_code": 0, "oom_killed": false,
            "requested_stop": requested, "exited_at": crate::clock::now(),
        }});
        if let Some(event) = self.events.first_mut() {
            event.request = Some(exit);
        }
    }

    /// Refuses a change while somebody else holds the machine's lease.
    pub fn must_hold_lease(&self, nonce: Option<&str>) -> Answer<()> {
        match self.living_lease() {
            Some(lease) if nonce != Some(lease.nonce.as_str()) => Err(self.leased(lease)),
            _ => Ok(()),
        }
    }

    pub fn living_lease(&self) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.expires_at > crate::clock::now().as_second())
    }

    pub fn leased(&self, lease: &Lease) -> Refusal {
        let until = Timestamp::from_second(lease.expires_at).unwrap_or_default();
        let words =
            format!("machine ID {} lease currently held by {}, expires at {until}", self.id, lease.owner);
        Refusal::conflict(words).in_lease_form()
    }

    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.config.get("metadata")?.get(key)?.as_str()
    }

    pub fn guest_metadata(&self) -> BTreeMap<String, String> {
        let metadata = self.config.get("metadata").cloned().unwrap_or_default();
        serde_json::from_value(metadata).unwrap_or_default()
    }

    pub fn view(&self) -> Value {
        let image = self.config.get("image").and_then(Value::as_str).unwrap_or_default();
        let mut view = self.summary();
        let object = json!({
            "config": self.config,
            "image_ref": image_ref(image, &self.image_digest),
            "events": self.events,
            "checks": [],
            "host_status": self.host_status,
        });
        if let (Some(view), Value::Object(more)) = (view.as_object_mut(), object) {
            view.extend(more);
        }
        view
    }

    /// Without what is left out of a summary.
    pub fn summary(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "region": self.region,
            "version": self.version,
            "instance_id": self.version,
            "private_ip": self.private_ip,
            "cordoned": self.cordoned,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }

    /// As the organisation-wide list shows it.
    pub fn org_view(&self, with_config: bool) -> Value {
        let mut view = self.summary();
        view["app_name"] = self.app.clone().into();
        if with_config {
            let part = |key: &str| self.config.get(key).cloned().unwrap_or_default();
            view["config"] =
                json!({"guest": part("guest"), "image": part("image"), "metadata": part("metadata")});
        }
        view
    }
}

fn image_ref(image: &str, known: &str) -> Value {
    let (name, digest) = image.split_once('@').unwrap_or((image, known));
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, "latest"),
    };
    let (registry, repository) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) => (first, rest),
        _ => ("docker-hub-mirror.fly.io", path),
    };
    json!({"registry": registry, "repository": repository, "tag": tag, "digest": digest, "labels": {}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_apart_into_registry_repository_and_tag() {
        let reference = image_ref("registry.fly.io/pilot/instance:7@sha256:abc", "");
        assert_eq!(reference["registry"], "registry.fly.io");
        assert_eq!(reference["repository"], "pilot/instance");
        assert_eq!((&reference["tag"], &reference["digest"]), (&json!("7"), &json!("sha256:abc")));
        assert_eq!(image_ref("debian", "")["tag"], "latest");
    }
}
