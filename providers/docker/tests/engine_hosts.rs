//! Several hosts: a second, private engine with its own data, reached by socket, by TLS and by `ssh`.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/engine.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod engine;
#[path = "support/ssh.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod ssh;

use std::sync::Arc;

use contracts::ErrorCode;
use engine::{SecondEngine, WITH_GVISOR};
use provider_api::conformance::{eventually, run};
use provider_api::{Outcome, Provider, RunStatus, RuntimeRef, Settings};
use provider_docker::conformance::{self as world, World};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};
use ssh::SshServer;

/// Two engines on one machine know nothing of each other's networks: out of so many they meet at none.
const SUBNETS: &str = "10.208.0.0/12";

/// A module with these `PILOT_DOCKER_*`.
fn provider(world: &World, variables: &[(&str, String)]) -> Arc<dyn Provider> {
    let var = |name: &str| {
        let given = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        given.or_else(|| (name == "PILOT_DOCKER_SUBNETS").then(|| SUBNETS.to_owned()))
    };
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

fn hosts(list: &str) -> [(&'static str, String); 1] {
    [("PILOT_DOCKER_HOSTS", list.to_owned())]
}

/// What a program inside says, run as the instance's user.
async fn said(provider: &Arc<dyn Provider>, runtime: &RuntimeRef, command: &[&str]) -> String {
    let words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let limit = std::time::Duration::from_secs(10);
    let output = provider.exec().unwrap().exec(runtime, &words, limit).await.unwrap();
    String::from_utf8(output.stdout.to_vec()).unwrap()
}

const FIRST: &str = "one=unix:///var/run/docker.sock";

#[tokio::test(flavor = "multi_thread")]
async fn a_home_on_an_engine_that_is_named_twice_is_one_home_and_no_advice_has_it_removed() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("docker.sock");
    std::os::unix::fs::symlink("/var/run/docker.sock", &other).unwrap();
    let twice = provider(&world, &hosts(&format!("{FIRST},two=unix://{}", other.display())));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let error = twice.lifecycle().stop(&stack.runtime(), std::time::Duration::ZERO).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured, "{error}");
        assert!(!error.action.as_ref().unwrap().contains("volume rm"), "{error:?}");
        assert!(fixture.backdoor.runs(&stack.runtime()).await);
        stack.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_fence_is_found_on_its_host_when_nothing_else_is_left_there() {
    let world = World::new().await;
    let second = SecondEngine::start().await;
    second.load(&world.docker, world::IMAGE).await;
    let fleet = provider(&world, &hosts(&format!("{FIRST},two={}", second.socket())));
    let second_only = provider(&world, &hosts(&format!("two={}", second.socket())));
    run(world.fixture(), |fixture| async move {
        let runtime = fixture.stack().spec.runtime_id;
        let mut pinned =
            fixture.stack_of(&second_only, &fixture.installation, runtime.clone()).under(Some(5));
        pinned.create("network").await.unwrap();
        pinned.under(Some(6)).update("network").await.unwrap();
        let docker = second.docker().await;
        docker.remove_network(&world::name(&pinned.runtime())).await.unwrap();
        let owned = async || {
            let inventory =
                fleet.inventory().unwrap().list_installation(&fixture.installation).await.unwrap();
            inventory.into_iter().map(|object| object.kind).collect::<Vec<_>>()
        };
        assert_eq!(owned().await, ["fence"]);
        let mut stack = fixture.stack_of(&fleet, &fixture.installation, runtime);
        stack.state = pinned.state.clone();
        stack.delete("network").await.unwrap();
        assert_eq!(owned().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_stays_on_its_host_and_is_neither_gone_nor_doubled_while_that_is_away() {
    let world = World::new().await;
    let mut second = SecondEngine::start().await;
    second.load(&world.docker, world::IMAGE).await;
    let both = format!("{FIRST},two={}", second.socket());
    let fleet = provider(&world, &hosts(&both));
    let second_only = provider(&world, &hosts(&format!("two={}", second.socket())));
    run(world.fixture(), |fixture| async move {
        // Made through a module that knows the second host alone, found by one that knows both.
        let spec = fixture.stack().spec;
        let mut pinned = fixture.stack_of(&second_only, &fixture.installation, spec.runtime_id.clone());
        pinned.create("home").await.unwrap();
        let mut stack = fixture.stack_of(&fleet, &fixture.installation, spec.runtime_id);
        fleet.ready().await.unwrap();
        stack.up().await;
        let runtime = stack.runtime();
        assert_eq!(
            fixture.backdoor.objects(&runtime).await,
            Vec::<String>::new(),
            "the volume pins the host"
        );
        assert_eq!(second.count(&runtime).await, 3);
        assert_eq!(fleet.lifecycle().status(&runtime).await.unwrap(), RunStatus::Running);
        fleet.lifecycle().suspend(&runtime).await.unwrap();
        fleet.lifecycle().resume(&runtime).await.unwrap();
        assert_eq!(
            fleet.inventory().unwrap().list_installation(&fixture.installation).await.unwrap().len(),
            3
        );

        // A new runtime goes to one host with all of its objects.
        let mut other = fixture.stack_of(&fleet, &fixture.installation, contracts::RuntimeId::random());
        other.up().await;
        let there = second.count(&other.runtime()).await;
        let here = fixture.backdoor.objects(&other.runtime()).await.len();
        assert!((here, there) == (3, 0) || (here, there) == (0, 3), "{here} and {there}");
        other.down().await;

        second.stop();
        let error = fleet.lifecycle().status(&runtime).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::DockerUnavailable);
        assert!(error.message.contains("host two"), "{error}");
        assert!(fleet.ready().await.unwrap_err().message.contains("host two"));
        let mut fresh = fixture.stack_of(&fleet, &fixture.installation, contracts::RuntimeId::random());
        let error = fresh.create("home").await.unwrap_err();
        assert!(error.code.retryable() && error.message.contains("host two"), "{error}");
        assert_eq!(fixture.backdoor.objects(&fresh.runtime()).await, Vec::<String>::new());
        second.resume().await;
        assert!(matches!(fleet.lifecycle().status(&runtime).await.unwrap(), RunStatus::Stopped { .. }));
        stack.down().await;
        assert_eq!(second.count(&runtime).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_by_tls_serves_those_with_a_certificate_of_its_authority_alone() {
    let world = World::new().await;
    let second = SecondEngine::start().await;
    second.load(&world.docker, world::IMAGE).await;
    let settings = |folder: String| {
        [
            ("PILOT_DOCKER_HOSTS", format!("far=tcp://{}", second.authority())),
            ("PILOT_DOCKER_TLS", folder),
            ("PILOT_DOCKER_PUBLISH", "far=127.0.0.1".to_owned()),
        ]
    };
    let by_tls = provider(&world, &settings(second.certificates()));
    let strange = provider(&world, &settings(second.strange_certificates()));
    run(world.fixture(), |fixture| async move {
        assert_eq!(strange.ready().await.unwrap_err().code, ErrorCode::DockerUnavailable);
        by_tls.ready().await.unwrap();
        let mut stack = fixture.stack_of(&by_tls, &fixture.installation, contracts::RuntimeId::random());
        stack.up().await;
        assert_eq!(second.count(&stack.runtime()).await, 3);
        let endpoint = by_tls.lifecycle().endpoint(&stack.runtime()).await.unwrap();
        assert!(format!("{endpoint:?}").contains("127.0.0.1"));
        let hello = said(&by_tls, &stack.runtime(), &["echo", "hello"]).await;
        assert_eq!(hello, "hello\n", "an upgraded connection works too");
        stack.down().await;
        assert_eq!(second.count(&stack.runtime()).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_by_ssh_is_used_when_its_key_is_known_and_refused_when_it_is_not() {
    let world = World::new().await;
    let server = SshServer::start().await;
    let settings = |config: String| {
        [
            ("PILOT_DOCKER_HOSTS", format!("far=ssh://root@127.0.0.1:{}", server.port)),
            ("PILOT_DOCKER_PUBLISH", "far=127.0.0.1".to_owned()),
            ("PILOT_DOCKER_SSH_CONFIG", config),
        ]
    };
    let (known, unknown) = (server.config(true), server.config(false));
    let (known, unknown) = (provider(&world, &settings(known)), provider(&world, &settings(unknown)));
    run(world.fixture(), |fixture| async move {
        let error = unknown.ready().await.unwrap_err();
        assert!(error.message.contains("Host key verification failed"), "{error}");
        assert_eq!((error.code, error.outcome), (ErrorCode::DockerUnavailable, Outcome::NothingHappened));
        assert!(error.action.unwrap().contains("known_hosts"));
        known.ready().await.unwrap();
        let mut stack = fixture.stack_of(&known, &fixture.installation, contracts::RuntimeId::random());
        stack.up().await;
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await.len(), 3);
        known.lifecycle().suspend(&stack.runtime()).await.unwrap();
        known.lifecycle().resume(&stack.runtime()).await.unwrap();
        // The engine notes a pause that is over a moment later, when it is busy.
        let runtime = stack.runtime();
        let running = async || {
            known.lifecycle().status(&runtime).await.is_ok_and(|status| status == RunStatus::Running)
        };
        eventually("it goes on", running).await;
        stack.down().await;
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
        drop(server);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_get_small_subnets_of_the_operators_range_until_it_is_used_up() {
    let world = World::new().await;
    let docker = world.docker.clone();
    let two = provider(&world, &[("PILOT_DOCKER_SUBNETS", "10.250.77.0/27".to_owned())]);
    run(world.fixture(), |fixture| async move {
        let stack = || fixture.stack_of(&two, &fixture.installation, contracts::RuntimeId::random());
        let mut subnets = std::collections::BTreeSet::new();
        for mut stack in [stack(), stack()] {
            stack.create("network").await.unwrap();
            let name = world::name(&stack.runtime());
            let options = None::<bollard::query_parameters::InspectNetworkOptions>;
            let made = docker.inspect_network(&name, options).await.unwrap();
            subnets.insert(made.ipam.unwrap().config.unwrap()[0].subnet.clone().unwrap());
        }
        assert_eq!(subnets.into_iter().collect::<Vec<_>>(), ["10.250.77.0/28", "10.250.77.16/28"]);
        assert_eq!(stack().create("network").await.unwrap_err().code, ErrorCode::ProviderCapacity);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_run_in_gvisor_where_the_host_has_it_unless_the_operator_chooses_otherwise() {
    let second = SecondEngine::configured(WITH_GVISOR).await;
    for (runtime, in_gvisor) in [("auto", true), ("default", false), ("runsc", true)] {
        let world = World::new().await;
        second.load(&world.docker, world::IMAGE).await;
        let [host] = hosts(&format!("two={}", second.socket()));
        let provider = provider(&world, &[host, ("PILOT_DOCKER_RUNTIME", runtime.to_owned())]);
        run(world.fixture(), |fixture| async move {
            let mut stack =
                fixture.stack_of(&provider, &fixture.installation, contracts::RuntimeId::random());
            stack.up().await;
            let id = stack.runtime();
            // gVisor's own kernel has a log that says who it is; the host's is not readable for instances.
            let log = said(&provider, &id, &["sh", "-c", "dmesg 2>&1"]).await;
            assert_eq!(log.contains("Starting gVisor"), in_gvisor, "{runtime}: {log}");

            said(&provider, &id, &["sh", "-c", "echo kept > file"]).await;
            let lifecycle = provider.lifecycle();
            lifecycle.suspend(&id).await.unwrap();
            assert_eq!(lifecycle.status(&id).await.unwrap(), RunStatus::Suspended);
            lifecycle.resume(&id).await.unwrap();
            assert_eq!(said(&provider, &id, &["cat", "file"]).await, "kept\n");
            stack.down().await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_published_elsewhere_is_published_where_the_settings_say_with_its_next_start() {
    let world = World::new().await;
    let publish = |address: &str| {
        let [hosts] = hosts(FIRST);
        provider(&world, &[hosts, ("PILOT_DOCKER_PUBLISH", format!("one={address}"))])
    };
    let (before, now) = (publish("127.0.0.1"), publish("127.0.0.2"));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&before, &fixture.installation, contracts::RuntimeId::random());
        stack.up().await;
        let runtime = stack.runtime();
        fixture.backdoor.write_home(&runtime, "notes.txt", "kept").await;
        let lifecycle = now.lifecycle();
        lifecycle.stop(&runtime, std::time::Duration::ZERO).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        let endpoint = lifecycle.endpoint(&runtime).await.unwrap();
        assert_eq!(endpoint.host, "127.0.0.2");
        eventually("it is reached there", async || {
            tokio::net::TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.is_ok()
        })
        .await;
        assert_eq!(fixture.backdoor.read_home(&runtime, "notes.txt").await.as_deref(), Some("kept"));
        stack.down().await;
    })
    .await;
}
