//! Instances with lists of destinations, held to them by a keeper that asks a test's own internet.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::RuntimeId;
use contracts::egress::EgressAllow;
use provider_api::conformance::{Fixture, Stack};
use provider_api::{Provider, RuntimeRef, RuntimeSpec, Settings};
use provider_docker::conformance::{World, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};
use tokio::sync::{Mutex, MutexGuard};

use super::internet::{Internet, keeper_image, said};

const NAMES: &str = "address=/one.example/203.0.113.11\\naddress=/two.example/203.0.113.12\\n\
                     address=/elsewhere.example/203.0.113.13\\ncname=alias.example,far.example\\n\
                     host-record=far.example,203.0.113.14\\nhost-record=many.example,203.0.113.15\\n\
                     host-record=many.example,203.0.113.16\\naddress=/inside.example/10.252.8.2\\n\
                     address=/metadata.example/169.254.169.253\\n";

pub fn provider(world: &World, given: &[(&str, &str)]) -> Arc<dyn Provider> {
    let var =
        |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

pub fn list(text: &str) -> Option<EgressAllow> {
    Some(text.parse().unwrap())
}

/// There is one internet at a time.
pub static TURN: Mutex<()> = Mutex::const_new(());

/// A provider whose keeper asks the test's internet, and what is to be removed afterwards.
pub struct Here {
    pub internet: Internet,
    image: String,
    pub provider: Arc<dyn Provider>,
    _turn: MutexGuard<'static, ()>,
}

impl Here {
    pub async fn new(world: &World) -> Self {
        let _turn = TURN.lock().await;
        let (internet, image) = (Internet::new(NAMES), keeper_image());
        let provider = provider(world, &[("PILOT_DOCKER_EGRESS_IMAGE", &image)]);
        Self { internet, image, provider, _turn }
    }

    pub async fn up(&self, fixture: &Fixture, egress: Option<EgressAllow>) -> Stack {
        let spec = RuntimeSpec { egress, ..fixture.stack().spec };
        let spec = RuntimeSpec { runtime_id: RuntimeId::random(), ..spec };
        let mut stack = Stack::new(self.provider.clone(), spec);
        stack.up().await;
        stack
    }

    pub async fn sh(&self, runtime: &RuntimeRef, script: &str) -> String {
        let words = ["timeout", "8", "bash", "-c", script].map(str::to_owned);
        let answer =
            self.provider.exec().unwrap().exec(runtime, &words, Duration::from_secs(15)).await.unwrap();
        String::from_utf8_lossy(&answer.stdout).trim().to_owned()
    }

    pub async fn reaches(&self, runtime: &RuntimeRef, host: &str, port: u16) -> bool {
        let script = format!("timeout 4 head -c 5 < /dev/tcp/{host}/{port}");
        self.sh(runtime, &script).await == "hello"
    }

    /// And is told so at once.
    pub async fn is_refused(&self, runtime: &RuntimeRef, host: &str, port: u16) -> bool {
        let began = Instant::now();
        !self.reaches(runtime, host, port).await && began.elapsed() < Duration::from_secs(3)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // Its keeper is there until the world is swept.
        let _ = std::process::Command::new("docker").args(["rmi", "-f", &self.image]).output();
    }
}

/// Of its list, and of the process that answers its names.
pub fn table(stack: &Stack) -> String {
    let network = name(&stack.runtime());
    let format = "{{index .Options \"com.docker.network.bridge.name\"}}";
    said(&format!("docker network inspect -f '{format}' {network}"))
}

/// Where the resolver of its bridge listens.
pub fn gateway(stack: &Stack) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    said(&format!("docker inspect -f '{format}' {}", name(&stack.runtime())))
}

pub fn keeper(fixture: &Fixture) -> String {
    format!("pilot-egress-{}", fixture.installation)
}

pub fn tables(fixture: &Fixture) -> String {
    said(&format!("docker exec {} nft list tables inet", keeper(fixture)))
}
