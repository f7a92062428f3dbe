//! What confines an instance, by the operator's choice.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use contracts::ErrorCode;
use futures_util::StreamExt as _;
use provider_api::conformance::run;
use provider_api::{Provider, RuntimeSpec, Settings};
use provider_docker::conformance::{World, name};
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};

fn provider(world: &World, setting: &'static str, value: &'static str) -> Arc<dyn Provider> {
    let var = |name: &str| (name == setting).then(|| value.to_owned());
    let settings = Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_itself_says_what_each_profile_allows() {
    for (profile, bounding, no_new_privileges) in
        [("strict", "0000000000000000", "1"), ("dev", "00000000a00000fb", "0")]
    {
        let world = World::new().await;
        let provider = provider(&world, "PILOT_DOCKER_PROFILE", profile);
        run(world.fixture(), |fixture| async move {
            let mut stack =
                fixture.stack_of(&provider, &fixture.installation, contracts::RuntimeId::random());
            stack.up().await;
            let words = ["cat", "/proc/self/status"].map(str::to_owned);
            let limit = Duration::from_secs(5);
            let status = provider.exec().unwrap().exec(&stack.runtime(), &words, limit).await.unwrap();
            let status = String::from_utf8(status.stdout.to_vec()).unwrap();
            let line = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap().trim().to_owned()
            };
            assert_eq!(line("CapBnd:"), bounding, "{profile}");
            assert_eq!(line("NoNewPrivs:"), no_new_privileges, "{profile}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_does_not_have_is_an_error_and_never_left_out() {
    for (setting, value) in [
        ("PILOT_DOCKER_RUNTIME", "no-such-runtime"),
        ("PILOT_DOCKER_PROFILE", "loose"),
        ("PILOT_DOCKER_DISK_MIB", "many"),
    ] {
        let world = World::new().await;
        let provider = provider(&world, setting, value);
        run(world.fixture(), |fixture| async move {
            let mut stack =
                fixture.stack_of(&provider, &fixture.installation, contracts::RuntimeId::random());
            let error = stack.try_up().await.unwrap_err();
            assert!(error.message.contains(value), "{error}");
            let expected = match setting {
                "PILOT_DOCKER_RUNTIME" => ErrorCode::ProviderFailed,
                _ => ErrorCode::ProviderNotConfigured,
            };
            assert_eq!(error.code, expected);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_root_in_an_instance_cannot_keep_it_from_being_changed_and_deleted() {
    let world = World::new().await;
    let (docker, dev) = (world.docker.clone(), provider(&world, "PILOT_DOCKER_PROFILE", "dev"));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&dev, &fixture.installation, contracts::RuntimeId::random());
        stack.up().await;
        // Where the generation was kept once.
        let forge = "echo 18446744073709551615 > /etc/pilot-generation";
        let root = ExecConfig {
            cmd: Some(["sh", "-c", forge].map(str::to_owned).to_vec()),
            user: Some("0".to_owned()),
            attach_stdout: Some(true),
            ..Default::default()
        };
        let made = docker.create_exec(&name(&stack.runtime()), root).await.unwrap();
        let StartExecResults::Attached { mut output, .. } = docker.start_exec(&made.id, None).await.unwrap()
        else {
            panic!("it is attached")
        };
        while output.next().await.is_some() {}
        assert_eq!(docker.inspect_exec(&made.id).await.unwrap().exit_code, Some(0));
        let larger = RuntimeSpec { size: "medium".to_owned(), generation: 2, ..stack.spec.clone() };
        stack.change_to(larger).await;
        stack.down().await;
        assert_eq!(fixture.owned().await, []);
    })
    .await;
}
