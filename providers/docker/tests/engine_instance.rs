//! What an instance is in Docker: its limits, its separation, its home, its ports.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use contracts::ErrorCode;
use contracts::network::PortRange;
use provider_api::conformance::{CanaryBootFiles, Fixture, eventually, run};
use provider_api::{DiffRequest, Outcome, Provider, RunStatus, RuntimeRef, RuntimeSpec};
use provider_docker::DockerProvider;
use provider_docker::conformance::{self as world, IMAGE, OTHER_IMAGE, World, name};
use std::sync::Arc;

const GRACE: Duration = Duration::from_secs(5);

/// A second client, because the fixture's own is behind `Backdoor`.
async fn inspect(runtime: &RuntimeRef) -> ContainerInspectResponse {
    World::new().await.inspect(runtime).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_confined_and_its_secrets_are_in_no_inspection() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let found = inspect(&stack.runtime()).await;
        let shown = serde_json::to_string(&found).unwrap();
        assert!(!shown.contains(&fixture.boot.canary()));

        let (config, host) = (found.config.unwrap(), found.host_config.unwrap());
        assert_eq!(config.user.as_deref(), Some("1000:1000"));
        assert_eq!(config.image.as_deref(), Some(IMAGE));
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges:true"]);
        assert_eq!((host.privileged, host.init), (Some(false), Some(true)));
        assert_eq!((host.memory, host.memory_swap), (Some(2 << 30), Some(2 << 30)));
        assert_eq!((host.cpu_quota, host.pids_limit), (Some(200_000), Some(2048)));
        assert_eq!(host.restart_policy.unwrap().name.unwrap().to_string(), "no");
        assert_eq!(host.network_mode, Some(name(&stack.runtime())));
        let log = host.log_config.unwrap().config.unwrap();
        assert_eq!((log["max-size"].as_str(), log["max-file"].as_str()), ("10m", "3"));

        let ports = found.network_settings.unwrap().ports.unwrap();
        assert_eq!(ports.keys().collect::<Vec<_>>(), ["3000/tcp"]);
        for binding in ports["3000/tcp"].as_ref().unwrap() {
            assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boot_files_belong_to_the_instance_user_alone() {
    let world = World::new().await;
    let (installation, other) = (world.installation.clone(), World::new().await);
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        assert_eq!(stack.spec.installation, installation);
        let path = format!("/home/pilot/{}", CanaryBootFiles::PATH);
        let owner = other.exec(&stack.runtime(), &["stat", "-c", "%u:%g %a", &path]).await.unwrap();
        assert_eq!(owner.trim(), "1000:1000 600");
        let folder =
            other.exec(&stack.runtime(), &["stat", "-c", "%u:%g %a", "/home/pilot/.config"]).await.unwrap();
        assert_eq!(folder.trim(), "1000:1000 700");
        assert!(other.exec(&stack.runtime(), &["sh", "-c", "cp /bin/true /tmp/t && /tmp/t"]).await.is_some());
    })
    .await;
}

