//! A world for the common suite: a simulated account of its own for each case, with the shared stack
//! applied. The witness looks at Docker and asks the Worker with a signature of its own; it never uses the
//! provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::{digest, hmac};
use contracts::InstallationId;
use provider_api::conformance::{Backdoor, CanaryBootFiles, Faults, Fixture, Pushable, Stack, empty_archive};
use provider_api::{Created, Provider, Result, RuntimeRef, Settings};
use serde_json::{Value, json};
use sim_cloudflare::{Fault, Kind, Options, Simulator, Surface};
use tokio::sync::{Mutex, OnceCell};

use crate::{CloudflareConfig, CloudflareProvider, ControlKey, Identity};

pub const IMAGE: &str = "pilot-cloudflare-test:latest";
pub const OTHER_IMAGE: &str = "pilot-cloudflare-other-test:latest";
pub const OPENCODE_IMAGE: &str = "pilot-cloudflare-opencode-test:latest";
pub const TOKEN: &str = "canary-of-the-api-token";
const KEY: [u8; 32] = [9; 32];

pub struct World {
    /// None once it was swept.
    pub sim: Mutex<Option<Simulator>>,
    pub urls: sim_cloudflare::Urls,
    pub folder: tempfile::TempDir,
    pub installation: InstallationId,
    pub boot: Arc<CanaryBootFiles>,
    pub gateway_key: String,
    /// Settings that are otherwise than an operator's who sets none.
    pub settings: Vec<(&'static str, String)>,
    /// How long the modules of the world wait for something.
    pub timeout: Duration,
    _containers: Containers,
}

/// A test that fails stops no simulator; its containers and snapshots end with this.
struct Containers(PathBuf);

impl Drop for Containers {
    fn drop(&mut self) {
        let label = format!("label=sim-cloudflare.folder={}", self.0.display());
        let remove = |list: &[&str], remove: &[&str]| {
            let listed = Command::new("docker").args(list).args(["-q", "--filter", &label]).output();
            let left =
                listed.map(|left| String::from_utf8_lossy(&left.stdout).into_owned()).unwrap_or_default();
            if !left.is_empty() {
                let _ = Command::new("docker").args(remove).args(left.lines()).output();
            }
        };
        remove(&["ps", "-a"], &["rm", "-f", "-v"]);
        // Snapshots of file systems.
        remove(&["images"], &["rmi", "-f"]);
    }
}

impl World {
    /// An empty account, whose containers begin with this `pilot-instance`.
    pub async fn start(init: &Path) -> Self {
        Self::with(init, |_| ()).await
    }

    /// The same account, some of it otherwise.
    pub async fn with(init: &Path, change: impl FnOnce(&mut Options)) -> Self {
        static BUILT: OnceCell<()> = OnceCell::const_new();
        BUILT.get_or_init(|| async { build_image(init) }).await;
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::in_folder(folder.path());
        assert!(options.workerd.exists(), "workerd is missing; run `cargo xtask tools --tests` first");
        options.tokens = vec![TOKEN.to_owned()];
        change(&mut options);
        let sim = Simulator::start(options).await.unwrap();
        Self {
            urls: sim.urls.clone(),
            sim: Mutex::new(Some(sim)),
            installation: InstallationId::random(),
            boot: CanaryBootFiles::new(),
            gateway_key: "A".repeat(43),
            settings: Vec::new(),
            timeout: Duration::from_secs(12),
            _containers: Containers(folder.path().to_path_buf()),
            folder,
        }
    }

    pub fn identity(&self) -> Identity {
        Identity {
            installation: self.installation.clone(),
            control_key: ControlKey::new(KEY),
            gateway_key: self.gateway_key.clone(),
        }
    }

    /// The settings as an operator gives them, some of them otherwise.
    pub fn config(&self, others: &[(&str, &str)]) -> CloudflareConfig {
        let image = format!("registry.cloudflare.com/{}/{IMAGE}", self.urls.account);
        let var = |name: &str| {
            let name = name.strip_prefix("PILOT_CLOUDFLARE_").unwrap();
            if let Some((_, value)) = others.iter().find(|(other, _)| *other == name) {
                return Some((*value).to_owned());
            }
            if let Some((_, value)) = self.settings.iter().find(|(other, _)| *other == name) {
                return Some(value.clone());
            }
            match name {
                "API_TOKEN" => Some(TOKEN.to_owned()),
                "ACCOUNT_ID" => Some(self.urls.account.clone()),
                "API_URL" => Some(self.urls.api.clone()),
                "WORKER_URL" => Some(self.urls.edge.clone()),
                "REGISTRY" => Some(self.urls.registry.clone()),
                "IMAGE" => Some(image.clone()),
                _ => None,
            }
        };
        CloudflareConfig {
            settings: Settings::read(&CloudflareProvider::name(), &CloudflareProvider::settings(), var)
                .unwrap(),
            identity: Some(self.identity()),
            boot: self.boot.clone(),
            timeout: self.timeout,
        }
    }

