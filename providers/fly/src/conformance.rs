//! A world for the common suite: for each case a simulator with its own folder, ports and token. The
//! witness is the simulator itself, and what is in its folder and processes; never the provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod relay;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::{InstallationId, ProviderName};
use provider_api::conformance::{
    Backdoor, CanaryBootFiles, Faults, Fixture, Pushable, empty_archive, eventually,
};
use provider_api::{Provider, RuntimeRef, Settings, Told};
use sim_fly::{Fault, Kind, Machine, RunnerKind, Scope, Sim, State, Token};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use self::relay::Relay;
use crate::{FlyProvider, SETTINGS, Timing};

const ORG: &str = "acme";

/// By so much Fly's rates are faster than the real ones, for who waits for the suite.
const FASTER: u32 = 8;

pub struct World {
    pub folder: tempfile::TempDir,
    pub sim: Sim,
    pub relay: Relay,
    pub boot: Arc<CanaryBootFiles>,
    pub installation: InstallationId,
    pub token: String,
    pub timing: Timing,
    /// The usual image, and another.
    pub images: [String; 2],
    /// Settings beside the usual ones.
    pub extra: Vec<(&'static str, String)>,
    client: reqwest::Client,
}

impl World {
    /// Machines are processes of the stand-in, a program of this crate.
    pub async fn new(stand_in: &Path) -> Self {
        assert!(
            stand_in.exists(),
            "{} is missing; run `cargo build --workspace --bins` first",
            stand_in.display()
        );
        let command = vec![stand_in.display().to_string()];
        Self::with(|settings| settings.runner = RunnerKind::Process { command })
            .await
            .with_pushed_images()
            .await
    }

    /// The same as strict as Fly: with its rates, at a faster clock, with apps that are deleted after the answer, and reached from inside.
    pub async fn strict(stand_in: &Path) -> Self {
        let command = vec![stand_in.display().to_string()];
        let mut world = Self::with(|settings| {
            settings.runner = RunnerKind::Process { command };
            settings.rate_limits = Some(f64::from(FASTER));
            settings.delays.app_delete = Duration::from_secs(1);
        })
        .await;
        world.timing.rates = Some(FASTER);
        world.extra.push(("PILOT_FLY_REACH", "flycast".to_owned()));
        world.with_pushed_images().await
    }

    /// Machines are made from what was pushed over the wire, and from nothing else of that registry.
    async fn with_pushed_images(mut self) -> Self {
        let store = self.provider().image_store().unwrap();
        let push = async |name: &str| {
            store.push(name, &empty_archive("amd64"), &Told::nobody()).await.unwrap().reference
        };
        self.images = [push("pilot-instance:1").await, push("pilot-instance:2").await];
        self
    }

