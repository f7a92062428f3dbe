//! The simulator of Fly as the cloud and as the witness. It is in this process, its machines are containers of this host, and
//! so both outlive everything that is killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use sim_fly::{Fault as Order, Kind as Effect, RunnerKind, Scope, Settings, Sim, State, Token};

use super::docker::docker;
use super::{Kind, Object, RETRY_AFTER};
use crate::plan::Fault;

const TOKEN: &str = "fo1_chaos";
const ORG: &str = "chaos";

#[derive(Clone)]
pub struct Fly {
    sim: Arc<Sim>,
    client: reqwest::Client,
}

/// What the simulator calls a machine's container.
pub(super) fn container(machine: &str) -> String {
    format!("sim-fly-{machine}")
}

impl Fly {
    /// With its volumes and its journal in this folder.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut settings = Settings::new(folder);
        settings.runner = RunnerKind::Docker;
        settings.tokens = vec![Token { secret: TOKEN.to_owned(), org: ORG.to_owned(), scope: Scope::Org }];
        settings.delays.app_delete = std::time::Duration::from_millis(500);
        let sim = Sim::start(settings).await.context("the simulator of Fly does not start")?;
        Ok(Self { sim: Arc::new(sim), client: reqwest::Client::builder().no_proxy().build()? })
    }

    /// What an operator sets to use it.
    pub fn environment(&self, image: &str) -> Vec<(String, String)> {
        let (api, edge) = (self.sim.api_url(), self.sim.edge().to_string());
        [
            ("PILOT_FLY_API_TOKEN", TOKEN),
            ("PILOT_FLY_ORG", ORG),
            ("PILOT_FLY_IMAGE", image),
            ("PILOT_FLY_REGIONS", "fra,iad"),
            ("PILOT_FLY_API_URL", &api),
            ("PILOT_FLY_EDGE_ADDRESS", &edge),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    pub(super) fn objects(&self) -> Vec<Object> {
        let runtime = |app: &str| app.strip_prefix("pilot-").unwrap_or(app).to_owned();
        let object =
            |kind, name, app: &str, runs| Object { kind, name, runtime: runtime(app), runs, port: None };
        let (machines, volumes, apps) = (self.sim.machines(), self.sim.volumes(), self.sim.apps());
        let machines = machines.into_iter().map(|it| {
            let runs = matches!(it.state, State::Started | State::Starting);
            object(Kind::Machine, it.id, &it.app, runs)
        });
        let volumes = volumes.into_iter().map(|it| object(Kind::Volume, it.id, &it.app, false));
        // One whose end was ordered is gone for everybody but Fly.
        let apps = apps.into_iter().filter(|it| !it.deleting);
        let apps = apps.map(|it| object(Kind::Network, it.name.clone(), &it.name, false));
        machines.chain(volumes).chain(apps).collect()
    }

    pub(super) fn folder(&self, volume: &str) -> PathBuf {
        self.sim.volume_folder(volume)
    }

    pub(super) async fn remove_machine(&self, id: &str) -> Result<()> {
        let Some(machine) = self.sim.machines().into_iter().find(|it| it.id == id) else { return Ok(()) };
        let url = format!("{}/v1/apps/{}/machines/{id}?force=true", self.sim.api_url(), machine.app);
        let status = self.client.delete(url).bearer_auth(TOKEN).send().await?.status();
        ensure!(status.is_success() || status == 404, "the machine {id} was not removed: {status}");
        Ok(())
    }

    pub(super) fn suffer(&self, fault: &Fault) {
        let (percent, seed, then) = match fault {
            Fault::LoseAnswers { percent, seed, .. } => (*percent, *seed, Effect::CutAfter),
            Fault::SlowProvider { by, .. } => (100, 0, Effect::Delay { ms: by.as_millis() as u64 }),
            Fault::BusyProvider { percent, seed, .. } => {
                let retry_after = Some(RETRY_AFTER.as_secs());
                (*percent, *seed, Effect::Status { code: 429, body: String::new(), retry_after })
            }
            Fault::CutOffProvider { .. } => (100, 0, Effect::CutBefore),
            _ => (100, 0, Effect::Hang),
        };
        let probability = f64::from(percent) / 100.0;
        self.sim.order(Order {
            method: None,
            path: "/v1/**".to_owned(),
            count: None,
            probability,
            seed,
            then,
        });
    }

    pub(super) fn heal(&self) {
        self.sim.clear_faults();
    }

    pub(super) fn remove_everything(&self) {
        for machine in self.sim.machines() {
            let _ = docker(&["rm", "--force", "--volumes", &container(&machine.id)]);
        }
    }
}