    pub fn provider(&self) -> Arc<dyn Provider> {
        self.provider_with(&[])
    }

    pub fn provider_with(&self, others: &[(&str, &str)]) -> Arc<dyn Provider> {
        Arc::new(CloudflareProvider::new(self.config(others)))
    }

    /// Creates what the installation shares, in the order in which it is declared.
    pub async fn apply_shared(&self, provider: &Arc<dyn Provider>) -> Result<Vec<Created>> {
        let mut shared = Stack::shared(provider.clone(), &self.installation);
        shared.try_up().await?;
        Ok(shared.names().iter().map(|name| shared.state[name].1.clone()).collect())
    }

    /// With the shared stack applied, as a fixture for the conformance suite.
    pub async fn fixture(self) -> Fixture {
        self.apply_shared(&self.provider()).await.unwrap();
        let (provider, second) = (self.provider(), self.provider());
        // Where each start chooses, no setting decides which sizes there are.
        let offers_all = provider.describe().sizes.len() > 1;
        let fewer = (!offers_all).then(|| self.provider_with(&[("INSTANCE_TYPE", "standard-2")]));
        let (installation, boot) = (self.installation.clone(), self.boot.clone());
        let world = Arc::new(self);
        let fixture = Fixture::new(provider, second, installation, boot, world.clone());
        let fixture = fixture.with_faults(world).with_credential(TOKEN);
        match fewer {
            Some(fewer) => fixture.with_fewer(fewer),
            None => fixture,
        }
    }

    /// An image of the local Docker engine, as the account's registry has it.
    pub fn by_digest(&self, image: &str) -> String {
        let id = docker(&["inspect", "--format", "{{.Id}}", image]).expect("the image is built");
        format!("registry.cloudflare.com/{}/pilot-instance@{}", self.urls.account, id.trim())
    }

    /// The same account, at which file systems are kept and each start chooses.
    pub fn keeping(mut self) -> Self {
        let image = self.by_digest(IMAGE);
        self.settings = vec![("SCHEDULING_POLICY", "durable_object".to_owned()), ("IMAGE", image)];
        self
    }

    /// How many calls were seen so far at each entrance.
    pub async fn calls(&self) -> (usize, usize) {
        let all = self.sim.lock().await.as_ref().unwrap().calls();
        let api = all.iter().filter(|call| call.surface == Surface::Api).count();
        (api, all.len() - api)
    }

    /// A control call with a signature of the witness's own, past all faults.
    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/_pilot/runtimes{path}");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let now = jiff::Timestamp::now().as_second();
        let nonce = hex(&rand::random::<[u8; 12]>());
        let hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
        let message = ["pilot-control-v1", method, &path, &now.to_string(), &nonce, &hash].join("\n");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), message.as_bytes());
        let script = format!("pilot-{}", self.installation);
        let port = self.sim.lock().await.as_ref().unwrap().worker_port(&script).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .request(method.parse().unwrap(), format!("http://127.0.0.1:{port}{path}"))
            .header("x-pilot-time", now)
            .header("x-pilot-nonce", nonce)
            .header("x-pilot-signature", hex(tag.as_ref()))
            .body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    pub async fn state(&self, runtime: &RuntimeRef) -> Value {
        let path = format!("/{}/state?installation={}", runtime.runtime_id, self.installation);
        self.control("GET", &path, None).await.1
    }

    /// The running container of a runtime.
    pub fn container(&self, runtime: &RuntimeRef) -> Option<String> {
        let label = format!("label=sim-cloudflare.folder={}", self.folder.path().display());
        let listed = docker(&["ps", "-q", "--filter", &label]).unwrap_or_default();
        let wanted = format!("PILOT_RUNTIME={}", runtime.runtime_id);
        let is_its = |id: &&str| {
            let env = docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", id]);
            env.is_some_and(|env| env.lines().any(|line| line == wanted))
        };
        listed.lines().find(is_its).map(str::to_owned)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An image of the local engine as its archive, without a name.
fn save(image: &str) -> tempfile::TempPath {
    let id = docker(&["inspect", "--format", "{{.Id}}", image]).expect("the image is built");
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    docker(&["save", "--output", &file.display().to_string(), id.trim()]).expect("the image is saved");
    file
}

fn build(tag: &str, init: &Path, dockerfile: &str) {
    assert!(init.exists(), "{} is missing; run `cargo build --bin pilot-instance` first", init.display());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(init, folder.path().join("pilot-instance")).unwrap();
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    let mut build = Command::new("docker");
    build.args(["build", "--quiet", "--tag", tag]).arg(folder.path()).env("DOCKER_BUILDKIT", "0");
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// The instance image with the init of this build.
pub fn build_opencode_image(init: &Path) {
    let base = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));
    let dockerfile = format!("FROM {base}\nCOPY pilot-instance /usr/local/bin/pilot-instance\n");
    build(OPENCODE_IMAGE, init, &dockerfile);
}

