//! What people and cron jobs remove with `docker ... prune`: no home, and nothing that keeps a runtime's truth.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/engine.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod engine;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use contracts::{ErrorCode, RuntimeId};
use engine::SecondEngine;
use provider_api::conformance::{Stack, run};
use provider_api::{Provider, RunStatus, Settings, Take, Told};
use provider_docker::conformance::{self as world, World};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

fn provider(world: &World, second: &SecondEngine, home_mib: Option<&str>) -> Arc<dyn Provider> {
    let hosts = format!("second={}", second.socket());
    let var = |name: &str| match name {
        "PILOT_DOCKER_HOSTS" => Some(hosts.clone()),
        "PILOT_DOCKER_SUBNETS" => Some("10.208.0.0/12".to_owned()),
        "PILOT_DOCKER_HOME_MIB" => home_mib.map(str::to_owned),
        _ => None,
    };
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

fn docker(second: &SecondEngine, words: &str) -> String {
    let mut docker = Command::new("docker");
    let output = docker.arg("-H").arg(second.socket()).args(words.split(' ')).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "docker {words}: {}", said(&output.stderr));
    said(&output.stdout)
}

async fn wrote(provider: &Arc<dyn Provider>, stack: &Stack) {
    assert_eq!(said(provider, stack, "echo kept > kept.txt").await, "");
}

async fn said(provider: &Arc<dyn Provider>, stack: &Stack, command: &str) -> String {
    let words = ["sh", "-c", command].map(str::to_owned);
    let exec = provider.exec().unwrap();
    let output = exec.exec(&stack.runtime(), &words, Duration::from_secs(20)).await.unwrap();
    String::from_utf8(output.stdout.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_prune_removes_a_home_or_a_snapshot_and_what_it_removes_is_made_again() {
    let world = World::new().await;
    let second = SecondEngine::apart().await;
    second.load(&world.docker, world::IMAGE).await;
    let provider = provider(&world, &second, None);
    let witness = world.docker.clone();
    run(world.fixture(), |fixture| async move {
        let stack = || fixture.stack_of(&provider, &fixture.installation, RuntimeId::random());
        let lifecycle = provider.lifecycle();
        let (mut runs, mut suspended, mut stopped, mut kept) = (stack(), stack(), stack(), stack());
        for stack in [&mut runs, &mut suspended, &mut stopped, &mut kept] {
            stack.up().await;
            wrote(&provider, stack).await;
            provider.snapshots().unwrap().take(&stack.runtime(), &Take::of("then")).await.unwrap();
        }
        lifecycle.suspend(&suspended.runtime()).await.unwrap();
        // Of this one a register keeps the fence.
        lifecycle.stop(&stopped.runtime().under(Some(3)), Duration::from_secs(5)).await.unwrap();
        kept.delete("instance").await.unwrap();
        kept.delete("network").await.unwrap();
        let volumes = || docker(&second, "volume ls -q --filter label=pilot.runtime");
        let before = volumes();
        assert_eq!(before.lines().count(), 4 * 3 + 1, "{before}");

        // As an older Pilot made it. It is told, and goes, so the prune is a real one.
        let old = "pilot-rt-0000000000000001-home";
        let labels = format!(
            "--label pilot.installation={} --label pilot.runtime=rt-0000000000000001",
            fixture.installation
        );
        docker(&second, &format!("volume create {labels} {old}"));
        let found = provider.examine(&fixture.installation).await;
        let homes = found.iter().find(|finding| finding.name == "homes on host second").unwrap();
        assert!(homes.detail.contains(old) && homes.detail.contains("of 13 volumes 1 can"), "{homes:?}");
        assert!(homes.action.as_ref().unwrap().contains("pruneFilters"), "{homes:?}");

        docker(&second, "network prune -f");
        docker(&second, "container prune -f");
        docker(&second, "volume prune -f");
        docker(&second, "system prune -af --volumes");
        assert_eq!(volumes(), before, "homes, snapshots and registers are there");

        // The images of what does not run are gone; they are brought again as at first.
        second.load(&witness, world::IMAGE).await;
        assert_eq!(lifecycle.status(&runs.runtime()).await.unwrap(), RunStatus::Running);
        lifecycle.resume(&suspended.runtime()).await.unwrap();
        for stack in [&mut stopped, &mut kept] {
            assert_eq!(lifecycle.status(&stack.runtime()).await.unwrap(), RunStatus::Absent);
            stack.up().await;
        }
        for stack in [&runs, &suspended, &stopped, &kept] {
            assert_eq!(said(&provider, stack, "cat kept.txt").await, "kept\n");
        }

        // A prune of networks alone leaves the container, whose next start makes the network again.
        lifecycle.stop(&stopped.runtime(), Duration::from_secs(5)).await.unwrap();
        docker(&second, "network prune -f");
        lifecycle.start(&stopped.runtime()).await.unwrap();
        lifecycle.stop(&stopped.runtime(), Duration::from_secs(5)).await.unwrap();
        provider.snapshots().unwrap().restore(&stopped.runtime(), "then", &Told::nobody()).await.unwrap();

        for stack in [runs, suspended, stopped, kept] {
            stack.down().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_homes_is_refused_with_advice_where_the_file_system_has_none() {
    let world = World::new().await;
    let second = SecondEngine::apart().await;
    second.name_image(world::IMAGE);
    let limited = provider(&world, &second, Some("64"));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&limited, &fixture.installation, RuntimeId::random());
        let error = stack.create("home").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderFailed, "{error}");
        assert!(error.action.unwrap().contains("PILOT_DOCKER_HOME_MIB"));
        assert_eq!(docker(&second, "volume ls -q --filter label=pilot.runtime --filter name=home"), "");
        let found = limited.examine(&fixture.installation).await;
        let limit = found.iter().find(|finding| finding.name == "home limit on host second").unwrap();
        assert!(!limit.ok && limit.action.as_ref().unwrap().contains("pquota"), "{limit:?}");
    })
    .await;
}
