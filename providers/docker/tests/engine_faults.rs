//! An engine that is away, silent, or whose answers get lost; objects that are not ours.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use contracts::ErrorCode;
use provider_api::conformance::run;
use provider_api::{Outcome, Provider, RunStatus, RuntimeRef};
use provider_docker::conformance::Proxy;
use provider_docker::conformance::{self as world, World, name};
use provider_docker::{DockerConfig, DockerProvider, Timing};

fn provider(config: DockerConfig) -> Arc<dyn Provider> {
    Arc::new(DockerProvider::new(config))
}

fn labels(runtime: &RuntimeRef) -> HashMap<String, String> {
    HashMap::from([
        ("pilot.installation".to_owned(), runtime.installation.to_string()),
        ("pilot.runtime".to_owned(), runtime.runtime_id.to_string()),
        ("pilot.generation".to_owned(), "1".to_owned()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_every_call_says_so_and_nothing_counts_as_gone() {
    let world = World::new().await;
    let config = DockerConfig { host: Some("unix:///nowhere/docker.sock".to_owned()), ..world.config() };
    let away = provider(config);
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&away, &fixture.installation, fixture.stack().spec.runtime_id);
        let error = stack.create("network").await.unwrap_err();
        assert_eq!((error.code, error.outcome), (ErrorCode::DockerUnavailable, Outcome::NothingHappened));
        assert!(error.action.unwrap().contains("docker"));
        assert_eq!(away.ready().await.unwrap_err().code, ErrorCode::DockerUnavailable);
        assert_eq!(
            away.lifecycle().status(&stack.runtime()).await.unwrap_err().code,
            ErrorCode::DockerUnavailable
        );
        assert!(away.inventory().unwrap().list_installation(&fixture.installation).await.is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_engine_is_given_up_within_seconds() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let config = DockerConfig { host: Some(format!("unix://{}", socket.display())), ..world.config() };
    let asked = Instant::now();
    let error = provider(config).ready().await.unwrap_err();
    assert_eq!((error.code, error.outcome), (ErrorCode::ProviderTimeout, Outcome::Unknown));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_named_with_the_way_to_build_it() {
    let world = World::new().await;
    let config = DockerConfig { image: "pilot-no-such-image:1".to_owned(), ..world.config() };
    let imageless = provider(config);
    run(world.fixture(), |fixture| async move {
        let error = imageless.ready().await.unwrap_err();
        assert_eq!(
            (error.code, error.action.as_deref()),
            (ErrorCode::ImageMissing, Some("Name an image that is on this Docker host, or one with its registry, as in `docker.io/NAME`: that is pulled. Pilot's own is built by `cargo xtask image`."),)
        );
        let mut stack = fixture.stack_of(&imageless, &fixture.installation, fixture.stack().spec.runtime_id);
        let error = stack.try_up().await.unwrap_err();
        assert_eq!((error.code, error.outcome), (ErrorCode::ImageMissing, Outcome::NothingHappened));
        stack.down().await;
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
    })
    .await;
}

/// The call is carried out, its answer never arrives: the next attempt must find what was made.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_make_no_orphans_and_no_doubles() {
    for lost in ["/networks/create", "/volumes/create", "/containers/create", "/archive", "/start"] {
        let world = World::new().await;
        let proxy = Proxy::start().await;
        let config = DockerConfig { host: Some(proxy.host()), ..world.config() };
        let shaky = provider(config);
        run(world.fixture(), |fixture| async move {
            let mut stack = fixture.stack_of(&shaky, &fixture.installation, fixture.stack().spec.runtime_id);
            shaky.ready().await.unwrap();
            proxy.lose_answer_to(lost);
            let error = stack.try_up().await.unwrap_err();
            assert!(proxy.has_lost(), "{lost} was never asked");
            assert!(!matches!(error.outcome, Outcome::NothingHappened), "{lost}: {error:?}");
            stack.up().await;
            assert_eq!(fixture.backdoor.objects(&stack.runtime()).await.len(), 3, "{lost}");
            assert_eq!(shaky.lifecycle().status(&stack.runtime()).await.unwrap(), RunStatus::Running);
            stack.down().await;
            assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new(), "{lost}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_delete_is_no_obstacle_to_the_next() {
    let world = World::new().await;
    let proxy = Proxy::start().await;
    let config = DockerConfig { host: Some(proxy.host()), ..world.config() };
    let shaky = provider(config);
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack_of(&shaky, &fixture.installation, fixture.stack().spec.runtime_id);
        stack.up().await;
        for logical in ["instance", "home", "network"] {
            proxy.lose_answer_to("DELETE ");
            let error = stack.delete(logical).await.unwrap_err();
            assert_eq!(error.outcome, Outcome::Unknown);
            stack.delete(logical).await.unwrap();
        }
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_many_files_is_removed_by_one_call_that_takes_its_time() {
    let (call, longer) = (Duration::from_secs(5), Duration::from_secs(7));
    let world = World::new().await;
    let proxy = Proxy::start().await;
    let config = DockerConfig { host: Some(proxy.host()), ..world.config() };
    let timing = Timing { call, ..Timing::default() };
    let slow: Arc<dyn Provider> = Arc::new(DockerProvider::with_timing(config, timing));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        stack.provider = slow;
        for logical in ["instance", "home"] {
            let begun = Instant::now();
            proxy.delay_answer_to("DELETE ", longer);
            stack.delete(logical).await.unwrap();
            assert!(proxy.has_lost() && begun.elapsed() >= longer, "{logical} was not asked for");
        }
        stack.delete("network").await.unwrap();
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_networks_of_one_name_become_the_older_one() {
    run(world::fixture().await, |fixture| async move {
        let world = World::new().await;
        let mut stack = fixture.stack();
        let runtime = stack.runtime();
        for _ in 0..2 {
            let body = NetworkCreateRequest {
                name: name(&runtime),
                labels: Some(labels(&runtime)),
                ..Default::default()
            };
            // A newer engine refuses the second, which is just as good.
            let _ = world.docker.create_network(body).await;
        }
        let oldest = fixture.backdoor.objects(&runtime).await;
        stack.create("network").await.unwrap();
        let networks: Vec<_> = fixture
            .backdoor
            .objects(&runtime)
            .await
            .into_iter()
            .filter(|object| object.starts_with("network"))
            .collect();
        assert_eq!(networks.len(), 1);
        assert!(oldest.contains(&networks[0]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_a_person_made_is_neither_used_nor_removed() {
    run(world::fixture().await, |fixture| async move {
        let world = World::new().await;
        let mut stack = fixture.stack();
        let volume = format!("{}-home", name(&stack.runtime()));
        let body = VolumeCreateRequest { name: Some(volume.clone()), ..Default::default() };
        world.docker.create_volume(body).await.unwrap();
        let error = stack.try_up().await.unwrap_err();
        let kept = world.docker.inspect_volume(&volume).await;
        world
            .docker
            .remove_volume(&volume, None::<bollard::query_parameters::RemoveVolumeOptions>)
            .await
            .unwrap();
        assert!(error.message.contains("not made by Pilot"), "{error}");
        assert!(kept.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_the_network_is_named_at_once_with_the_way_to_disconnect_it_and_the_home_stays() {
    run(world::fixture().await, |fixture| async move {
        let world = World::new().await;
        let mut stack = fixture.stack();
        stack.up().await;
        let (network, helper) = (name(&stack.runtime()), format!("helper-of-{}", stack.runtime().runtime_id));
        let docker = |args: &[&str]| {
            let output = std::process::Command::new("docker").args(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        docker(&["run", "--detach", "--name", &helper, "--network", &network, world::IMAGE]);
        stack.delete("instance").await.unwrap();
        let asked = Instant::now();
        let home = stack.delete("home").await;
        let refused = stack.delete("network").await;
        let took = asked.elapsed();
        let volume = format!("{network}-home");
        let kept = world.docker.inspect_volume(&volume).await;
        let advised = format!("docker network disconnect {network} {helper}");
        let action = refused.as_ref().unwrap_err().action.clone().unwrap_or_default();
        // As it says, word by word.
        let advice = action.split('`').find(|words| words.starts_with("docker network")).unwrap_or_default();
        let words: Vec<_> = advice.split(' ').skip(1).collect();
        let freed = std::process::Command::new("docker").args(&words).output().unwrap();
        let removed = stack.delete("network").await;
        docker(&["rm", "--force", &helper]);
        removed.unwrap();
        stack.delete("home").await.unwrap();
        for error in [home.unwrap_err(), refused.unwrap_err()] {
            assert_eq!(error.code, ErrorCode::ProviderFailed);
            assert!(error.message.contains(&helper), "{error}");
            assert!(error.action.unwrap().contains(&advised));
        }
        assert!(freed.status.success(), "{freed:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(kept.is_ok());
    })
    .await;
}
