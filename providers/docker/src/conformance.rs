//! A world of its own for each test: its own installation's labels on the machine's Docker engine. The
//! witness is a client of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod proxy;
mod registry;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bollard::query_parameters as query;
use contracts::InstallationId;
use futures_util::StreamExt;
use provider_api::conformance::{Backdoor, CanaryBootFiles, Fixture};
use provider_api::{NoLogins, Provider, RuntimeRef, Settings};
use tokio::sync::OnceCell;

use crate::{DockerConfig, DockerEnv, DockerProvider, SETTINGS, declare};

pub use proxy::Proxy;
pub use registry::TestRegistry;

/// The stand-in for the instance image.
pub const IMAGE: &str = "pilot-conformance-test:2";
/// Another one, that is the same but for a label.
pub const OTHER_IMAGE: &str = "pilot-conformance-test:2-other";

/// Stands in for the instance image: the same user and home, the programs for a host's rules, and an init that ends on SIGTERM.
/// `behave-die` in the home makes it end at once.
const DOCKERFILE: &str = r#"
RUN apt-get update && apt-get install -y --no-install-recommends dnsmasq-base nftables
RUN mkdir -p /home/pilot && chown 1000:1000 /home/pilot
USER 1000:1000
WORKDIR /home/pilot
ENTRYPOINT ["/bin/sh", "-c", "if [ -e behave-die ]; then echo cannot work today >&2; exit 7; fi; trap 'exit 0' TERM; echo up; while :; do sleep 3600 & wait $!; done"]
"#;

/// One installation of its own on the machine's engine.
pub struct World {
    /// The witness's own client.
    pub docker: Docker,
    /// Where its instances' boot files come from.
    pub boot: Arc<CanaryBootFiles>,
    /// Owns everything in it.
    pub installation: InstallationId,
    /// Images that go with it.
    pub images: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// An empty one. Panics without an engine, and without a base for the stand-in of the image.
    pub async fn new() -> Self {
        let docker = Docker::connect_with_unix_defaults()
            .expect("no Docker engine: these tests need one, start it with `sudo systemctl start docker`");
        let docker = docker.negotiate_version().await.expect(
            "the Docker engine does not answer: these tests need one, start it with `sudo systemctl start docker`",
        );
        build_image(&docker).await;
        Self {
            docker,
            boot: CanaryBootFiles::new(),
            installation: InstallationId::random(),
            images: Arc::default(),
        }
    }

    /// How a module works in it.
    pub fn config(&self) -> DockerConfig {
        DockerConfig {
            host: None,
            env: DockerEnv::default(),
            settings: Settings::read(&declare::NAME, SETTINGS, |_| None).unwrap(),
            image: IMAGE.to_owned(),
            boot: self.boot.clone(),
            logins: Arc::new(NoLogins),
            publish: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: None,
        }
    }

    /// A module that works in it.
    pub fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(DockerProvider::new(self.config()))
    }

    /// What the suite needs of it.
    pub fn fixture(self) -> Fixture {
        let (first, second) = (self.provider(), self.provider());
        let (installation, boot) = (self.installation.clone(), self.boot.clone());
        Fixture::new(first, second, installation, boot, Arc::new(self)).with_other_image(OTHER_IMAGE)
    }

    fn filters(&self, label: &str, value: &str) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("pilot.{label}={value}")])])
    }

    /// Kind and id of everything with this label.
    async fn labelled(&self, label: &str, value: &str) -> Vec<(&'static str, String)> {
        let filters = self.filters(label, value);
        let mut found = Vec::new();
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.unwrap() {
            found.push(("container", container.id.unwrap()));
        }
        let options = query::ListNetworksOptionsBuilder::default().filters(&filters).build();
        for network in self.docker.list_networks(Some(options)).await.unwrap() {
            found.push(("network", network.id.unwrap()));
        }
        let options = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
        for volume in self.docker.list_volumes(Some(options)).await.unwrap().volumes.unwrap_or_default() {
            found.push(("volume", volume.name));
        }
        found
    }

    async fn remove_object(&self, kind: &str, id: &str) {
        let force = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let removed = match kind {
            "container" => self.docker.remove_container(id, Some(force)).await,
            "network" => self.docker.remove_network(id).await,
            _ => self.docker.remove_volume(id, None::<query::RemoveVolumeOptions>).await,
        };
        if let Err(error) = removed {
            assert!(
                error.to_string().contains("No such") || error.to_string().contains("not found"),
                "{kind} {id}: {error}"
            );
        }
    }

    /// Runs a program in the container as its user, and gives its output when it succeeds.
    pub async fn exec(&self, runtime: &RuntimeRef, command: &[&str]) -> Option<String> {
        let config = ExecConfig {
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.docker.create_exec(&name(runtime), config).await.ok()?;
        let StartExecResults::Attached { mut output, .. } =
            self.docker.start_exec(&exec.id, None).await.ok()?
        else {
            return None;
        };
        let mut text = String::new();
        while let Some(Ok(chunk)) = output.next().await {
            text += &chunk.to_string();
        }
        let inspected = self.docker.inspect_exec(&exec.id).await.ok()?;
        (inspected.exit_code == Some(0)).then_some(text)
    }

    /// What the container's processes have used of the processors, in nanoseconds.
    pub async fn processor_time(&self, runtime: &RuntimeRef) -> u64 {
        let once = query::StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = self.docker.stats(&name(runtime), Some(once));
        let sample = stats.next().await.unwrap().unwrap();
        sample.cpu_stats.unwrap().cpu_usage.unwrap().total_usage.unwrap()
    }

    /// What the engine itself says of the container.
    pub async fn inspect(&self, runtime: &RuntimeRef) -> bollard::models::ContainerInspectResponse {
        self.docker.inspect_container(&name(runtime), None::<query::InspectContainerOptions>).await.unwrap()
    }
}