    pub async fn with(change: impl FnOnce(&mut sim_fly::Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The user of an instance is another than the one that runs the suite as root.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let token = format!("fo1_{}", InstallationId::random());
        let mut settings = sim_fly::Settings::new(folder.path());
        settings.tokens = vec![Token { secret: token.clone(), org: ORG.to_owned(), scope: Scope::Org }];
        settings.tight_hosts = true;
        settings.delays.app_delete = Duration::from_millis(300);
        change(&mut settings);
        let sim = Sim::start(settings).await.unwrap();
        let target = sim.api_url().strip_prefix("http://").unwrap().parse().unwrap();
        let timing = Timing {
            call: Duration::from_secs(2),
            timeout: Duration::from_secs(4),
            settle: Duration::from_secs(30),
            visible: Duration::from_secs(5),
            rates: None,
        };
        Self {
            relay: Relay::to(target).await,
            boot: CanaryBootFiles::new(),
            installation: InstallationId::random(),
            client: reqwest::Client::new(),
            images: [1, 2].map(|tag| format!("registry.fly.io/pilot-instance:{tag}")),
            extra: Vec::new(),
            folder,
            sim,
            token,
            timing,
        }
    }

    pub fn provider(&self) -> Arc<dyn Provider> {
        self.provider_with(&[])
    }

    /// With some settings otherwise.
    pub fn provider_with(&self, others: &[(&'static str, &str)]) -> Arc<dyn Provider> {
        let name: ProviderName = "fly".parse().unwrap();
        let (api, edge) = (format!("http://{}", self.relay.address), self.sim.edge().to_string());
        let mut values = vec![
            ("PILOT_FLY_API_TOKEN", self.token.clone()),
            ("PILOT_FLY_ORG", ORG.to_owned()),
            ("PILOT_FLY_IMAGE", self.images[0].clone()),
            ("PILOT_FLY_REGIONS", "fra,iad".to_owned()),
            ("PILOT_FLY_API_URL", api),
            ("PILOT_FLY_EDGE_ADDRESS", edge),
            ("PILOT_FLY_REGISTRY", self.sim.registry()),
            ("PILOT_FLY_IMAGE_APP", "acme-images".to_owned()),
        ];
        values.extend(self.extra.clone());
        values.extend(others.iter().map(|(name, value)| (*name, (*value).to_owned())));
        // The last word counts.
        let var = |name: &str| {
            values.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        let settings = Settings::read(&name, &SETTINGS, var).unwrap();
        Arc::new(FlyProvider::with_timing(settings, self.boot.clone(), self.timing))
    }

    pub fn fixture(self) -> Fixture {
        let (provider, second) = (self.provider(), self.provider());
        let fewer = self.provider_with(&[("PILOT_FLY_REGIONS", "iad")]);
        let (installation, boot, token) = (self.installation.clone(), self.boot.clone(), self.token.clone());
        let other_image = self.images[1].clone();
        let world = Arc::new(self);
        Fixture::new(provider, second, installation, boot, world.clone())
            .with_faults(world)
            .with_credential(token)
            .with_fewer(fewer)
            .with_other_image(&other_image)
            .with_pushable(|| async { Pushable::empty("amd64") })
    }

    pub fn machine(&self, runtime: &RuntimeRef) -> Option<Machine> {
        self.sim.machines().into_iter().find(|machine| machine.app == app(runtime))
    }

    pub fn order(&self, method: Option<&str>, path: &str, count: Option<u64>, then: Kind) {
        let method = method.map(str::to_owned);
        self.sim.order(Fault { method, path: path.to_owned(), count, probability: 1.0, seed: 0, then });
    }

    /// The actions that the simulator saw, in order.
    pub fn actions(&self) -> Vec<String> {
        self.sim.requests().into_iter().map(|request| request.action).collect()
    }

    /// Straight to the simulator, past the relay.
    async fn delete(&self, path: &str) -> u16 {
        let url = format!("{}/v1{path}", self.sim.api_url());
        self.client.delete(url).bearer_auth(&self.token).send().await.unwrap().status().as_u16()
    }

    fn home(&self, runtime: &RuntimeRef) -> Option<PathBuf> {
        let volume = self.sim.volumes().into_iter().find(|volume| volume.app == app(runtime))?;
        Some(self.sim.volume_folder(&volume.id))
    }

    /// One line to the instance's program, and its answer.
    async fn ask(&self, runtime: &RuntimeRef, line: &str) -> Option<String> {
        let port = *self.machine(runtime)?.running?.ports.get(&3000)?;
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream.write_all(format!("{line}\n").as_bytes()).await.ok()?;
        BufReader::new(stream).lines().next_line().await.ok()?
    }
}

pub fn app(runtime: &RuntimeRef) -> String {
    format!("pilot-{}", runtime.runtime_id)
}

/// The same with a Fly that is as strict as the real one.
pub async fn strict_fixture(stand_in: &Path) -> Fixture {
    World::strict(stand_in).await.fixture()
}

/// One provider, its twin, and a Fly for them alone.
pub async fn fixture(stand_in: &Path) -> Fixture {
    World::new(stand_in).await.fixture()
}

#[async_trait]
impl Backdoor for World {
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String> {
        let app = app(runtime);
        let apps = self.sim.apps().into_iter().filter(|found| found.name == app).map(|found| found.id);
        let machines = self.sim.machines().into_iter().filter(|found| found.app == app).map(|found| found.id);
        let volumes = self.sim.volumes().into_iter().filter(|found| found.app == app).map(|found| found.id);
        apps.chain(machines).chain(volumes).collect()
    }

    async fn runs(&self, runtime: &RuntimeRef) -> bool {
        let machine = self.machine(runtime).filter(|machine| machine.state == State::Started);
        let pid = machine.and_then(|machine| machine.running?.pid);
        pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
    }

    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str) {
        let file = self.home(runtime).expect("a home").join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).unwrap();
        std::fs::write(file, content).unwrap();
    }

    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String> {
        std::fs::read_to_string(self.home(runtime)?.join(path)).ok()
    }

    async fn remove(&self, runtime: &RuntimeRef, resource: &str) {
        let app = app(runtime);
        match resource {
            "instance" => {
                let id = self.machine(runtime).expect("a machine").id;
                assert_eq!(self.delete(&format!("/apps/{app}/machines/{id}?force=true")).await, 200);
                eventually("it is destroyed", async || self.machine(runtime).is_none()).await;
            }
            "home" => {
                for volume in self.sim.volumes().into_iter().filter(|volume| volume.app == app) {
                    assert_eq!(self.delete(&format!("/apps/{app}/volumes/{}", volume.id)).await, 200);
                }
            }
            "app" => {
                assert_eq!(self.delete(&format!("/apps/{app}")).await, 202);
                eventually("it is gone", async || self.sim.apps().iter().all(|found| found.name != app))
                    .await;
            }
            other => panic!("no resource {other}"),
        }
    }

    async fn sweep(&self, _installation: &InstallationId) {
        for app in self.sim.apps() {
            self.delete(&format!("/apps/{}", app.name)).await;
        }
        eventually("nothing is left", async || self.sim.machines().is_empty()).await;
    }

    fn can_fail(&self) -> bool {
        true
    }

    async fn fail(&self, runtime: &RuntimeRef) {
        let pid = self.machine(runtime).and_then(|machine| machine.running?.pid).expect("it runs");
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.unwrap().success());
    }

    async fn write_memory(&self, runtime: &RuntimeRef, text: &str) {
        let line = format!("set {text}");
        eventually("it remembers", async || self.ask(runtime, &line).await.as_deref() == Some(text)).await;
    }

    async fn read_memory(&self, runtime: &RuntimeRef) -> Option<String> {
        self.ask(runtime, "get").await
    }
}

#[async_trait]
impl Faults for World {
    async fn lose_answers(&self, percent: u8, seed: u64) {
        let probability = f64::from(percent) / 100.0;
        self.sim.clear_faults();
        let path = "/v1/**".to_owned();
        self.sim.order(Fault { method: None, path, count: None, probability, seed, then: Kind::CutAfter });
    }

    async fn hang(&self) {
        self.order(None, "/v1/**", None, Kind::Hang);
    }

    async fn unreachable(&self) {
        self.relay.go().await;
    }

    async fn heal(&self) {
        self.sim.clear_faults();
        self.relay.come_back().await;
    }
}