/// As people do who keep their configuration in a repository.
#[tokio::test(flavor = "multi_thread")]
async fn folders_and_links_that_are_on_the_way_of_boot_files_stay_as_their_user_made_them() {
    let other = World::new().await;
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let sh = async |script: &str| {
            let script = format!("cd /home/pilot; {script}");
            other.exec(&runtime, &["sh", "-c", &script]).await.unwrap().trim().to_owned()
        };
        sh("mkdir dotfiles && mv .config dotfiles/config && ln -s dotfiles/config .config && chmod 755 dotfiles/config").await;
        sh("echo kept > .config/own; touch -d 2001-02-03 dotfiles/config/own").await;
        fixture.boot.change();
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert_eq!(sh("readlink .config; cat .config/own; stat -c %a dotfiles/config").await, "dotfiles/config\nkept\n755");
        let file = format!("dotfiles/config/{}", CanaryBootFiles::PATH.strip_prefix(".config/").unwrap());
        assert_eq!(sh(&format!("cat {file}")).await, fixture.boot.canary(), "they are delivered through the link");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_changes_the_limits_of_the_same_container() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let before = inspect(&stack.runtime()).await;
        for (size, bytes) in [("medium", 4_i64 << 30), ("small", 2 << 30)] {
            let spec = RuntimeSpec { size: size.to_owned(), generation: 2, ..stack.spec.clone() };
            stack.change_to(spec).await;
            let after = inspect(&stack.runtime()).await;
            assert_eq!(after.id, before.id);
            let host = after.host_config.unwrap();
            assert_eq!((host.memory, host.memory_swap), (Some(bytes), Some(bytes)));
            let read = stack.read("instance").await.unwrap().unwrap();
            assert_eq!(read.inputs, stack.inputs("instance"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_finds_a_container_of_another_image_replaces_it_and_keeps_the_home() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let runtime = stack.runtime();
        fixture.backdoor.write_home(&runtime, "notes", "kept").await;
        let before = inspect(&runtime).await.id;

        let world = World::new().await;
        let config = provider_docker::DockerConfig { image: OTHER_IMAGE.to_owned(), ..world.config() };
        let provider: Arc<dyn Provider> = Arc::new(DockerProvider::new(config));

        let mut newer = fixture.stack_of(&provider, &fixture.installation, runtime.runtime_id.clone());
        assert!(newer.declaration("instance").delete_before_replace);
        newer.state = stack.state.clone();
        for logical in ["network", "home", "instance"] {
            let (old_inputs, created) = newer.state[logical].clone();
            let diff = newer.resource(logical).diff(&DiffRequest {
                id: created.id,
                old_inputs,
                old_outputs: created.outputs,
                new_inputs: newer.inputs(logical),
            });
            assert!(diff.replaces.is_empty(), "{logical}: {diff:?}");
        }
        // A create that finds the old container, as after a crash in the middle of the replacement.
        newer.up().await;
        assert_ne!(inspect(&runtime).await.id, before);
        assert_eq!(fixture.backdoor.objects(&runtime).await.len(), 3);
        assert_eq!(fixture.backdoor.read_home(&runtime, "notes").await.as_deref(), Some("kept"));
        newer.down().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_come_from_the_range_and_taken_ones_are_passed_over() {
    let world = World::new().await;
    let first = 15_000 + (std::process::id() % 100) as u16 * 6;
    let range = PortRange { first, last: first + 5 };
    let _taken = std::net::TcpListener::bind(("127.0.0.1", first)).unwrap();
    let config = provider_docker::DockerConfig { ports: Some(range), ..world.config() };
    let fixture = Fixture { provider: Arc::new(DockerProvider::new(config)), ..world.fixture() };
    run(fixture, |fixture| async move {
        let mut seen = Vec::new();
        let mut stacks = Vec::new();
        for _ in 0..3 {
            let mut stack = fixture.stack();
            stack.up().await;
            let endpoint = fixture.provider.lifecycle().endpoint(&stack.runtime()).await.unwrap();
            assert!(range.iter().contains(&endpoint.port) && endpoint.port != first, "{}", endpoint.port);
            assert_eq!(stack.state["instance"].1.outputs["port"], endpoint.port);
            seen.push(endpoint.port);
            stacks.push(stack);
        }
        seen.dedup();
        assert_eq!(seen.len(), 3);
        let lifecycle = fixture.provider.lifecycle();
        lifecycle.stop(&stacks[0].runtime(), GRACE).await.unwrap();
        assert!(lifecycle.endpoint(&stacks[0].runtime()).await.is_err());
        lifecycle.start(&stacks[0].runtime()).await.unwrap();
        assert!(range.iter().contains(&lifecycle.endpoint(&stacks[0].runtime()).await.unwrap().port));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_ends_at_once_says_why_and_stays_owned() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        fixture.backdoor.write_home(&runtime, "behave-die", "").await;
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        // It may live long enough to count as started; then status and log say the rest.
        if let Err(error) = lifecycle.start(&runtime).await {
            assert_eq!(error.code, ErrorCode::InstanceFailed);
        }
        provider_api::conformance::eventually("it ends", async || {
            lifecycle.status(&runtime).await.unwrap() == RunStatus::Stopped { exit_code: Some(7) }
        })
        .await;
        let logs = fixture.provider.logs().unwrap();
        let log = logs.tail(&runtime, 1000).await.unwrap();
        assert!(log.contains("cannot work today") && !log.contains("the container ended"), "{log}");
        assert_eq!(logs.ended(&runtime).await.unwrap().unwrap(), "the container ended: exit code 7");

        fixture.backdoor.remove(&runtime, "instance").await;
        if let Err(error) = stack.create("instance").await {
            assert!(error.message.contains("cannot work today"), "{error}");
            let Outcome::Partial { id, outputs } = error.outcome else {
                panic!("it exists: {:?}", error.outcome)
            };
            assert_eq!((id.as_str(), &outputs["name"]), (name(&runtime).as_str(), &serde_json::json!(id)));
        }
        stack.down().await;
        assert_eq!(fixture.backdoor.objects(&runtime).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_somebody_removed_is_made_again_or_joined_at_the_next_start() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        fixture.backdoor.write_home(&runtime, "notes", "kept").await;
        for is_repaired in [false, true] {
            lifecycle.stop(&runtime, GRACE).await.unwrap();
            fixture.backdoor.remove(&runtime, "network").await;
            if is_repaired {
                stack.create("network").await.unwrap();
            }
            lifecycle.start(&runtime).await.unwrap();
            assert!(fixture.backdoor.runs(&runtime).await);
            assert_eq!(fixture.backdoor.read_home(&runtime, "notes").await.as_deref(), Some("kept"));
            assert_eq!(fixture.backdoor.objects(&runtime).await.len(), 3);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_failed_and_was_stopped_then_is_stopped_and_what_fails_after_its_next_start_has_failed() {
    run(World::new().await.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let stopped = |status| matches!(status, RunStatus::Stopped { .. });
        for _ in 0..2 {
            fixture.backdoor.fail(&runtime).await;
            eventually("it has ended", async || lifecycle.status(&runtime).await.is_ok_and(stopped)).await;
            assert_eq!(stack.read("instance").await.unwrap_err().code, ErrorCode::InstanceFailed);
            lifecycle.stop(&runtime, Duration::ZERO).await.unwrap();
            assert!(stack.read("instance").await.unwrap().is_some());
            stack.update("instance").await.unwrap();
            assert!(stopped(lifecycle.status(&runtime).await.unwrap()), "what was stopped is not started");
            lifecycle.start(&runtime).await.unwrap();
        }
        stack.down().await;
        assert_eq!(fixture.owned().await, []);
    })
    .await;
}
