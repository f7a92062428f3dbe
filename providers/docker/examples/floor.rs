//! How much the module adds to what Docker itself takes: runtimes made through its resources beside the
//! same calls made directly, in turns, so that both see the same machine. Also suspend and resume.
//!
//! `cargo run --release -p provider-docker --example floor -- --runs 15`; the last line is a JSON object.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program for developers ends at the first thing that is not as it should be"
)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters as query;
use contracts::RuntimeId;
use provider_api::RuntimeRef;
use provider_api::conformance::{CanaryBootFiles, Fixture, Stack, run};
use provider_docker::conformance::{World, name};

const RUNS: usize = 15;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip_while(|word| word != "--runs").skip(1);
    let runs = words.next().map_or(RUNS, |text| text.parse().expect("--runs takes a number"));
    let world = World::new().await;
    let docker = world.docker.clone();
    run(world.fixture(), move |fixture| async move { measure(&fixture, &docker, runs.max(1)).await }).await;
}

async fn measure(fixture: &Fixture, docker: &Docker, runs: usize) {
    let mut model = fixture.stack();
    model.up().await;
    let model = docker
        .inspect_container(&name(&model.runtime()), None::<query::InspectContainerOptions>)
        .await
        .unwrap();
    let (mut ours, mut floor, mut suspend, mut resume) = (vec![], vec![], vec![], vec![]);
    for turn in 0..=runs {
        // Each goes first as often as the other.
        let early = if turn % 2 == 0 { Some(raw(fixture, docker, &model).await) } else { None };
        let mut stack = fixture.stack();
        let began = Instant::now();
        stack.up().await;
        let through_the_module = began.elapsed();
        let (suspended, resumed) = nap(fixture, &stack).await;
        stack.down().await;
        let directly = match early {
            Some(directly) => directly,
            None => raw(fixture, docker, &model).await,
        };
        // The first turn warms everything up.
        if turn > 0 {
            ours.push(through_the_module);
            floor.push(directly);
            suspend.push(suspended);
            resume.push(resumed);
        }
    }
    let (ours, floor) = (median(ours), median(floor));
    println!("through the module {ours:.1} ms, directly {floor:.1} ms");
    println!(
        "{}",
        serde_json::json!({
            "docker_create_floor": round(ours / floor),
            "docker_suspend_ms": round(median(suspend)),
            "docker_resume_ms": round(median(resume)),
            "runs": runs,
        })
    );
}

async fn nap(fixture: &Fixture, stack: &Stack) -> (Duration, Duration) {
    let lifecycle = fixture.provider.lifecycle();
    let began = Instant::now();
    lifecycle.suspend(&stack.runtime()).await.unwrap();
    let suspended = began.elapsed();
    let began = Instant::now();
    lifecycle.resume(&stack.runtime()).await.unwrap();
    (suspended, began.elapsed())
}

/// The calls that nobody can do without: network, volume, container, boot files, start.
async fn raw(fixture: &Fixture, docker: &Docker, model: &ContainerInspectResponse) -> Duration {
    let runtime = RuntimeRef::new(RuntimeId::random(), fixture.installation.clone());
    let (name, volume) = (name(&runtime), format!("{}-home", name(&runtime)));
    let config = model.config.clone().unwrap();
    let mut labels = config.labels.clone().unwrap();
    labels.insert("pilot.runtime".to_owned(), runtime.runtime_id.to_string());
    let mut host: HostConfig = model.host_config.clone().unwrap();
    host.network_mode = Some(name.clone());
    for mount in host.mounts.iter_mut().flatten() {
        mount.source = Some(volume.clone());
    }
    let network = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        options: Some(HashMap::from([(
            "com.docker.network.bridge.enable_icc".to_owned(),
            "false".to_owned(),
        )])),
        labels: Some(labels.clone()),
        ..Default::default()
    };
    let home = VolumeCreateRequest {
        name: Some(volume.clone()),
        driver: Some("local".to_owned()),
        labels: Some(labels.clone()),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: config.image,
        user: config.user,
        env: config.env,
        labels: Some(labels),
        exposed_ports: config.exposed_ports,
        host_config: Some(host),
        ..Default::default()
    };
    let files = archive(fixture);
    let began = Instant::now();
    docker.create_network(network).await.unwrap();
    docker.create_volume(home).await.unwrap();
    let options = query::CreateContainerOptionsBuilder::default().name(&name).build();
    docker.create_container(Some(options), body).await.unwrap();
    let options = query::UploadToContainerOptionsBuilder::default().path("/home/pilot").build();
    docker.upload_to_container(&name, Some(options), bollard::body_full(files.into())).await.unwrap();
    docker.start_container(&name, None::<query::StartContainerOptions>).await.unwrap();
    docker.inspect_container(&name, None::<query::InspectContainerOptions>).await.unwrap();
    let took = began.elapsed();
    let force = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container(&name, Some(force)).await.unwrap();
    docker.remove_volume(&volume, None::<query::RemoveVolumeOptions>).await.unwrap();
    docker.remove_network(&name).await.unwrap();
    took
}

fn archive(fixture: &Fixture) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let content = fixture.boot.canary().into_bytes();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, CanaryBootFiles::PATH, content.as_slice()).unwrap();
    builder.into_inner().unwrap()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