/// The instance's init with canned answers, on the base of the instance image. It boots at once.
fn build_image(init: &Path) {
    let listed = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).unwrap_or_default();
    let base = listed.lines().find(|tag| tag.starts_with("debian:") || tag.starts_with("ubuntu:"));
    let base = base.expect("no Debian or Ubuntu base image is on the Docker host: run `cargo xtask image`");
    let dockerfile = format!(
        "FROM {base}\n\
         RUN mkdir -p /home/pilot && chown 1000:1000 /home/pilot\n\
         COPY pilot-instance /usr/local/bin/pilot-instance\n\
         ENV HOME=/home/pilot PILOT_ADAPTER=mock\n\
         USER 1000:1000\nWORKDIR /home/pilot\nEXPOSE 3000 4096\n\
         ENTRYPOINT [\"/usr/local/bin/pilot-instance\"]\n"
    );
    build(IMAGE, init, &dockerfile);
    build(OTHER_IMAGE, init, &format!("{dockerfile}LABEL another=image\n"));
}

#[async_trait]
impl Backdoor for World {
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String> {
        let state = self.state(runtime).await;
        let status = state["status"].as_str().unwrap_or_else(|| panic!("the Worker does not tell: {state}"));
        let there = [("runtime", status != "absent"), ("home", state["home"].is_object())];
        let named = |kind| format!("{kind} {}", runtime.runtime_id);
        there.into_iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| named(kind)).collect()
    }

    async fn runs(&self, runtime: &RuntimeRef) -> bool {
        self.container(runtime).is_some()
    }

    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str) {
        let container = self.container(runtime).expect("it runs");
        let script = format!("printf %s '{content}' > /home/pilot/{path}");
        docker(&["exec", &container, "/bin/sh", "-c", &script]).expect("the file is written");
    }

    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String> {
        docker(&["exec", &self.container(runtime)?, "cat", &format!("/home/pilot/{path}")])
    }

    async fn remove(&self, runtime: &RuntimeRef, resource: &str) {
        let below = match resource {
            "instance" => "",
            "home" => "/home",
            other => panic!("nothing is declared as {other}"),
        };
        let body = json!({"installation": self.installation});
        let path = format!("/{}{below}", runtime.runtime_id);
        let (status, answer) = self.control("DELETE", &path, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn sweep(&self, _installation: &InstallationId) {
        if let Some(sim) = self.sim.lock().await.take() {
            sim.stop().await;
        }
    }
}

#[async_trait]
impl Faults for World {
    async fn lose_answers(&self, percent: u8, seed: u64) {
        let sim = self.sim.lock().await;
        let sim = sim.as_ref().unwrap();
        sim.clear_faults();
        sim.set_seed(seed);
        sim.fault(any(Kind::CutAfter, f64::from(percent) / 100.0));
    }

    async fn hang(&self) {
        self.sim.lock().await.as_ref().unwrap().fault(any(Kind::Hang, 1.0));
    }

    async fn unreachable(&self) {
        let sim = self.sim.lock().await;
        sim.as_ref().unwrap().set_network(false);
    }

    async fn heal(&self) {
        if let Some(sim) = self.sim.lock().await.as_ref() {
            sim.clear_faults();
            sim.set_network(true);
        }
    }
}

/// Hits calls of the API and to the Worker alike.
fn any(kind: Kind, probability: f64) -> Fault {
    Fault { surface: None, method: None, path: "*".to_owned(), count: None, probability, kind }
}

/// One provider, its twin, and an account for them alone.
pub async fn fixture(init: &Path) -> Fixture {
    World::start(init).await.fixture().await
}

/// The same at an account that does everything for the first time: what is made is there after a while, and is waited for longer.
pub async fn fresh_fixture(init: &Path) -> Fixture {
    // Seconds for minutes.
    let first_use = |options: &mut Options| (options.name_lag_ms, options.provisioning_ms) = (2000, 4000);
    let mut world = World::with(init, first_use).await;
    world.timeout = Duration::from_secs(40);
    world.fixture().await
}

/// The same at an account that keeps file systems.
pub async fn keeping_fixture(init: &Path) -> Fixture {
    let world = World::start(init).await.keeping();
    let other = world.by_digest(OTHER_IMAGE);
    let pushable = || async {
        let own = InstallationId::random();
        Pushable {
            name: format!("pilot-pushed-{own}:1"),
            archive: save(IMAGE),
            foreign: empty_archive("arm64"),
        }
    };
    world.fixture().await.with_other_image(other).with_pushable(pushable)
}
