//! Start, stop, suspend, log, commands and inventory: what is done without Pulumi.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{InstallationId, RuntimeId};
use futures_util::stream::{self, StreamExt as _};
use provider_api::{
    Changes, Exec, Executed, Home, Inventory, Lifecycle, Logs, OwnedObject, ProviderError, Refusals, Refuses,
    Result, RunStatus, RuntimeRef, Statuses, lifecycle,
};
use provider_kit::errors::{does_not_run, ended_meanwhile, has_no};

use tokio::sync::broadcast::error::RecvError;

use crate::client::Client;
use crate::cloud::{Machine, Phase};
use crate::fence;
use crate::machine::{self, Act};
use crate::owner::{self, LABELS, Labels, object};

/// How often a machine is looked at while a command runs in it.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct FakeLifecycle {
    pub client: Arc<Client>,
}

impl FakeLifecycle {
    /// The runtime's machine; `None` when it is surely gone, an error when it is another's.
    async fn find(&self, runtime: &RuntimeRef) -> Result<Option<Machine>> {
        let name = owner::machine_name(&runtime.runtime_id);
        let found = self.client.look("look at the machine", self.client.cloud().machine(&name)).await?;
        if let Some(found) = &found {
            owner::must_own(object("machine", &name), &found.labels, runtime)?;
        }
        Ok(found)
    }

    async fn existing(&self, runtime: &RuntimeRef) -> Result<(String, Machine)> {
        let found = self.find(runtime).await?.ok_or_else(|| gone(runtime))?;
        Ok((owner::machine_name(&runtime.runtime_id), found))
    }

    /// The machine, when something can be done in it.
    async fn running(&self, runtime: &RuntimeRef) -> Result<(String, Machine)> {
        let (name, found) = self.existing(runtime).await?;
        match found.phase {
            Phase::Running => Ok((name, found)),
            other => Err(does_not_run(("machine", &name), Some(&format!("it is {other:?}")))),
        }
    }
}

impl FakeLifecycle {
    /// Returns when the machine does not run any more as it did. Whoever cannot look goes on looking.
    async fn ended(&self, runtime: &RuntimeRef, before: &Machine) {
        loop {
            tokio::time::sleep(LOOK).await;
            match self.find(runtime).await {
                Ok(Some(now)) if now.phase == Phase::Running && now.address == before.address => {}
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }
}

fn run_status(machine: &Machine) -> RunStatus {
    match machine.phase {
        Phase::Running => RunStatus::Running,
        Phase::Pending => RunStatus::Pending { reason: "the cloud has no room for its machine".to_owned() },
        Phase::Suspended => RunStatus::Suspended,
        Phase::Stopped => RunStatus::Stopped { exit_code: Some(machine.exit_code.unwrap_or(0)) },
    }
}

fn gone(runtime: &RuntimeRef) -> ProviderError {
    has_no(runtime, "machine in the cloud")
}

#[async_trait]
impl Lifecycle for FakeLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        fence::pass(&self.client, runtime).await?;
        self.existing(runtime).await?;
        let boot = self.client.boot_files(&runtime.runtime_id).await?;
        let is_there = machine::act(&self.client, runtime, Act::Start(&boot)).await?;
        is_there.then_some(()).ok_or_else(|| gone(runtime))
    }

    async fn stop(&self, runtime: &RuntimeRef, _grace: Duration) -> Result<()> {
        fence::pass(&self.client, runtime).await?;
        // What is gone is stopped.
        machine::act(&self.client, runtime, Act::Stop).await.map(drop)
    }

