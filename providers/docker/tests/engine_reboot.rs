//! An engine that goes down and comes up with nothing in its kernel, as after a reboot: a second engine in a network namespace that
//! is another one each time.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/engine.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod engine;

use std::process::Command;
use std::sync::Arc;

use contracts::RuntimeId;
use engine::SecondEngine;
use provider_api::conformance::{Stack, eventually, run};
use provider_api::{Provider, RunStatus, RuntimeSpec, Settings};
use provider_docker::conformance::{IMAGE, World};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

fn provider(world: &World, engine: &SecondEngine) -> Arc<dyn Provider> {
    let hosts = format!("one={}", engine.socket());
    let var = |name: &str| (name == "PILOT_DOCKER_HOSTS").then(|| hosts.clone());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

/// What Docker's own client says, which is nobody of Pilot's.
fn docker(engine: &SecondEngine, words: &[&str]) -> String {
    let output = Command::new("docker").args(["-H", &engine.socket()]).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The tables in the kernel of the host, as one who has its network sees them.
fn tables(engine: &SecondEngine, keeper: &str) -> Vec<String> {
    let mut tables: Vec<_> = docker(engine, &["exec", keeper, "nft", "list", "tables", "inet"])
        .lines()
        .map(str::to_owned)
        .collect();
    tables.sort();
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_the_rules_are_back_before_an_instance_runs_and_nobody_has_asked_for_it() {
    let world = World::new().await;
    let mut engine = SecondEngine::apart().await;
    engine.load(&world.docker, IMAGE).await;
    let (before, after) = (provider(&world, &engine), provider(&world, &engine));
    run(world.fixture(), |fixture| async move {
        let mut free = fixture.stack_of(&before, &fixture.installation, RuntimeId::random());
        let egress = Some("203.0.113.7".parse().unwrap());
        let spec = RuntimeSpec { runtime_id: RuntimeId::random(), egress, ..free.spec.clone() };
        let mut listed = Stack::new(before.clone(), spec);
        free.up().await;
        listed.up().await;
        let keeper = format!("pilot-egress-{}", fixture.installation);
        let in_place = tables(&engine, &keeper);
        assert_eq!(in_place.len(), 2, "that of all, and that of a list: {in_place:?}");

        engine.stop();
        engine.resume().await;
        eventually("the rules are back", async || tables(&engine, &keeper) == in_place).await;
        let running = docker(&engine, &["ps", "--format", "{{.Names}}"]);
        assert_eq!(running, keeper, "no instance runs before somebody starts it");

        for stack in [&free, &listed] {
            let (runtime, lifecycle) = (stack.runtime(), after.lifecycle());
            assert!(matches!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Stopped { .. }));
            lifecycle.start(&runtime).await.unwrap();
        }
        let found = after.examine(&fixture.installation).await;
        assert!(found[0].ok, "{found:?}");
        for words in ["closed, seen from inside an instance", "1 list of destinations is in force"] {
            assert!(found[0].detail.contains(words), "{words}: {found:?}");
        }
        listed.down().await;
        free.down().await;
    })
    .await;
}
