//! The one machine of a runtime: find it, bring it where it shall be, and wait for that without asking
//! again and again.

use std::time::Duration;

use contracts::ErrorCode;
use provider_api::{ProviderError, Result, RuntimeRef};
use provider_kit::errors;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::boot::Delivery;
use crate::client::{Client, Timeout};
use crate::declare::MOST_SUSPENDED_MIB;
use crate::fly::Fly;
use crate::{failure, names, wire};

/// Between two tries where Fly has nothing to wait for.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// After so long a wait the machine is looked at: it may have ended instead.
const LOOK: Duration = Duration::from_secs(10);

pub(crate) struct Instance<'a> {
    pub fly: &'a Fly,
    pub runtime: RuntimeRef,
    pub app: String,
}

impl<'a> Instance<'a> {
    pub fn new(fly: &'a Fly, runtime: &RuntimeRef) -> Self {
        Self { fly, runtime: runtime.clone(), app: names::app(&runtime.runtime_id) }
    }

    fn client(&self) -> Result<&'a Client> {
        self.fly.client()
    }

    /// The machine if it is there and ours; a foreign one is an error, and so is a host that does not
    /// answer.
    pub async fn find(&self) -> Result<Option<wire::Machine>> {
        let client = self.client()?;
        if let Some(id) = self.fly.machine_hint(&self.runtime.runtime_id) {
            let read = failure::optional(client.machine(&self.app, &id).await, "read the machine")?;
            if let Some(machine) = read.filter(|machine| !machine.is_gone()) {
                return self.accept(machine).map(Some);
            }
            self.fly.machine_gone(&self.runtime.runtime_id);
        }
        let listed = client.machines(&self.app, &self.runtime).await;
        let found = failure::optional(listed, "look for the machine")?.unwrap_or_default();
        found.into_iter().find(|machine| !machine.is_gone()).map(|machine| self.accept(machine)).transpose()
    }

    /// The machine, or the error that says that there is none.
    pub async fn must_find(&self) -> Result<wire::Machine> {
        self.find().await?.ok_or_else(|| errors::has_no(&self.runtime, "machine at Fly"))
    }

    pub fn accept(&self, machine: wire::Machine) -> Result<wire::Machine> {
        if machine.config.is_none() {
            return Err(silent(&machine));
        }
        names::must_own("machine", &machine.id, names::owner(&machine.metadata()), &self.runtime)?;
        self.fly.machine_seen(&self.runtime.runtime_id, &machine.id);
        Ok(machine)
    }

    /// Refuses when a newer generation of the spec or a higher fence has the machine: it says for the whole app
    /// which ones are in force.
    pub async fn may_write(&self, generation: u64) -> Result<()> {
        match self.find().await? {
            Some(machine) => self.may_change(&machine, generation).await,
            None => Ok(()),
        }
    }

    /// Refuses to act on a machine that a newer generation of the spec has made or changed, or that has seen a
    /// higher fence.
    pub async fn may_change(&self, machine: &wire::Machine, generation: u64) -> Result<()> {
        let theirs = names::generation(&machine.metadata());
        names::object("machine", &machine.id).must_be_newest(generation, theirs)?;
        self.pass(machine).await
    }

    /// Refuses when the machine has seen a higher fence, and makes it tell of one that is higher than all before:
    /// its metadata changes without a new version of it.
    pub async fn pass(&self, machine: &wire::Machine) -> Result<()> {
        let seen = self.not_late(machine)?;
        let Some(ours) = self.runtime.fence.filter(|ours| Some(*ours) > seen) else { return Ok(()) };
        let raised = json!(names::raised(&machine.metadata(), ours));
        let kept = self.client()?.patch_metadata(&self.app, machine, raised).await;
        kept.map_err(|failure| failure::error(failure, "keep the fence at the machine"))
    }

    fn not_late(&self, machine: &wire::Machine) -> Result<Option<u64>> {
        let seen = names::fence(&machine.metadata());
        names::object("machine", &machine.id).must_not_be_late(self.runtime.fence, seen)?;
        Ok(seen)
    }

    /// Starts it, with new boot files when they have changed. What is suspended goes on where it was.
    pub async fn start(
        &self,
        delivery: &Delivery,
        body: impl Fn(&wire::Machine) -> serde_json::Value,
    ) -> Result<()> {
        let deadline = Instant::now() + self.fly.timing.settle;
        let client = self.client()?;
        loop {
            let machine = self.must_find().await?;
            self.pass(&machine).await?;
            match machine.state.as_str() {
                "started" => return Ok(()),
                "suspended" => {}
                "stopped" | "created" | "failed" => {
                    if !delivery.is_in(&machine) {
                        let version = self.put_secrets(delivery).await?;
                        let mut body = body(&machine);
                        body["min_secrets_version"] = version.into();
                        let updated = self.update(&machine, body).await?;
                        self.becomes_started(&updated, deadline).await?;
                        self.forget_secrets(delivery).await;
                        return Ok(());
                    }
                }
                "destroying" => return Err(self.going(&machine)),
                _ => {
                    self.settles(&machine, deadline).await?;
                    continue;
                }
            }
            match client.start_machine(&self.app, &machine.id).await {
                Ok(()) => return self.becomes_started(&machine, deadline).await,
                // It is on its way to another state; look again.
                Err(failure) if is_wrong_state(&failure) && Instant::now() < deadline => sleep(PAUSE).await,
                Err(failure) => return Err(failure::error(failure, "start the machine")),
            }
        }
    }

    /// What is suspended loses its memory.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        let deadline = Instant::now() + grace + self.fly.timing.settle;
        loop {
            let Some(machine) = self.find().await? else { return Ok(()) };
            self.pass(&machine).await?;
            match machine.state.as_str() {
                "stopped" | "created" | "failed" | "destroying" => return Ok(()),
                "started" | "suspended" => {}
                _ => {
                    self.settles(&machine, deadline).await?;
                    continue;
                }
            }
            match self.client()?.stop_machine(&self.app, &machine.id, grace).await {
                Ok(()) => return self.becomes(&machine, "stopped", deadline).await,
                Err(failure) if failure.is_absent() => return Ok(()),
                Err(failure) if is_wrong_state(&failure) && Instant::now() < deadline => sleep(PAUSE).await,
                Err(failure) => return Err(failure::error(failure, "stop the machine")),
            }
        }
    }

    pub async fn suspend(&self) -> Result<()> {
        let deadline = Instant::now() + self.fly.timing.settle;
        loop {
            let machine = self.must_find().await?;
            let memory_mib = machine.config().map_or(0, |config| config.guest.memory_mb);
            if memory_mib > MOST_SUSPENDED_MIB {
                return Err(too_large(&machine, memory_mib));
            }
            self.pass(&machine).await?;
            match machine.state.as_str() {
                "suspended" => return Ok(()),
                "started" => {}
                "stopped" | "created" | "failed" | "destroying" => {
                    let message =
                        format!("the machine {} is {} and cannot be suspended", machine.id, machine.state);
                    return Err(ProviderError::new(ErrorCode::WorkspaceNotReady, message)
                        .with_action("Start the workspace first."));
                }
                _ => {
                    self.settles(&machine, deadline).await?;
                    continue;
                }
            }
            match self.client()?.suspend_machine(&self.app, &machine.id).await {
                Ok(()) => return self.becomes(&machine, "suspended", deadline).await,
                Err(failure) if is_wrong_state(&failure) && Instant::now() < deadline => sleep(PAUSE).await,
                Err(failure) => return Err(failure::error(failure, "suspend the machine")),
            }
        }
    }

    /// Ends and removes it, and returns when it is gone.
    pub async fn destroy(&self, machine: &wire::Machine) -> Result<()> {
        let deadline = Instant::now() + self.fly.timing.settle;
        self.fly.machine_gone(&self.runtime.runtime_id);
        let destroyed = self.client()?.destroy_machine(&self.app, &machine.id).await;
        if failure::optional(destroyed, "destroy the machine")?.is_none() {
            return Ok(());
        }
        self.becomes(machine, "destroyed", deadline).await
    }

    /// A new version with this body, while nobody else may change it.
    pub async fn update(&self, machine: &wire::Machine, body: serde_json::Value) -> Result<wire::Machine> {
        let client = self.client()?;
        let leased = client.lease(&self.app, &machine.id).await;
        let nonce = leased.map_err(|failure| failure::error(failure, "take the machine's lease"))?;
        let updated = self.update_leased(machine, body, &nonce).await;
        // It ends by itself in half a minute.
        if let Err(failure) = client.release(&self.app, &machine.id, &nonce).await {
            tracing::debug!(%failure, machine = machine.id, "a lease was left to run out");
        }
        updated
    }

    /// An update takes the place of all metadata, so the fence is looked at once more.
    async fn update_leased(
        &self,
        machine: &wire::Machine,
        mut body: serde_json::Value,
        nonce: &str,
    ) -> Result<wire::Machine> {
        let client = self.client()?;
        let now = client.machine(&self.app, &machine.id).await;
        let now = now.map_err(|failure| failure::error(failure, "read the machine"))?;
        let highest = self.not_late(&now)?.max(self.runtime.fence);
        if let Some((key, value)) = highest.map(names::seen) {
            body["config"]["metadata"][key] = value.into();
        }
        let updated = client.update_machine(&self.app, machine, body, nonce).await;
        updated.map_err(|failure| failure::error(failure, "update the machine"))
    }

    /// Sets the app's secrets, and gives the version of them that a boot must have.
    pub async fn put_secrets(&self, delivery: &Delivery) -> Result<u64> {
        if delivery.is_empty() {
            return Ok(0);
        }
        let set = self.client()?.set_secrets(&self.app, &delivery.values).await;
        set.map_err(|failure| failure::error(failure, "deliver the boot files"))
    }

    /// Removes what earlier boots were given and this one was not: old keys are nobody's any more. What stays because of a
    /// failure goes after the next change.
    pub async fn forget_secrets(&self, delivery: &Delivery) {
        if let Err(error) = self.try_forget_secrets(delivery).await {
            tracing::warn!(%error, app = self.app, "boot files of before stay at Fly until the next change of them");
        }
    }

    async fn try_forget_secrets(&self, delivery: &Delivery) -> Result<()> {
        let listed = self.client()?.secrets(&self.app).await;
        let listed = listed.map_err(|failure| failure::error(failure, "list the app's secrets"))?;
        let old = listed.into_iter().map(|secret| secret.name).filter(|name| delivery.has_left(name));
        let old: serde_json::Map<_, _> = old.map(|name| (name, serde_json::Value::Null)).collect();
        if old.is_empty() {
            return Ok(());
        }
        let removed = self.client()?.set_secrets(&self.app, &old.into()).await;
        removed.map(drop).map_err(|failure| failure::error(failure, "remove boot files of before"))
    }

    pub async fn patch(&self, machine: &wire::Machine, generation: u64) -> Result<()> {
        let change = json!({ names::LABELS.generation: generation.to_string() });
        let patched = self.client()?.patch_metadata(&self.app, machine, change).await;
        patched.map_err(|failure| failure::error(failure, "label the machine"))
    }

    /// Waits until it runs; one that ended instead is an error.
    pub async fn becomes_started(&self, machine: &wire::Machine, deadline: Instant) -> Result<()> {
        self.becomes(machine, "started", deadline).await
    }

    /// Waits until its program has ended, by itself or otherwise.
    pub async fn becomes_stopped(&self, machine: &wire::Machine, deadline: Instant) -> Result<()> {
        self.becomes(machine, "stopped", deadline).await
    }

    /// Waits until no change is under way.
    pub async fn settles(&self, machine: &wire::Machine, deadline: Instant) -> Result<()> {
        self.becomes(machine, "settled", deadline).await
    }

    async fn becomes(&self, machine: &wire::Machine, wanted: &str, deadline: Instant) -> Result<()> {
        let client = self.client()?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("the machine {} did not become {wanted} in time", machine.id);
                return Err(ProviderError::unknown(ErrorCode::ProviderTimeout, message)
                    .with_action("Look at status.flyio.net; `pilot ws get NAME` shows what became of it."));
            }
            let failure = match client.wait(&self.app, machine, wanted, Timeout(left.min(LOOK))).await {
                Ok(_) => return Ok(()),
                Err(failure) => failure,
            };
            if failure.is_absent() && wanted == "destroyed" {
                return Ok(());
            }
            let goes_on = failure.may_have_happened() || failure.retry_after.is_some() || failure.is_absent();
            if !goes_on && failure.status().map(|status| status.as_u16()) != Some(429) {
                return Err(failure::error(failure, &format!("wait until the machine is {wanted}")));
            }
            // A wait that was cut short is asked again, but not at once.
            if failure.status().map(|status| status.as_u16()) != Some(408) {
                sleep(failure.retry_after.unwrap_or(PAUSE).min(left)).await;
            }
            let read = client.machine(&self.app, &machine.id).await;
            match failure::optional(read, "look at the machine") {
                Ok(None) if wanted == "destroyed" => return Ok(()),
                Ok(None) => return Err(self.going(machine)),
                Ok(Some(now)) => self.check(&now, wanted)?,
                // The next look may see it.
                Err(error) => tracing::debug!(%error, "a machine could not be looked at"),
            }
        }
    }

    /// An end that was not wanted.
    fn check(&self, now: &wire::Machine, wanted: &str) -> Result<()> {
        match (now.state.as_str(), wanted) {
            ("destroyed" | "destroying", wanted) if wanted != "destroyed" => Err(self.going(now)),
            ("stopped" | "failed", "started") => {
                let code =
                    now.exit_code().map(|code| format!(" with the exit code {code}")).unwrap_or_default();
                let message = format!("the machine {} ended while it booted{code}", now.id);
                Err(ProviderError::new(ErrorCode::InstanceFailed, message)
                    .with_action(format!("`fly logs -a {}` shows why.", self.app)))
            }
            ("failed", "stopped") => {
                let message = format!("Fly could not run the machine {}", now.id);
                Err(ProviderError::new(ErrorCode::ProviderFailed, message)
                    .with_action(format!("`fly machine status {} -a {}` shows why.", now.id, self.app)))
            }
            _ => Ok(()),
        }
    }

    fn going(&self, machine: &wire::Machine) -> ProviderError {
        let message = format!("the machine {} is being removed", machine.id);
        ProviderError::new(ErrorCode::ProviderFailed, message)
            .with_action("`pilot ws start NAME` makes it again from its stack.")
    }
}

fn too_large(machine: &wire::Machine, memory_mib: u32) -> ProviderError {
    let message = format!(
        "the machine {} has {memory_mib} MiB of memory, and Fly suspends machines of up to {MOST_SUSPENDED_MIB} MiB",
        machine.id
    );
    ProviderError::new(ErrorCode::CapabilityUnsupported, message).with_action(
        "Stop the workspace instead: its home is kept. Workspaces of the size small can be suspended.",
    )
}

/// The host of the machine does not answer.
pub(crate) fn silent(machine: &wire::Machine) -> ProviderError {
    let message = format!("the host of the machine {} does not answer", machine.id);
    ProviderError::new(ErrorCode::ProviderUnreachable, message)
        .with_action("Fly moves machines of a broken host, or brings it back; try again later.")
}

/// The machine is not in a state for this; it may be in a moment.
fn is_wrong_state(failure: &provider_http::Failure) -> bool {
    failure.status().map(|status| status.as_u16()) == Some(412) && failure.message.contains("current state")
}
