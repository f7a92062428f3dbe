//! The firewall of a host: what an instance reaches with it and without it. Needs root, for rules and a
//! network namespace that stands for other machines.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use provider_api::conformance::{eventually, run};
use provider_api::{Exec, Provider, RuntimeRef, Settings};
use provider_docker::conformance::{World, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

const POOL: &str = "10.250.78.0/24";
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

/// Rules that go away with the test.
struct Guard;

impl Guard {
    fn run(more: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/guard.sh");
        assert!(Command::new(script).arg(POOL).args(more).status().unwrap().success());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        Self::run(&["remove"]);
    }
}

/// Whether the instance gets an answer from there.
async fn reaches(exec: &Arc<dyn Exec>, runtime: &RuntimeRef, address: &str, port: u16) -> bool {
    let script = format!("timeout 1 head -c 5 < /dev/tcp/{address}/{port}");
    let words = ["timeout", "2", "bash", "-c", &script].map(str::to_owned);
    let answer = exec.exec(runtime, &words, Duration::from_secs(5)).await.unwrap();
    answer.stdout == b"hello"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_instance_reaches_the_internet_and_callers_reach_it_and_nothing_else() {
    let world = World::new().await;
    let docker = world.docker.clone();
    let var = |name: &str| (name == "PILOT_DOCKER_SUBNETS").then(|| POOL.to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    let guarded: Arc<dyn Provider> =
        Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }));
    let outside = Outside::new();
    run(world.bench(), |bench| async move {
        let _outside = outside;
        let stack = || bench.stack_of(&guarded, &bench.installation, contracts::RuntimeId::random());
        let (mut stack, mut other) = (stack(), stack());
        stack.up().await;
        other.up().await;
        let (runtime, exec) = (stack.runtime(), guarded.exec().unwrap());
        // Each instance answers on the port that is published.
        let backend = contracts::network::network().instance.backend;
        for runtime in [&runtime, &other.runtime()] {
            let server = format!("perl -e '{LISTEN}' {backend} > /dev/null 2>&1 &");
            let words = ["sh", "-c", &server].map(str::to_owned);
            exec.exec(runtime, &words, Duration::from_secs(5)).await.unwrap();
        }
        let inspected = async |runtime: &RuntimeRef| {
            let options = None::<bollard::query_parameters::InspectContainerOptions>;
            let found = docker.inspect_container(&name(runtime), options).await.unwrap();
            let networks = found.network_settings.unwrap().networks.unwrap();
            let network = networks.into_values().next().unwrap();
            (network.gateway.unwrap(), network.ip_address.unwrap())
        };
        let (gateway, _) = inspected(&runtime).await;
        let (_, neighbour) = inspected(&other.runtime()).await;
        let host = std::net::TcpListener::bind((gateway.as_str(), 0)).unwrap();
        let port = host.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for call in host.incoming().flatten() {
                let _ = std::io::Write::write_all(&mut &call, b"hello\n");
            }
        });

        // Without rules all of it is open, so that the rules are what closes it.
        eventually("the outside answers", async || reaches(&exec, &runtime, PUBLIC, PORT).await).await;
        for (address, port) in [(gateway.as_str(), port), (PRIVATE, PORT), (METADATA, PORT)] {
            assert!(reaches(&exec, &runtime, address, port).await, "{address} without rules");
        }
        Guard::run(&[]);
        let _guard = Guard;
        Guard::run(&[]);
        assert!(reaches(&exec, &runtime, PUBLIC, PORT).await, "the internet stays open");
        for (address, port) in
            [(gateway.as_str(), port), (PRIVATE, PORT), (METADATA, PORT), (neighbour.as_str(), backend)]
        {
            assert!(!reaches(&exec, &runtime, address, port).await, "{address} with rules");
        }
        let endpoint = guarded.lifecycle().endpoint(&runtime).await.unwrap();
        let mut answer = [0; 5];
        let mut call = std::net::TcpStream::connect((endpoint.host.as_str(), endpoint.port)).unwrap();
        std::io::Read::read_exact(&mut call, &mut answer).unwrap();
        assert_eq!(&answer, b"hello", "the gateway reaches the instance");
    })
    .await;
}