    async fn suspend(&self, runtime: &RuntimeRef) -> Result<()> {
        fence::pass(&self.client, runtime).await?;
        let (_, found) = self.existing(runtime).await?;
        if found.phase == Phase::Suspended {
            return Ok(());
        }
        self.running(runtime).await?;
        let is_there = machine::act(&self.client, runtime, Act::Suspend).await?;
        is_there.then_some(()).ok_or_else(|| gone(runtime))
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        Ok(self.find(runtime).await?.map_or(RunStatus::Absent, |found| run_status(&found)))
    }

    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        let labels = LABELS.of_installation(&installation);
        let list = async move {
            let listed = self.client.ask("list the machines", self.client.cloud().machines(labels)).await?;
            let told = listed.into_iter().filter_map(|(name, machine)| {
                let runtime = owner::of(&machine.labels)?.runtime.runtime_id;
                (name == owner::machine_name(&runtime)).then_some((runtime, run_status(&machine)))
            });
            Ok(told.collect())
        };
        lifecycle::status_from_list(self, installation, runtimes, list)
    }

    fn watch(&self, installation: InstallationId) -> Option<Changes<'_>> {
        let changes = self.client.cloud().changes()?;
        let told = stream::unfold(changes, |mut changes| async {
            loop {
                match changes.recv().await {
                    Ok(labels) => return Some((labels, changes)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        let ours = move |labels| {
            let owner = owner::of(&labels).filter(|owner| owner.runtime.installation == installation);
            std::future::ready(owner.map(|owner| Ok(owner.runtime.runtime_id)))
        };
        Some(told.filter_map(ours).boxed())
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        let (name, found) = self.existing(runtime).await?;
        let why = format!("it is {:?}", found.phase);
        let address = found.address.ok_or_else(|| does_not_run(("machine", &name), Some(&why)))?;
        Ok(Endpoint::plain(address.ip().to_string(), address.port()))
    }
}

#[async_trait]
impl Logs for FakeLifecycle {
    async fn tail(&self, runtime: &RuntimeRef, max_bytes: usize) -> Result<String> {
        let Some(_) = self.find(runtime).await? else { return Ok(String::new()) };
        let name = owner::machine_name(&runtime.runtime_id);
        let log = self.client.look("read the log", self.client.cloud().log(&name)).await?.unwrap_or_default();
        Ok(lifecycle::last_lines(&log, max_bytes))
    }
}

#[async_trait]
impl Refuses for FakeLifecycle {
    async fn refusals(&self, runtime: &RuntimeRef) -> Result<Refusals> {
        let name = owner::machine_name(&runtime.runtime_id);
        let refused = match self.find(runtime).await? {
            Some(_) => self.client.look("read what was refused", self.client.cloud().refused(&name)).await?,
            None => None,
        };
        Ok(match refused {
            Some(refused) => Refusals { refused, ..Refusals::default() },
            None => Refusals {
                not_in_force: Some("the workspace has no machine now".to_owned()),
                ..Refusals::default()
            },
        })
    }
}

#[async_trait]
impl Exec for FakeLifecycle {
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed> {
        let (name, before) = self.running(runtime).await?;
        // As long as the command takes, not as long as a call may take.
        let run = self.client.cloud().run(&name, command, limit);
        tokio::select! {
            done = run => self.client.ask("run the command", std::future::ready(done)).await,
            () = self.ended(runtime, &before) => Err(ended_meanwhile(("machine", &name))),
        }
    }
}

#[async_trait]
impl Inventory for FakeLifecycle {
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        self.labelled(LABELS.of_installation(installation)).await
    }

    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        self.labelled(LABELS.of_runtime(runtime)).await
    }
}

impl FakeLifecycle {
    async fn labelled(&self, labels: Labels) -> Result<Vec<OwnedObject>> {
        let objects = self.client.ask("list what there is", self.client.cloud().list(labels)).await?;
        let owned = |(kind, id, labels): (String, String, Labels)| {
            let runtime = owner::of(&labels)?.runtime;
            let home = if kind == "volume" { Home::Is } else { Home::No };
            Some(OwnedObject { runtime_id: runtime.runtime_id, kind, id, home })
        };
        let mut owned: Vec<_> = objects.into_iter().filter_map(owned).collect();
        owned.sort();
        Ok(owned)
    }
}
