//! What confines an instance, by the operator's choice.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use contracts::ErrorCode;
use provider_api::conformance::run;
use provider_api::{Provider, Settings};
use provider_docker::conformance::World;
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
        run(world.bench(), |bench| async move {
            let mut stack = bench.stack_of(&provider, &bench.installation, contracts::RuntimeId::random());
            stack.up().await;
            let words = ["cat", "/proc/self/status"].map(str::to_owned);
            let limit = Duration::from_secs(5);
            let status = provider.exec().unwrap().exec(&stack.runtime(), &words, limit).await.unwrap();
            let status = String::from_utf8(status.stdout).unwrap();
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
        run(world.bench(), |bench| async move {
            let mut stack = bench.stack_of(&provider, &bench.installation, contracts::RuntimeId::random());
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
