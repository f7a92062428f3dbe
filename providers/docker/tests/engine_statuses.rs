//! Many statuses at once: what they cost, and what a host that is away hides.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use contracts::{ErrorCode, InstallationId, RuntimeId};
use futures_util::StreamExt as _;
use provider_api::conformance::run;
use provider_api::{Lifecycle, Provider, Result, RunStatus, RuntimeRef, Settings};
use provider_docker::conformance::{IMAGE, Proxy, World, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

const CONTAINERS: usize = 20;

/// A container as the module makes it, without the rest of a runtime; every second one runs.
async fn containers(world: &World) -> Vec<RuntimeId> {
    let mut runtimes = Vec::new();
    for number in 0..CONTAINERS {
        let runtime = RuntimeRef::new(RuntimeId::random(), world.installation.clone());
        let label = |name: &str, value: &str| (format!("pilot.{name}"), value.to_owned());
        let labels = HashMap::from([
            label("installation", runtime.installation.as_str()),
            label("runtime", runtime.runtime_id.as_str()),
            label("generation", "1"),
        ]);
        let options = CreateContainerOptionsBuilder::default().name(&name(&runtime)).build();
        let body =
            ContainerCreateBody { image: Some(IMAGE.to_owned()), labels: Some(labels), ..Default::default() };
        world.docker.create_container(Some(options), body).await.unwrap();
        if number % 2 == 0 {
            world.docker.start_container(&name(&runtime), None::<StartContainerOptions>).await.unwrap();
        }
        runtimes.push(runtime.runtime_id);
    }
    runtimes
}

async fn many(
    lifecycle: &dyn Lifecycle,
    installation: &InstallationId,
    runtimes: &[RuntimeId],
) -> Vec<(RuntimeId, Result<RunStatus>)> {
    lifecycle.status_many(installation.clone(), runtimes.to_vec()).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statuses_of_many_are_one_request_to_their_host() {
    let world = World::new().await;
    let (proxy, runtimes) = (Proxy::start().await, containers(&world).await);
    let config = DockerConfig { host: Some(proxy.host()), ..world.config() };
    run(world.fixture(), |fixture| async move {
        let lifecycle = DockerProvider::new(config).lifecycle();
        // The first call asks for the version, too.
        many(lifecycle.as_ref(), &fixture.installation, &[]).await;
        proxy.take_requests();
        let since = Instant::now();
        for id in &runtimes {
            lifecycle.status(&RuntimeRef::new(id.clone(), fixture.installation.clone())).await.unwrap();
        }
        println!("one by one: {} requests, {:?}", proxy.take_requests(), since.elapsed());
        let since = Instant::now();
        let told = many(lifecycle.as_ref(), &fixture.installation, &runtimes).await;
        let requests = proxy.take_requests();
        println!("at once: {requests} requests, {:?}", since.elapsed());
        assert_eq!((requests, told.len()), (1, CONTAINERS));
        let running = told.iter().filter(|(_, status)| *status.as_ref().unwrap() == RunStatus::Running);
        assert_eq!(running.count(), CONTAINERS / 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_away_hides_what_it_may_have_and_nothing_of_the_others() {
    let world = World::new().await;
    let away = "one=unix:///var/run/docker.sock,two=unix:///nonexistent/docker.sock";
    let var = |name: &str| (name == "PILOT_DOCKER_HOSTS").then(|| away.to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    let fleet: Arc<dyn Provider> = Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }));
    let mut runtimes = containers(&world).await;
    let elsewhere = RuntimeId::random();
    runtimes.push(elsewhere.clone());
    run(world.fixture(), |fixture| async move {
        let told = many(fleet.lifecycle().as_ref(), &fixture.installation, &runtimes).await;
        assert_eq!(told.len(), CONTAINERS + 1);
        for (id, status) in told {
            match status {
                Ok(status) => assert!(id != elsewhere && status != RunStatus::Absent, "{id}: {status:?}"),
                Err(error) => {
                    assert_eq!((&id, error.code), (&elsewhere, ErrorCode::DockerUnavailable), "{error}");
                    assert!(
                        error.message.contains("host two") && error.message.contains("may be on that host")
                    );
                }
            }
        }
    })
    .await;
}
