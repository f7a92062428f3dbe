//! What a host by SSH costs: creates through one beside creates through this machine's socket, in turns, so that both see the
//! same machine; and how many of 80 creates at once fail there, with a server that lets in two logins at a time.
//!
//! `cargo run --release -p provider-docker --example far -- --runs 10`; the last line is a JSON object.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program for developers ends at the first thing that is not as it should be"
)]

#[path = "../tests/support/ssh.rs"]
#[allow(dead_code, reason = "each program uses a part of it")]
mod ssh;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::RuntimeId;
use futures_util::future::join_all;
use provider_api::conformance::{Fixture, run};
use provider_api::{Provider, Settings};
use provider_docker::conformance::{Proxy, World};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};
use ssh::SshServer;

const RUNS: usize = 10;
const AT_ONCE: usize = 80;
/// Docker's own pools have no room for so many networks.
const SUBNETS: &str = "10.217.0.0/16";

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip_while(|word| word != "--runs").skip(1);
    let runs = words.next().map_or(RUNS, |text| text.parse().expect("--runs takes a number"));
    let world = World::new().await;
    // A host that promises 80 instances is larger than this machine.
    let proxy = Proxy::larger(64).await;
    let engine = format!("SetEnv DOCKER_HOST={}\n", proxy.host());
    let server = SshServer::with(&format!("MaxStartups 2:100:2\nLoginGraceTime 20\n{engine}")).await;
    let far = provider(&world, &server);
    run(world.fixture(), move |fixture| async move {
        let (near_ms, far_ms) = creates(&fixture, &far, runs.max(1)).await;
        println!("by SSH {far_ms:.1} ms, by the socket {near_ms:.1} ms");
        let began = Instant::now();
        let failures = at_once(&fixture, &far).await;
        println!("{AT_ONCE} at once in {:.1} s, {} logins", began.elapsed().as_secs_f64(), server.logins());
        println!(
            "{}",
            serde_json::json!({
                "docker_ssh_create_floor": round(far_ms / near_ms),
                "docker_80_at_once_failures": failures,
                "runs": runs,
            })
        );
    })
    .await;
}

fn provider(world: &World, server: &SshServer) -> Arc<dyn Provider> {
    let given = HashMap::from([
        ("PILOT_DOCKER_HOSTS", format!("far=ssh://root@127.0.0.1:{}", server.port)),
        ("PILOT_DOCKER_PUBLISH", "far=127.0.0.1".to_owned()),
        ("PILOT_DOCKER_SSH_CONFIG", server.config(true)),
        ("PILOT_DOCKER_SUBNETS", SUBNETS.to_owned()),
    ]);
    let settings =
        Settings::read(&"docker".parse().unwrap(), SETTINGS, |name| given.get(name).cloned()).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

/// The medians of both, in ms.
async fn creates(fixture: &Arc<Fixture>, far: &Arc<dyn Provider>, runs: usize) -> (f64, f64) {
    let (mut by_socket, mut by_ssh) = (vec![], vec![]);
    for turn in 0..=runs {
        let mut took = [Duration::ZERO; 2];
        // Each goes first as often as the other.
        for way in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
            let provider = if way == 0 { &fixture.provider } else { far };
            let mut stack = fixture.stack_of(provider, &fixture.installation, RuntimeId::random());
            let began = Instant::now();
            stack.up().await;
            took[way] = began.elapsed();
            stack.down().await;
        }
        // The first turn warms everything up.
        if turn > 0 {
            by_socket.push(took[0]);
            by_ssh.push(took[1]);
        }
    }
    (median(by_socket), median(by_ssh))
}

/// How many of them do not end with an instance that runs, or are not gone after their delete.
async fn at_once(fixture: &Arc<Fixture>, far: &Arc<dyn Provider>) -> usize {
    let lives = (0..AT_ONCE).map(|_| {
        let mut stack = fixture.stack_of(far, &fixture.installation, RuntimeId::random());
        tokio::spawn(async move {
            stack.up().await;
            stack.down().await;
        })
    });
    join_all(lives).await.into_iter().filter(Result::is_err).count()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
