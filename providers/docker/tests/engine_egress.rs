//! What an instance reaches, with its host closed and without. Requires root, for a network namespace that stands for other
//! machines.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/outside.rs"]
mod outside;

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters as query;
use contracts::{ErrorCode, RuntimeId};
use outside::{Joined, LISTEN, METADATA, Outside, PORT, PRIVATE, PUBLIC, give_ipv6};
use provider_api::conformance::{Fixture, eventually, run};
use provider_api::{Exec, Provider, RuntimeRef, Settings};
use provider_docker::conformance::{IMAGE, World, base_image, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

/// With these settings beside the usual ones.
fn provider(world: &World, given: &[(&str, &str)]) -> Arc<dyn Provider> {
    let var =
        |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

#[derive(Debug, PartialEq, Eq)]
enum Call {
    Answered,
    /// At once, by whoever says no.
    Refused,
    /// Nobody says anything.
    Silent,
}

/// What an instance that calls there gets.
async fn call_from(exec: &Arc<dyn Exec>, runtime: &RuntimeRef, (address, port): (&str, u16)) -> Call {
    let script = format!("exec 3<>/dev/tcp/{address}/{port} && head -c 5 <&3");
    let words = ["timeout", "2", "bash", "-c", &script].map(str::to_owned);
    let answer = exec.exec(runtime, &words, Duration::from_secs(5)).await.unwrap();
    match (answer.exit_code, answer.stdout.as_ref()) {
        (0, b"hello") => Call::Answered,
        (124, _) => Call::Silent,
        _ => Call::Refused,
    }
}

async fn reaches(exec: &Arc<dyn Exec>, runtime: &RuntimeRef, address: &str, port: u16) -> bool {
    call_from(exec, runtime, (address, port)).await == Call::Answered
}

/// An instance answers on the port that is published.
async fn serve(exec: &Arc<dyn Exec>, runtime: &RuntimeRef) {
    let backend = contracts::network::network().instance.backend;
    let server = format!("perl -e '{LISTEN}' {backend} > /dev/null 2>&1 &");
    exec.exec(runtime, &["sh", "-c", &server].map(str::to_owned), Duration::from_secs(5)).await.unwrap();
}

/// Of IPv4 and IPv6 each: the gateway of the instance's network, and its own address there, as the engine says.
async fn addresses(docker: &bollard::Docker, runtime: &RuntimeRef) -> ([String; 2], [String; 2]) {
    let found =
        docker.inspect_container(&name(runtime), None::<query::InspectContainerOptions>).await.unwrap();
    let network = found.network_settings.unwrap().networks.unwrap().into_values().next().unwrap();
    (
        [network.gateway, network.ipv6_gateway].map(Option::unwrap),
        [network.ip_address, network.global_ipv6_address].map(Option::unwrap),
    )
}

/// A server on the host that is reached at this address, which a kernel may look at for a second before it is its own.
async fn host_at(gateway: &str) -> u16 {
    let bind = || std::net::TcpListener::bind((gateway, 0));
    eventually("the gateway is the host's", async || bind().is_ok()).await;
    let host = bind().unwrap();
    let port = host.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for call in host.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &call, b"hello\n");
        }
    });
    port
}

/// `nft` on the host, whether or not it is installed there.
fn nft(arguments: &[&str]) -> bool {
    let run = [
        "run",
        "--rm",
        "--network",
        "host",
        "--cap-add",
        "NET_ADMIN",
        "--user",
        "0",
        "--entrypoint",
        "nft",
        IMAGE,
    ];
    let output = Command::new("docker").args(run).args(arguments).output().unwrap();
    output.status.success()
}

/// The keeper's container and its table.
async fn keeper(docker: &bollard::Docker, fixture: &Fixture) -> Option<(String, String)> {
    let keeper = format!("pilot-egress-{}", fixture.installation);
    let found = docker.inspect_container(&keeper, None::<query::InspectContainerOptions>).await.ok()?;
    let env = found.config?.env?;
    Some((keeper, env.iter().find_map(|entry| entry.strip_prefix("TABLE="))?.to_owned()))
}