/// Of network and container.
pub fn name(runtime: &RuntimeRef) -> String {
    format!("pilot-{}", runtime.runtime_id)
}

/// A world for one case, in which the first module's way to the engine can be broken.
pub async fn fixture() -> Fixture {
    let (world, proxy) = (World::new().await, Proxy::start().await);
    let config = DockerConfig { host: Some(proxy.host()), ..world.config() };
    let registry = Arc::new(TestRegistry::start(&world).await);
    let (docker, images) = (world.docker.clone(), world.images.clone());
    let pushable = move || registry::pushable(docker.clone(), images.clone());
    let fixture = world.fixture().with_registry(registry).with_pushable(pushable);
    Fixture { provider: Arc::new(DockerProvider::new(config)), ..fixture }.with_faults(Arc::new(proxy))
}

/// Once for each test program; the engine's cache makes it quick after the first time.
async fn build_image(docker: &Docker) {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            let dockerfile = format!("FROM {}{DOCKERFILE}", base_image(docker).await);
            build(docker, IMAGE, &dockerfile).await;
            build(docker, OTHER_IMAGE, &format!("{dockerfile}LABEL other=yes\n")).await;
        })
        .await;
}

async fn build(docker: &Docker, name: &str, dockerfile: &str) {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "Dockerfile", dockerfile.as_bytes()).unwrap();
    let body = bollard::body_full(archive.into_inner().unwrap().into());
    let options = query::BuildImageOptionsBuilder::default().t(name).rm(true).build();
    let mut build = docker.build_image(options, None, Some(body));
    while let Some(step) = build.next().await {
        let step = step.expect("the test image builds");
        assert!(step.error_detail.is_none(), "the test image does not build: {:?}", step.error_detail);
    }
}

/// The base of the instance image, whatever this host's is.
pub async fn base_image(docker: &Docker) -> String {
    let images = docker.list_images(None::<query::ListImagesOptions>).await.unwrap();
    let mut tags: Vec<_> = images.into_iter().flat_map(|image| image.repo_tags).collect();
    tags.sort();
    let base = tags.into_iter().find(|tag| tag.starts_with("debian:") || tag.starts_with("ubuntu:"));
    base.expect("no Debian or Ubuntu base image is on the Docker host: run `cargo xtask image`")
}

#[async_trait]
impl Backdoor for World {
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String> {
        let mut found = self.labelled("runtime", runtime.runtime_id.as_str()).await;
        // What keeps a fence, a generation or a stop is no resource.
        found.retain(|(_, id)| !["-fence-", "-generation-", "-stopped"].iter().any(|part| id.contains(part)));
        found.into_iter().map(|(kind, id)| format!("{kind} {id}")).collect()
    }

    async fn runs(&self, runtime: &RuntimeRef) -> bool {
        let inspected =
            self.docker.inspect_container(&name(runtime), None::<query::InspectContainerOptions>).await;
        let state = inspected.ok().and_then(|found| found.state);
        state.is_some_and(|state| state.running == Some(true) && state.paused != Some(true))
    }

    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str) {
        let script = r#"mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1""#;
        let path = format!("/home/pilot/{path}");
        self.exec(runtime, &["/bin/sh", "-c", script, "sh", &path, content])
            .await
            .expect("the file is written");
    }

    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String> {
        self.exec(runtime, &["cat", &format!("/home/pilot/{path}")]).await
    }

    fn can_fail(&self) -> bool {
        true
    }

    async fn fail(&self, runtime: &RuntimeRef) {
        self.docker.kill_container(&name(runtime), None::<query::KillContainerOptions>).await.unwrap();
    }

    async fn ask_for(&self, runtime: &RuntimeRef, name: &str) {
        let script = r#"! getent ahosts "$1""#;
        self.exec(runtime, &["/bin/sh", "-c", script, "sh", name]).await.expect("it is not known");
    }

    /// What is in `/tmp` is in memory only.
    async fn write_memory(&self, runtime: &RuntimeRef, text: &str) {
        let script = format!("printf %s '{text}' > /tmp/remembered");
        self.exec(runtime, &["/bin/sh", "-c", &script]).await.expect("the text is kept");
    }

    async fn read_memory(&self, runtime: &RuntimeRef) -> Option<String> {
        self.exec(runtime, &["cat", "/tmp/remembered"]).await
    }

    async fn remove(&self, runtime: &RuntimeRef, resource: &str) {
        let name = name(runtime);
        match resource {
            "instance" => self.remove_object("container", &name).await,
            "network" => self.remove_object("network", &name).await,
            "home" => self.remove_object("volume", &format!("{name}-home")).await,
            other => panic!("no resource {other}"),
        }
    }

    async fn sweep(&self, installation: &InstallationId) {
        for (kind, id) in self.labelled("installation", installation.as_str()).await {
            self.remove_object(kind, &id).await;
        }
        let images = std::mem::take(&mut *self.images.lock().unwrap());
        for image in images {
            registry::remove(&self.docker, &image).await;
        }
        for (kind, id) in self.labelled("egress", installation.as_str()).await {
            if kind != "container" {
                self.remove_object(kind, &id).await;
                continue;
            }
            let signal = query::KillContainerOptionsBuilder::default().signal("SIGUSR1").build();
            // One that does not run has nothing to take along.
            if self.docker.kill_container(&id, Some(signal)).await.is_ok() {
                let _ = self.docker.wait_container(&id, None::<query::WaitContainerOptions>).next().await;
            }
            self.remove_object("container", &id).await;
        }
    }
}
