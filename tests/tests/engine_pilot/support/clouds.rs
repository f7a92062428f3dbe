//! Simulated clouds whose machines are containers of the instance image on this machine's Docker.

use std::process::Command;

use sim_cloudflare::{Options, Simulator};
use sim_fly::{RunnerKind, Scope, Settings, Sim, Token};

const IMAGE: &str = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));

pub type Environment = Vec<(&'static str, String)>;

/// Removes what a failed test leaves; the witness of what is there is Docker, not the simulator.
fn remove_containers(filter: &str) {
    let listed =
        Command::new("docker").args(["ps", "--all", "--quiet", "--filter", filter]).output().unwrap();
    for id in String::from_utf8_lossy(&listed.stdout).lines() {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", id]).output();
    }
}

pub struct FlyCloud {
    pub sim: Sim,
    _folder: tempfile::TempDir,
}

impl FlyCloud {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path());
        settings.runner = RunnerKind::Docker;
        settings.tokens =
            vec![Token { secret: "fo1_canary-of-fly".to_owned(), org: "acme".to_owned(), scope: Scope::Org }];
        Self { sim: Sim::start(settings).await.unwrap(), _folder: folder }
    }

    /// What an operator sets to use it.
    pub fn environment(&self) -> Environment {
        vec![
            ("PILOT_FLY_API_TOKEN", "fo1_canary-of-fly".to_owned()),
            ("PILOT_FLY_ORG", "acme".to_owned()),
            ("PILOT_FLY_IMAGE", IMAGE.to_owned()),
            ("PILOT_FLY_REGIONS", "fra,iad".to_owned()),
            ("PILOT_FLY_API_URL", self.sim.api_url()),
            ("PILOT_FLY_EDGE_ADDRESS", self.sim.edge().to_string()),
        ]
    }
}

impl Drop for FlyCloud {
    fn drop(&mut self) {
        for machine in self.sim.machines() {
            remove_containers(&format!("label=sim-fly.machine={}", machine.id));
        }
    }
}

pub struct CloudflareCloud {
    pub sim: Simulator,
    folder: tempfile::TempDir,
}

impl CloudflareCloud {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::in_folder(folder.path());
        change(&mut options);
        Self { sim: Simulator::start(options).await.unwrap(), folder }
    }

    /// What an operator sets to use it.
    pub fn environment(&self) -> Environment {
        let urls = &self.sim.urls;
        vec![
            ("PILOT_CLOUDFLARE_API_TOKEN", "sim-token".to_owned()),
            ("PILOT_CLOUDFLARE_ACCOUNT_ID", urls.account.clone()),
            ("PILOT_CLOUDFLARE_IMAGE", format!("registry.cloudflare.com/{}/{IMAGE}", urls.account)),
            ("PILOT_CLOUDFLARE_INSTANCE_TYPE", "standard-4".to_owned()),
            ("PILOT_CLOUDFLARE_API_URL", urls.api.clone()),
            ("PILOT_CLOUDFLARE_WORKER_URL", urls.edge.clone()),
        ]
    }

    /// The same where the account keeps the homes, of an image that is named by its digest.
    pub fn keeping_environment(&self) -> Environment {
        let inspect =
            Command::new("docker").args(["inspect", "--format", "{{.Id}}", IMAGE]).output().unwrap();
        let id = String::from_utf8_lossy(&inspect.stdout).trim().to_owned();
        let image = format!("registry.cloudflare.com/{}/pilot-instance@{id}", self.sim.urls.account);
        let mut environment = self.environment();
        environment.retain(|(name, _)| *name != "PILOT_CLOUDFLARE_IMAGE");
        environment.push(("PILOT_CLOUDFLARE_IMAGE", image));
        environment.push(("PILOT_CLOUDFLARE_SCHEDULING_POLICY", "durable_object".to_owned()));
        environment
    }
}

impl Drop for CloudflareCloud {
    fn drop(&mut self) {
        remove_containers(&format!("label=sim-cloudflare.folder={}", self.folder.path().display()));
    }
}