fn call(address: (&str, u16)) -> [u8; 5] {
    let mut answer = [0; 5];
    let mut call = std::net::TcpStream::connect(address).unwrap();
    std::io::Read::read_exact(&mut call, &mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_reaches_the_internet_and_callers_reach_it_and_nothing_else() {
    let world = World::new().await;
    let docker = world.docker.clone();
    // It has no `nft`.
    let bare = base_image(&world.docker).await;
    let open =
        provider(&world, &[("PILOT_DOCKER_EGRESS", "allow-open"), ("PILOT_DOCKER_EGRESS_IMAGE", &bare)]);
    let but_one = provider(&world, &[("PILOT_DOCKER_EGRESS_OPEN", PRIVATE[0])]);
    let outside = Outside::new();
    run(world.fixture(), |fixture| async move {
        let _outside = outside;
        let stack = |provider: &Arc<dyn Provider>| {
            fixture.stack_of(provider, &fixture.installation, RuntimeId::random())
        };
        // Over IPv6 one has private addresses and the other public ones, which are not closed as such.
        let (mut first, mut other) = (stack(&open), stack(&open));
        for (stack, range) in [(&mut first, "fd52:8::/64"), (&mut other, "2001:db8:52::/64")] {
            stack.create("network").await.unwrap();
            give_ipv6(&docker, &stack.runtime(), range).await;
            stack.up().await;
        }
        let (runtime, exec) = (first.runtime(), open.exec().unwrap());
        serve(&exec, &runtime).await;
        serve(&exec, &other.runtime()).await;
        let (gateways, _) = addresses(&docker, &runtime).await;
        let (_, neighbours) = addresses(&docker, &other.runtime()).await;
        let joined = Joined::new(&docker, [&runtime, &other.runtime()]).await;
        let backend = contracts::network::network().instance.backend;
        let hosts = [host_at(&gateways[0]).await, host_at(&gateways[1]).await];
        let [closed4, closed6] = [0, 1].map(|at| {
            let host = (gateways[at].as_str(), hosts[at]);
            [host, (PRIVATE[at], PORT), (METADATA[at], PORT), (neighbours[at].as_str(), backend)]
        });
        let to_be_closed = || closed4.into_iter().chain(closed6);

        // Where no rules can be, all of it is open, so that the rules are what closes it.
        for there in PUBLIC.map(|address| (address, PORT)).into_iter().chain(to_be_closed()) {
            eventually(&format!("an answer of {there:?} without rules"), async || {
                call_from(&exec, &runtime, there).await == Call::Answered
            })
            .await;
        }

        let found = open.examine(&fixture.installation).await;
        for what in ["its host at ", "another instance at ", "the metadata address at "] {
            assert_eq!(found[0].detail.matches(what).count(), 2, "{what} over IPv4 and IPv6: {found:?}");
        }
        for address in METADATA {
            assert!(found[0].detail.contains(address), "{address}: {found:?}");
        }

        let closed = &fixture.provider;
        let mut third = stack(closed);
        third.up().await;
        // Rules are the host's: what ran before is closed with it.
        for address in PUBLIC {
            assert!(reaches(&exec, &runtime, address, PORT).await, "the internet stays open: {address}");
        }
        for there in to_be_closed() {
            assert_eq!(call_from(&exec, &runtime, there).await, Call::Refused, "{there:?} with rules");
        }
        drop(joined);
        let endpoint = closed.lifecycle().endpoint(&runtime).await.unwrap();
        assert_eq!(
            &call((endpoint.host.as_str(), endpoint.port)),
            b"hello",
            "the gateway reaches the instance"
        );
        let found = closed.examine(&fixture.installation).await;
        assert!(found[0].ok && found[0].detail.contains("seen from inside"), "{found:?}");

        let mut fourth = stack(&but_one);
        fourth.up().await;
        let exec = but_one.exec().unwrap();
        assert!(reaches(&exec, &fourth.runtime(), PRIVATE[0], PORT).await, "what the operator has opened");
        assert!(!reaches(&exec, &fourth.runtime(), METADATA[0], PORT).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_somebody_removes_are_back_and_told_and_go_with_the_last_runtime() {
    let world = World::new().await;
    let docker = world.docker.clone();
    run(world.fixture(), |fixture| async move {
        let stack = || fixture.stack_of(&fixture.provider, &fixture.installation, RuntimeId::random());
        let (mut one, mut two) = (stack(), stack());
        one.up().await;
        two.up().await;
        let (keeper, table) = keeper(&docker, &fixture).await.unwrap();
        assert!(nft(&["delete", "table", "inet", &table]));
        eventually("the rules are back", async || nft(&["list", "table", "inet", &table])).await;
        eventually("it is told", async || {
            let found = fixture.provider.examine(&fixture.installation).await;
            found[0].ok && found[0].detail.contains("removed by somebody else 1 times")
        })
        .await;

        // The keeper as well.
        let force = query::RemoveContainerOptionsBuilder::default().force(true).build();
        docker.remove_container(&keeper, Some(force)).await.unwrap();
        assert!(nft(&["delete", "table", "inet", &table]));
        let found = fixture.provider.examine(&fixture.installation).await;
        assert!(!found[0].ok && found[0].detail.contains("reaches its host"), "{found:?}");
        let lifecycle = fixture.provider.lifecycle();
        lifecycle.stop(&one.runtime(), Duration::ZERO).await.unwrap();
        eventually("a start closes the host", async || {
            lifecycle.stop(&one.runtime(), Duration::ZERO).await.unwrap();
            lifecycle.start(&one.runtime()).await.unwrap();
            nft(&["list", "table", "inet", &table])
        })
        .await;

        one.down().await;
        assert!(nft(&["list", "table", "inet", &table]), "the other one is there");
        two.down().await;
        assert!(!nft(&["list", "table", "inet", &table]), "the table goes with the last one");
        assert_eq!(self::keeper(&docker, &fixture).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_instance_starts_on_the_word_of_a_keeper_that_has_said_it_long_ago_or_is_frozen() {
    let world = World::new().await;
    let docker = world.docker.clone();
    // Each is a program that has seen nothing yet.
    let [second, third] = [(); 2].map(|()| provider(&world, &[]));
    run(world.fixture(), |fixture| async move {
        let mut one = fixture.stack_of(&fixture.provider, &fixture.installation, RuntimeId::random());
        one.up().await;
        let (keeper, table) = keeper(&docker, &fixture).await.unwrap();
        let is_there = || nft(&["list", "table", "inet", &table]);
        let again = async |provider: &Arc<dyn Provider>| {
            let lifecycle = provider.lifecycle();
            lifecycle.stop(&one.runtime(), Duration::ZERO).await.unwrap();
            lifecycle.start(&one.runtime()).await.unwrap();
        };
        // A firewall that is loaded anew again and again: what the keeper said first is far up in its log.
        for _ in 0..3 {
            nft(&["delete", "table", "inet", &table]);
            eventually("it is undone", async || is_there()).await;
        }
        again(&second).await;

        docker.pause_container(&keeper).await.unwrap();
        assert!(nft(&["delete", "table", "inet", &table]));
        let found = fixture.provider.examine(&fixture.installation).await;
        assert!(!found[0].ok && found[0].detail.contains("does not run: it is paused"), "{found:?}");
        for provider in [&fixture.provider, &third] {
            again(provider).await;
            assert!(is_there(), "before it starts");
            docker.pause_container(&keeper).await.unwrap();
            assert!(nft(&["delete", "table", "inet", &table]));
        }
        one.down().await;
        assert!(!is_there());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_host_cannot_be_closed_nothing_runs_and_the_reason_is_told() {
    let world = World::new().await;
    // It has no `nft`.
    let bare = base_image(&world.docker).await;
    let unable = provider(&world, &[("PILOT_DOCKER_EGRESS_IMAGE", &bare)]);
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&unable, &fixture.installation, RuntimeId::random());
        let error = stack.try_up().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::EgressOpen, "{error}");
        assert!(error.message.contains("nft: not found"), "{error}");
        assert!(error.action.unwrap().contains("PILOT_DOCKER_EGRESS_IMAGE"));
        assert!(!fixture.backdoor.runs(&stack.runtime()).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_of_an_older_pilot_is_closed_with_the_next_start() {
    let world = World::new().await;
    let docker = world.docker.clone();
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&fixture.provider, &fixture.installation, RuntimeId::random());
        let runtime = stack.runtime();
        let labels = [
            ("pilot.installation", runtime.installation.as_str()),
            ("pilot.runtime", runtime.runtime_id.as_str()),
            ("pilot.generation", "1"),
        ];
        let body = bollard::models::NetworkCreateRequest {
            name: name(&runtime),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..Default::default()
        };
        docker.create_network(body).await.unwrap();
        stack.up().await;
        let found =
            docker.inspect_network(&name(&runtime), None::<query::InspectNetworkOptions>).await.unwrap();
        let options: HashMap<String, String> = found.options.unwrap();
        assert!(options.contains_key("com.docker.network.bridge.name"), "{options:?}");
        assert!(fixture.backdoor.runs(&runtime).await);
        stack.down().await;
    })
    .await;
}
