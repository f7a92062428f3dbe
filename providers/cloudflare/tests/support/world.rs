//! A simulated account of its own for each test, with the shared stack applied. The witness looks at
//! Docker and asks the Worker with a signature of its own; it never uses the provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::{digest, hmac};
use contracts::InstallationId;
use provider_api::conformance::{Bench, CanaryBoot, Hands};
use provider_api::{CreateRequest, Created, Expr, Properties, Provider, Result, RuntimeRef, Settings};
use provider_cloudflare::{CloudflareConfig, CloudflareProvider, ControlKey};
use serde_json::{Value, json};
use sim_cloudflare::{Options, Simulator, Surface};
use tokio::sync::{Mutex, OnceCell};

pub const IMAGE: &str = "pilot-cloudflare-test:latest";
pub const TOKEN: &str = "sim-token";
const KEY: [u8; 32] = [9; 32];

pub struct World {
    /// None once it was swept.
    pub sim: Mutex<Option<Simulator>>,
    pub urls: sim_cloudflare::Urls,
    pub folder: tempfile::TempDir,
    pub installation: InstallationId,
    pub boot: Arc<CanaryBoot>,
    pub gateway_key: String,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        static BUILT: OnceCell<()> = OnceCell::const_new();
        BUILT.get_or_init(|| async { build_image() }).await;
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::in_folder(folder.path());
        change(&mut options);
        let sim = Simulator::start(options).await.unwrap();
        Self {
            urls: sim.urls.clone(),
            sim: Mutex::new(Some(sim)),
            folder,
            installation: InstallationId::random(),
            boot: CanaryBoot::new(),
            gateway_key: "A".repeat(43),
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
            match name {
                "API_TOKEN" => Some(TOKEN.to_owned()),
                "ACCOUNT_ID" => Some(self.urls.account.clone()),
                "API_URL" => Some(self.urls.api.clone()),
                "WORKER_URL" => Some(self.urls.edge.clone()),
                "IMAGE" => Some(image.clone()),
                _ => None,
            }
        };
        CloudflareConfig {
            settings: Settings::read(&CloudflareProvider::name(), &CloudflareProvider::settings(), var)
                .unwrap(),
            installation: self.installation.clone(),
            boot: self.boot.clone(),
            control_key: ControlKey::new(KEY),
            gateway_key: self.gateway_key.clone(),
            patience: Duration::from_secs(30),
        }
    }

    pub fn provider(&self) -> Arc<dyn Provider> {
        self.provider_with(&[])
    }

    pub fn provider_with(&self, others: &[(&str, &str)]) -> Arc<dyn Provider> {
        Arc::new(CloudflareProvider::new(self.config(others)))
    }

    /// With the shared stack applied, as a bench for the conformance suite.
    pub async fn bench(self) -> Bench {
        apply_shared(&self.provider(), &self.installation).await.unwrap();
        Bench {
            provider: self.provider(),
            second: self.provider(),
            installation: self.installation.clone(),
            boot: self.boot.clone(),
            hands: Arc::new(self),
        }
    }

    /// How many calls were seen so far at each entrance.
    pub async fn calls(&self) -> (usize, usize) {
        let all = self.sim.lock().await.as_ref().unwrap().calls();
        let api = all.iter().filter(|call| call.surface == Surface::Api).count();
        (api, all.len() - api)
    }

    /// A control call with a signature of the witness's own.
    pub async fn control(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/_pilot/runtimes{path}");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let now = jiff::Timestamp::now().as_second();
        let nonce: String = (0..24).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect();
        let hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
        let message = ["pilot-control-v1", method, &path, &now.to_string(), &nonce, &hash].join("\n");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), message.as_bytes());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .request(method.parse().unwrap(), format!("{}{path}", self.urls.edge))
            .header("host", format!("pilot-{}.{}.workers.dev", self.installation, self.urls.subdomain))
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

/// Creates what the installation shares, in the order in which it is declared.
pub async fn apply_shared(
    provider: &Arc<dyn Provider>,
    installation: &InstallationId,
) -> Result<Vec<Created>> {
    let mut made: Vec<(String, Created)> = Vec::new();
    for declaration in provider.shared(installation)?.resources {
        let mut inputs = Properties::new();
        for (name, value) in declaration.inputs {
            let value = match value {
                Expr::Value(value) => value,
                Expr::Output { resource, property } => {
                    made.iter().find(|(name, _)| *name == resource).unwrap().1.outputs[&property].clone()
                }
                Expr::Secret(_) => panic!("no secret is an input"),
            };
            inputs.insert(name, value);
        }
        let resource = provider.resources().into_iter().find(|each| each.schema().token == declaration.token);
        let request = CreateRequest { urn: declaration.name.clone(), inputs, timeout: None };
        made.push((declaration.name, resource.unwrap().create(request).await?));
    }
    Ok(made.into_iter().map(|(_, created)| created).collect())
}

/// The instance's init with canned answers, on the base of the instance image. It boots at once.
fn build_image() {
    let test = std::env::current_exe().unwrap();
    let init = test.parent().and_then(Path::parent).unwrap().join("pilot-instance");
    assert!(init.exists(), "{} is missing; run `cargo build --bin pilot-instance` first", init.display());
    let listed = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).unwrap_or_default();
    let base = listed.lines().find(|tag| tag.starts_with("debian:") || tag.starts_with("ubuntu:"));
    let base = base.expect("no Debian or Ubuntu base image is on the Docker host: run `cargo xtask image`");
    let folder: PathBuf = tempfile::tempdir().unwrap().keep();
    std::fs::copy(&init, folder.join("pilot-instance")).unwrap();
    let dockerfile = format!(
        "FROM {base}\n\
         RUN mkdir -p /home/pilot && chown 1000:1000 /home/pilot\n\
         COPY pilot-instance /usr/local/bin/pilot-instance\n\
         ENV HOME=/home/pilot PILOT_ADAPTER=mock\n\
         USER 1000:1000\nWORKDIR /home/pilot\nEXPOSE 3000 4096\n\
         ENTRYPOINT [\"/usr/local/bin/pilot-instance\"]\n"
    );
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    let mut build = Command::new("docker");
    build.args(["build", "--quiet", "--tag", IMAGE]).arg(&folder).env("DOCKER_BUILDKIT", "0");
    let built = build.output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[async_trait]
impl Hands for World {
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String> {
        let state = self.state(runtime).await;
        match state["status"].as_str() {
            Some("absent") => Vec::new(),
            Some(_) => vec![format!("runtime {}", runtime.runtime_id)],
            None => panic!("the Worker does not tell: {state}"),
        }
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
        assert_eq!(resource, "instance");
        let body = json!({"installation": self.installation});
        let (status, answer) = self.control("DELETE", &format!("/{}", runtime.runtime_id), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn sweep(&self, _installation: &InstallationId) {
        if let Some(sim) = self.sim.lock().await.take() {
            sim.stop().await;
        }
    }
}

pub async fn bench() -> Bench {
    World::start().await.bench().await
}
