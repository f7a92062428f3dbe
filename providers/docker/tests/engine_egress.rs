//! What an instance reaches, with its host closed and without. Requires root, for a network namespace that stands for other
//! machines.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters as query;
use contracts::{ErrorCode, RuntimeId};
use provider_api::conformance::{Fixture, eventually, run};
use provider_api::{Exec, Provider, RuntimeRef, Settings};
use provider_docker::conformance::{IMAGE, World, base_image, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

/// Stand-ins: for the internet, for a machine of the operator's network, for a cloud's metadata.
const PUBLIC: &str = "198.51.100.2";
const PRIVATE: &str = "10.252.7.2";
const METADATA: &str = "169.254.169.254";
const PORT: u16 = 18_733;
/// A server that takes every call.
const LISTEN: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, \
                      ReuseAddr => 1) or die; while (my $c = $s->accept) { print $c \"hello\\n\"; close $c }";

fn sh(script: &str) -> bool {
    Command::new("sh").args(["-ec", script]).stderr(Stdio::null()).status().unwrap().success()
}

/// Other machines, behind a link of their own.
struct Outside {
    name: String,
    server: Child,
}

impl Outside {
    fn new() -> Self {
        let id = std::process::id() % 10_000;
        let name = format!("pilot-out-{id}");
        let made = sh(&format!(
            "ip netns add {name}; ip link add po{id} type veth peer name po{id}n netns {name}; \
             ip addr add 198.51.100.1/24 dev po{id}; ip link set po{id} up; \
             ip -n {name} addr add {PUBLIC}/24 dev po{id}n; ip -n {name} addr add {PRIVATE}/32 dev po{id}n; \
             ip -n {name} addr add {METADATA}/32 dev po{id}n; ip -n {name} link set po{id}n up; \
             ip route add {PRIVATE}/32 via {PUBLIC}; ip route add {METADATA}/32 via {PUBLIC}"
        ));
        assert!(made, "this test makes a network namespace, as root");
        let words = ["netns", "exec", &name, "perl", "-e", LISTEN, &PORT.to_string()];
        let server = Command::new("ip").args(words).spawn().unwrap();
        Self { name, server }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        sh(&format!("ip netns del {}", self.name));
    }
}

/// With these settings beside the usual ones.
fn provider(world: &World, given: &[(&str, &str)]) -> Arc<dyn Provider> {
    let var =
        |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

/// Whether the instance gets an answer from there.
async fn reaches(exec: &Arc<dyn Exec>, runtime: &RuntimeRef, address: &str, port: u16) -> bool {
    let script = format!("timeout 1 head -c 5 < /dev/tcp/{address}/{port}");
    let words = ["timeout", "2", "bash", "-c", &script].map(str::to_owned);
    let answer = exec.exec(runtime, &words, Duration::from_secs(5)).await.unwrap();
    *answer.stdout == *b"hello"
}

/// An instance answers on the port that is published.
async fn serve(exec: &Arc<dyn Exec>, runtime: &RuntimeRef) {
    let backend = contracts::network::network().instance.backend;
    let server = format!("perl -e '{LISTEN}' {backend} > /dev/null 2>&1 &");
    exec.exec(runtime, &["sh", "-c", &server].map(str::to_owned), Duration::from_secs(5)).await.unwrap();
}

/// Gateway and address of the instance's network, as the engine says.
async fn addresses(docker: &bollard::Docker, runtime: &RuntimeRef) -> (String, String) {
    let found =
        docker.inspect_container(&name(runtime), None::<query::InspectContainerOptions>).await.unwrap();
    let network = found.network_settings.unwrap().networks.unwrap().into_values().next().unwrap();
    (network.gateway.unwrap(), network.ip_address.unwrap())
}

/// A server on the host that is reached at this address.
fn host_at(gateway: &str) -> u16 {
    let host = std::net::TcpListener::bind((gateway, 0)).unwrap();
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
    let but_one = provider(&world, &[("PILOT_DOCKER_EGRESS_OPEN", PRIVATE)]);
    let outside = Outside::new();
    run(world.fixture(), |fixture| async move {
        let _outside = outside;
        let stack = |provider: &Arc<dyn Provider>| {
            fixture.stack_of(provider, &fixture.installation, RuntimeId::random())
        };
        let (mut first, mut other) = (stack(&open), stack(&open));
        first.up().await;
        other.up().await;
        let (runtime, exec) = (first.runtime(), open.exec().unwrap());
        serve(&exec, &runtime).await;
        serve(&exec, &other.runtime()).await;
        let (gateway, _) = addresses(&docker, &runtime).await;
        let (_, neighbour) = addresses(&docker, &other.runtime()).await;
        let port = host_at(&gateway);
        let backend = contracts::network::network().instance.backend;

        // Where no rules can be, all of it is open, so that the rules are what closes it.
        eventually("the outside answers", async || reaches(&exec, &runtime, PUBLIC, PORT).await).await;
        for (address, port) in [(gateway.as_str(), port), (PRIVATE, PORT), (METADATA, PORT)] {
            assert!(reaches(&exec, &runtime, address, port).await, "{address} without rules");
        }

        let closed = &fixture.provider;
        let mut third = stack(closed);
        third.up().await;
        // Rules are the host's: what ran before is closed with it.
        assert!(reaches(&exec, &runtime, PUBLIC, PORT).await, "the internet stays open");
        for (address, port) in
            [(gateway.as_str(), port), (PRIVATE, PORT), (METADATA, PORT), (neighbour.as_str(), backend)]
        {
            assert!(!reaches(&exec, &runtime, address, port).await, "{address} with rules");
        }
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
        assert!(reaches(&exec, &fourth.runtime(), PRIVATE, PORT).await, "what the operator has opened");
        assert!(!reaches(&exec, &fourth.runtime(), METADATA, PORT).await);
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
