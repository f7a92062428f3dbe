//! A host by `ssh`: one login for all that is asked of it.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/ssh.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod ssh;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contracts::RuntimeId;
use futures_util::future::join_all;
use provider_api::conformance::run;
use provider_api::{Provider, RunStatus, Settings};
use provider_docker::conformance::World;
use provider_docker::{DockerConfig, DockerProvider, SETTINGS};
use ssh::SshServer;

fn provider(world: &World, server: &SshServer) -> Arc<dyn Provider> {
    let given = HashMap::from([
        ("PILOT_DOCKER_HOSTS", format!("far=ssh://root@127.0.0.1:{}", server.port)),
        ("PILOT_DOCKER_PUBLISH", "far=127.0.0.1".to_owned()),
        ("PILOT_DOCKER_SSH_CONFIG", server.config(true)),
    ]);
    let settings =
        Settings::read(&"docker".parse().unwrap(), SETTINGS, |name| given.get(name).cloned()).unwrap();
    Arc::new(DockerProvider::new(DockerConfig { settings, ..world.config() }))
}

/// A server that lets nobody in while three are logging in has dropped them when each call logged in by itself.
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_are_one_login_and_none_is_dropped() {
    let world = World::new().await;
    let server = SshServer::with("MaxStartups 2:100:2\nLoginGraceTime 20\n").await;
    let far = provider(&world, &server);
    run(world.fixture(), |fixture| async move {
        let mut stacks: Vec<_> =
            (0..4).map(|_| fixture.stack_of(&far, &fixture.installation, RuntimeId::random())).collect();
        join_all(stacks.iter_mut().map(|stack| stack.up())).await;
        let lifecycle = far.lifecycle();
        let runtimes: Vec<_> = stacks.iter().map(|stack| stack.runtime()).collect();
        let asked = runtimes.iter().cycle().take(80).map(|runtime| lifecycle.status(runtime));
        for status in join_all(asked).await {
            assert_eq!(status.unwrap(), RunStatus::Running);
        }
        lifecycle.stop(&runtimes[0], Duration::from_secs(1)).await.unwrap();
        join_all(stacks.iter().map(|stack| stack.down())).await;
        assert_eq!(server.logins(), 1);
    })
    .await;
}
