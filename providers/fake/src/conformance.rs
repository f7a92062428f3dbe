//! A world for the common suite: a cloud of its own for each case. Its backdoor reaches into the cloud's memory,
//! past everything that the provider uses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::Arc;

use async_trait::async_trait;
use contracts::InstallationId;
use contracts::egress::report::{Refused, RefusedKind};
use provider_api::conformance::{Backdoor, CanaryBootFiles, Faults, Fixture, Pushable};
use provider_api::{Provider, RuntimeRef, Settings};

use crate::cloud::{Cloud, Phase};
use crate::owner;
use crate::{FakeProvider, SETTINGS, declare};

/// One provider, its twin, and a cloud for them alone.
pub async fn fixture() -> Fixture {
    let credential = format!("token-{}", InstallationId::random());
    let cloud = Cloud::guarded(&credential);
    let settings = settings(&credential, None, None);
    fixture_of(cloud.clone(), credential, |boot| FakeProvider::on(cloud.clone(), &settings, boot))
}

/// The same with a network that all runtimes share.
pub async fn networked_fixture() -> Fixture {
    let credential = format!("token-{}", InstallationId::random());
    let cloud = Cloud::guarded(&credential);
    let settings = settings(&credential, None, Some("team"));
    let fixture =
        fixture_of(cloud.clone(), credential, |boot| FakeProvider::on(cloud.clone(), &settings, boot));
    fixture.shared().up().await;
    fixture
}

/// The same with a cloud that is reached over HTTP.
pub async fn served_fixture() -> Fixture {
    let credential = format!("token-{}", InstallationId::random());
    let cloud = Cloud::guarded(&credential);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(cloud.clone().serve(listener));
    let settings = settings(&credential, Some(&url), None);
    fixture_of(cloud, credential, |boot| FakeProvider::new(&settings, boot))
}

fn settings(credential: &str, url: Option<&str>, network: Option<&str>) -> Settings {
    let given = |variable: &str| match variable {
        "PILOT_FAKE_API_TOKEN" => Some(credential.to_owned()),
        "PILOT_FAKE_NETWORK" => network.map(str::to_owned),
        "PILOT_FAKE_URL" => url.map(str::to_owned),
        _ => None,
    };
    Settings::read(&declare::NAME, SETTINGS, given).expect("usable settings")
}

fn fixture_of(
    cloud: Cloud,
    credential: String,
    provider: impl Fn(Arc<CanaryBootFiles>) -> FakeProvider,
) -> Fixture {
    let boot = CanaryBootFiles::new();
    let provider = || -> Arc<dyn Provider> { Arc::new(provider(boot.clone())) };
    let world = Arc::new(World(cloud.clone()));
    Fixture::new(provider(), provider(), InstallationId::random(), boot.clone(), world.clone())
        .with_faults(world)
        .with_credential(credential)
        .with_other_image("fake:2")
        .with_pushable(|| async { Pushable::empty("amd64") })
}

struct World(Cloud);

fn is_of(labels: &owner::Labels, runtime: &RuntimeRef) -> bool {
    owner::of(labels).is_some_and(|owner| owner.runtime.runtime_id == runtime.runtime_id)
}

#[async_trait]
impl Backdoor for World {
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String> {
        let objects = self.0.objects();
        let volumes = objects.volumes.iter().filter(|(_, volume)| is_of(&volume.labels, runtime));
        let machines = objects.machines.iter().filter(|(_, machine)| is_of(&machine.labels, runtime));
        volumes.map(|(name, _)| name.clone()).chain(machines.map(|(name, _)| name.clone())).collect()
    }

    async fn runs(&self, runtime: &RuntimeRef) -> bool {
        let objects = self.0.objects();
        let machine = objects.machines.get(&owner::machine_name(&runtime.runtime_id));
        machine.is_some_and(|machine| machine.phase == Phase::Running)
    }

    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str) {
        let mut objects = self.0.objects();
        let volume = objects.volumes.get_mut(&owner::volume_name(&runtime.runtime_id)).unwrap();
        volume.files.insert(path.to_owned(), content.into());
    }

    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String> {
        let objects = self.0.objects();
        let volume = objects.volumes.get(&owner::volume_name(&runtime.runtime_id))?;
        Some(String::from_utf8(volume.files.get(path)?.clone()).unwrap())
    }

    async fn remove(&self, runtime: &RuntimeRef, resource: &str) {
        let mut objects = self.0.objects();
        match resource {
            "machine" => drop(objects.machines.remove(&owner::machine_name(&runtime.runtime_id)).unwrap()),
            "home" => drop(objects.volumes.remove(&owner::volume_name(&runtime.runtime_id)).unwrap()),
            other => panic!("no resource {other}"),
        }
    }

    async fn sweep(&self, _installation: &InstallationId) {
        let mut objects = self.0.objects();
        objects.networks.clear();
        objects.machines.clear();
        objects.volumes.clear();
    }

    fn can_fail(&self) -> bool {
        true
    }

    async fn fail(&self, runtime: &RuntimeRef) {
        let mut objects = self.0.objects();
        objects.machines.get_mut(&owner::machine_name(&runtime.runtime_id)).unwrap().fail(7);
    }

    async fn ask_for(&self, runtime: &RuntimeRef, name: &str) {
        let mut objects = self.0.objects();
        let machine = objects.machines.get_mut(&owner::machine_name(&runtime.runtime_id)).unwrap();
        machine.refused.insert(
            0,
            Refused {
                kind: RefusedKind::Name,
                destination: name.to_owned(),
                protocol: None,
                port: None,
                count: 1,
                last: jiff::Timestamp::now(),
                closed_for_all: false,
            },
        );
    }

    async fn write_memory(&self, runtime: &RuntimeRef, text: &str) {
        let objects = self.0.objects();
        let machine = &objects.machines[&owner::machine_name(&runtime.runtime_id)];
        machine.remember(text);
    }

    async fn read_memory(&self, runtime: &RuntimeRef) -> Option<String> {
        let objects = self.0.objects();
        objects.machines.get(&owner::machine_name(&runtime.runtime_id))?.remembered()
    }
}

#[async_trait]
impl Faults for World {
    async fn lose_answers(&self, percent: u8, seed: u64) {
        self.0.lose_answers(percent, seed);
    }

    async fn hang(&self) {
        self.0.hang();
    }

    async fn unreachable(&self) {
        self.0.become_unreachable();
    }

    async fn heal(&self) {
        self.0.heal();
    }

    fn can_fill(&self) -> bool {
        true
    }

    async fn fill(&self) {
        self.0.fill();
    }
}
