//! Calls about one machine.

use std::time::Duration;

use contracts::RuntimeId;
use provider_api::RuntimeRef;
use provider_http::{Call, Repeat};
use serde_json::{Value, json};

use super::{Answer, Client};
use crate::{names, wire};

const NONCE: &str = "fly-machine-lease-nonce";
/// Longer than an update takes to be accepted, short enough not to stand in anybody's way after a crash.
const LEASE_SECONDS: u64 = 30;
/// The longest that Fly blocks.
const LONGEST_WAIT: u64 = 60;

/// How long Fly shall block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeout(pub Duration);

impl Timeout {
    /// Whole seconds, as Fly takes them.
    fn seconds(self) -> u64 {
        self.0.as_secs_f64().ceil().clamp(1.0, LONGEST_WAIT as f64) as u64
    }
}

fn path(app: &str, id: &str, rest: &str) -> String {
    format!("/v1/apps/{app}/machines/{id}{rest}")
}

impl Client {
    /// The name makes it safe to repeat: a second one is refused with 409.
    pub async fn create_machine(&self, app: &str, body: Value) -> Answer<wire::Machine> {
        let call = Call::post(format!("/v1/apps/{app}/machines")).json(body).repeatable();
        self.read(call, "machine_create", app).await
    }

    pub async fn machine(&self, app: &str, id: &str) -> Answer<wire::Machine> {
        self.read(Call::get(path(app, id, "")), "machine_get", id).await
    }

    /// Machines of a runtime, whatever their installation.
    pub async fn machines(&self, app: &str, runtime: &RuntimeRef) -> Answer<Vec<wire::Machine>> {
        self.machines_with(app, names::LABELS.runtime, &runtime.runtime_id).await
    }

    /// Machines that have the runtime's id under this key of their metadata.
    pub async fn machines_with(&self, app: &str, key: &str, id: &RuntimeId) -> Answer<Vec<wire::Machine>> {
        let call =
            Call::get(format!("/v1/apps/{app}/machines")).query(format!("metadata.{key}"), id.as_str());
        self.read(call, "machine_list", app).await
    }

    /// A new version in place of `version`; anything else than that one is refused.
    pub async fn update_machine(
        &self,
        app: &str,
        machine: &wire::Machine,
        mut body: Value,
        nonce: &str,
    ) -> Answer<wire::Machine> {
        body["current_version"] = machine.version().into();
        let call = Call::post(path(app, &machine.id, "")).json(body).header(NONCE, nonce);
        self.read(call, "machine_update", &machine.id).await
    }

    pub async fn patch_metadata(&self, app: &str, machine: &wire::Machine, metadata: Value) -> Answer<()> {
        let body = json!({"metadata": metadata, "machine_version": machine.version()});
        let call = Call::patch(path(app, &machine.id, "/metadata")).json(body).repeatable();
        self.send(call, "machine_update", &machine.id).await.map(drop)
    }

    /// Nobody else changes the machine while this is held.
    pub async fn lease(&self, app: &str, id: &str) -> Answer<String> {
        let body = json!({"ttl": LEASE_SECONDS, "description": "Pilot updates this machine"});
        let call = Call::post(path(app, id, "/lease")).json(body);
        self.read::<wire::LeaseAnswer>(call, "machine_update", id).await.map(|answer| answer.data.nonce)
    }

    pub async fn release(&self, app: &str, id: &str, nonce: &str) -> Answer<()> {
        let call = Call::delete(path(app, id, "/lease")).header(NONCE, nonce);
        self.send(call, "machine_destroy", id).await.map(drop)
    }

    pub async fn start_machine(&self, app: &str, id: &str) -> Answer<()> {
        let call = Call::post(path(app, id, "/start")).repeatable();
        self.send(call, "machine_start", id).await.map(drop)
    }

    pub async fn stop_machine(&self, app: &str, id: &str, grace: Duration) -> Answer<()> {
        let timeout = format!("{}s", grace.as_secs_f64().ceil().max(1.0));
        let body = json!({"signal": "SIGTERM", "timeout": timeout});
        let call = Call::post(path(app, id, "/stop")).json(body).repeatable();
        self.send(call, "machine_stop", id).await.map(drop)
    }

    pub async fn suspend_machine(&self, app: &str, id: &str) -> Answer<()> {
        let call = Call::post(path(app, id, "/suspend")).repeatable();
        self.send(call, "machine_suspend", id).await.map(drop)
    }

    pub async fn destroy_machine(&self, app: &str, id: &str) -> Answer<()> {
        let call = Call::delete(path(app, id, "")).query("force", "true");
        self.send(call, "machine_destroy", id).await.map(drop)
    }

    /// Blocks until the machine is in one of these states, and tells which. 408 when it is not in time;
    /// that is an answer, so it is not asked again here.
    pub async fn wait(
        &self,
        app: &str,
        machine: &wire::Machine,
        states: &str,
        timeout: Timeout,
    ) -> Answer<String> {
        let seconds = timeout.seconds();
        let mut call = Call::get(path(app, &machine.id, "/wait"))
            .query("state", states)
            .query("version", machine.version())
            .query("timeout", seconds.to_string());
        call.repeat = Repeat::Once;
        let call =
            call.action("machine_wait", machine.id.clone()).limit(Duration::from_secs(seconds) + self.call);
        let waited = self.vendor.send(call).await?.json::<wire::Waited>()?;
        Ok(waited.state)
    }

    pub async fn exec(
        &self,
        app: &str,
        id: &str,
        command: &[String],
        limit: Duration,
    ) -> Answer<wire::Executed> {
        let seconds = limit.as_secs_f64().ceil().max(1.0) as u64;
        let call = Call::post(path(app, id, "/exec")).json(json!({"command": command, "timeout": seconds}));
        let call = call.action("machine_start", id).limit(Duration::from_secs(seconds) + self.call);
        self.vendor.send(call).await?.json()
    }
}
