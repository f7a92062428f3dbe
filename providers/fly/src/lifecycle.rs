//! Start, stop, suspend and status of a runtime's machine, without Pulumi.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::{Lifecycle, ProviderError, Result, RunStatus, RuntimeRef, Statuses, lifecycle};
use provider_kit::{boot, errors};

use crate::boot::Delivery;
use crate::failure::error;
use crate::fly::Fly;
use crate::instance::{Instance, silent};
use crate::machine::{HTTP, HTTPS, body_of};
use crate::settings::Reach;
use crate::{names, wire};

pub(crate) struct FlyLifecycle {
    pub fly: Arc<Fly>,
}

/// Sends a request to this machine and no other.
const FORCE_INSTANCE: &str = "fly-force-instance-id";
/// A list has all machines of the organisation, whosever they are; fewer than these are asked for one by one.
const WORTH_A_LIST: usize = 4;

impl FlyLifecycle {
    async fn reached(&self, app: &str, machine: &wire::Machine) -> Result<Endpoint> {
        let settings = &self.fly.settings;
        let mut endpoint = match self.fly.reach()? {
            Reach::Edge => {
                let host = format!("{app}.{}", settings.require("edgeDomain")?);
                Endpoint { tls: true, ..Endpoint::plain(host, HTTPS) }
            }
            Reach::Flycast => Endpoint::plain(self.private_address(app).await?, HTTP),
        };
        if let Some(address) = settings.get("edgeAddress") {
            let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port) =
                parts.ok_or_else(|| settings.unusable("edgeAddress", "it is not HOST:PORT"))?;
            let named = std::mem::replace(&mut endpoint, Endpoint::plain(host, port));
            // As a request to it would have it.
            let named = if named.tls { named.host } else { named.to_string() };
            endpoint.headers.insert("host".to_owned(), named);
        }
        endpoint.headers.insert(FORCE_INSTANCE.to_owned(), machine.id.clone());
        Ok(endpoint)
    }

    /// A number, because the gateway asks no name server for where an instance is.
    async fn private_address(&self, app: &str) -> Result<String> {
        self.fly.address(app, Reach::Flycast).await?.ok_or_else(|| {
            let message = format!("the app {app} has no private address in the gateway's network");
            ProviderError::new(ErrorCode::ProviderFailed, message)
                .with_action("`pilot stack apply NAME` gives it one.")
        })
    }
}

#[async_trait]
impl Lifecycle for FlyLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        let files = boot::files(&*self.fly.boot, &runtime.runtime_id).await?;
        let delivery = Delivery::of(&runtime.runtime_id, &files);
        Instance::new(&self.fly, runtime).start(&delivery, |machine| body_of(machine, &delivery)).await
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        Instance::new(&self.fly, runtime).stop(grace).await
    }

    async fn suspend(&self, runtime: &RuntimeRef) -> Result<()> {
        Instance::new(&self.fly, runtime).suspend().await
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        let Some(machine) = Instance::new(&self.fly, runtime).find().await? else {
            return Ok(RunStatus::Absent);
        };
        if machine.host_status.as_deref() == Some("unreachable") {
            return Err(silent(&machine));
        }
        Ok(seen(&machine))
    }

    /// One list of the organisation. It is believed where it says that a machine runs: how one has ended is asked of itself.
    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        if runtimes.len() < WORTH_A_LIST {
            return lifecycle::status_each(self, installation, runtimes);
        }
        let ours = installation.clone();
        let list = async move {
            let listed = self.fly.client()?.all_machines().await;
            let (machines, _) = listed.map_err(|failure| error(failure, "list the machines"))?;
            let started = machines.into_iter().filter(|machine| machine.state == "started");
            let told = started.filter_map(|machine| {
                let owner = names::owner(&machine.config.metadata)?;
                let is_its = owner.installation == ours && machine.app_name == names::app(&owner.runtime_id);
                is_its.then_some((owner.runtime_id, RunStatus::Running))
            });
            Ok(told.collect())
        };
        lifecycle::status_from_list(self, installation, runtimes, list)
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        let instance = Instance::new(&self.fly, runtime);
        let machine = instance.must_find().await?;
        // Where it is going to be it does not answer yet.
        if matches!(seen(&machine), RunStatus::Stopped { .. } | RunStatus::Pending { .. }) {
            let why = format!("it is {}", machine.state);
            return Err(errors::does_not_run(("machine", &machine.id), Some(&why)));
        }
        self.reached(&instance.app, &machine).await
    }
}

fn seen(machine: &wire::Machine) -> RunStatus {
    match machine.state.as_str() {
        "stopped" | "failed" => RunStatus::Stopped { exit_code: machine.exit_code() },
        "created" | "launch_failed" | "destroying" => RunStatus::Stopped { exit_code: None },
        "suspended" => RunStatus::Suspended,
        // An image that its host has not is pulled then.
        "creating" | "starting" | "updating" | "replacing" | "restarting" => {
            RunStatus::Pending { reason: format!("its machine is {}", machine.state) }
        }
        // Not down yet.
        _ => RunStatus::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that Fly's documents name.
    #[test]
    fn each_state_of_a_machine_runs_waits_or_is_down() {
        let of = |state: &str| seen(&wire::Machine { state: state.to_owned(), ..Default::default() });
        for state in ["creating", "starting", "updating", "replacing", "restarting"] {
            assert_eq!(of(state), RunStatus::Pending { reason: format!("its machine is {state}") });
        }
        for state in ["started", "stopping", "suspending"] {
            assert_eq!(of(state), RunStatus::Running, "{state}");
        }
        for state in ["created", "stopped", "failed", "launch_failed", "destroying"] {
            assert_eq!(of(state), RunStatus::Stopped { exit_code: None }, "{state}");
        }
        assert_eq!(of("suspended"), RunStatus::Suspended);
    }
}
