//! What the provider makes of a cloud that is wrongly configured, full, slow, broken or out of reach.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{ErrorCode, RuntimeId};
use provider_api::conformance::{Backdoor as _, Stack, run};
use provider_api::{Outcome, Provider, ProviderError, RuntimeRef, RuntimeSpec};
use serde_json::json;
use sim_cloudflare::{Fault, Kind, Simulator, Surface};
use world::{TOKEN, World};

fn stack(world: &World, provider: &Arc<dyn Provider>) -> Stack {
    let spec = RuntimeSpec::new(
        RuntimeId::random(),
        world.installation.clone(),
        provider.describe().sizes[0].name.clone(),
    );
    Stack::new(provider.clone(), spec)
}

async fn with_sim<T>(world: &World, act: impl FnOnce(&Simulator) -> T) -> T {
    act(world.sim.lock().await.as_ref().unwrap())
}

async fn fault(world: &World, surface: Surface, method: &str, path: &str, kind: Kind) {
    with_sim(world, |sim| sim.fault(Fault::once(surface, method, path, kind))).await;
}

async fn always(world: &World, surface: Surface, method: &str, path: &str, kind: Kind) {
    with_sim(world, |sim| sim.fault(Fault::always(surface, method, path, kind))).await;
}

async fn shared_error(world: &World, others: &[(&str, &str)]) -> ProviderError {
    world.apply_shared(&world.provider_with(others)).await.unwrap_err()
}

/// A short timeout, where waiting is what is tested.
fn impatient(world: &World, timeout: Duration) -> Arc<dyn Provider> {
    let config = provider_cloudflare::CloudflareConfig { timeout, ..world.config(&[]) };
    Arc::new(provider_cloudflare::CloudflareProvider::new(config))
}

async fn end(world: World) {
    let installation = world.installation.clone();
    world.sweep(&installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_rejected_credentials_have_codes_of_their_own() {
    let world = world::start().await;
    let error = shared_error(&world, &[("API_TOKEN", "")]).await;
    assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
    assert!(error.action.unwrap().contains("PILOT_CLOUDFLARE_API_TOKEN"));
    for (token, account) in [("canary-wrong", None), (TOKEN, Some("another-account"))] {
        let account = account.unwrap_or(&world.urls.account).to_owned();
        let others = [("API_TOKEN", token), ("ACCOUNT_ID", account.as_str())];
        for error in
            [shared_error(&world, &others).await, world.provider_with(&others).ready().await.unwrap_err()]
        {
            assert_eq!(
                (error.code, &error.outcome),
                (ErrorCode::CredentialsRejected, &Outcome::NothingHappened)
            );
            assert!(error.request_id.is_some() && error.action.is_some(), "{error:?}");
            assert!(!format!("{error:?}").contains(token), "{error:?}");
        }
    }
    // The Worker trusts another key.
    world.apply_shared(&world.provider()).await.unwrap();
    let config = provider_cloudflare::CloudflareConfig {
        identity: Some(provider_cloudflare::Identity {
            control_key: provider_cloudflare::ControlKey::new([1; 32]),
            ..world.identity()
        }),
        ..world.config(&[])
    };
    let stranger: Arc<dyn Provider> = Arc::new(provider_cloudflare::CloudflareProvider::new(config));
    let error = stack(&world, &stranger).create("instance").await.unwrap_err();
    assert_eq!((error.code, error.outcome), (ErrorCode::CredentialsRejected, Outcome::NothingHappened));
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_application_refuses_with_capacity_and_leaves_nothing() {
    let world = world::start().await;
    let provider = world.provider_with(&[("MAX_INSTANCES", "1")]);
    world.apply_shared(&provider).await.unwrap();
    let mut first = stack(&world, &provider);
    first.up().await;
    let mut second = stack(&world, &provider);
    let error = second.create("instance").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderCapacity, "{error:?}");
    assert!(
        error.action.as_ref().unwrap().contains("maxInstances") && error.request_id.is_some(),
        "{error:?}"
    );
    // What is remembered of it is known to the engine, or found by its id, and deleted like any other.
    assert!(!matches!(error.outcome, Outcome::NothingHappened), "{error:?}");
    first.down().await;
    // The platform repeats by itself what it has refused, and that can meet the next attempt: whoever tries again has the room.
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = second.try_up().await {
        assert!(Instant::now() < deadline, "there is room again: {error:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    provider_api::conformance::eventually("it runs", async || world.runs(&second.runtime()).await).await;
    second.down().await;
    assert_eq!(provider.inventory().unwrap().list_installation(&world.installation).await.unwrap(), []);
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_named() {
    let world = world::start().await;
    let image = format!("registry.cloudflare.com/{}/no-such-image:1", world.urls.account);
    let provider = world.provider_with(&[("IMAGE", &image)]);
    world.apply_shared(&provider).await.unwrap();
    let error = stack(&world, &provider).create("instance").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageMissing, "{error:?}");
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_waited_for_as_long_as_cloudflare_says() {
    let world = world::start().await;
    fault(&world, Surface::Api, "PUT", "*/scripts/*", Kind::TooMany { retry_after: Some(1) }).await;
    fault(&world, Surface::Api, "POST", "*/applications", Kind::TooMany { retry_after: None }).await;
    let began = Instant::now();
    world.apply_shared(&world.provider()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));

    always(&world, Surface::Api, "GET", "*", Kind::TooMany { retry_after: Some(300) }).await;
    let error = shared_error(&world, &[]).await;
    assert_eq!(
        (error.code, error.retry_after),
        (ErrorCode::ProviderRateLimited, Some(Duration::from_secs(300)))
    );
    assert!(error.request_id.is_some());
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_is_adopted_in_the_shared_stack() {
    let world = world::start().await;
    for (method, path) in [("PUT", "*/scripts/*"), ("POST", "*/subdomain"), ("POST", "*/applications")] {
        fault(&world, Surface::Api, method, path, Kind::CutAfter).await;
    }
    let made = world.apply_shared(&world.provider()).await.unwrap();
    let objects = with_sim(&world, Simulator::objects).await;
    for (kind, count) in [("script", 1), ("durable_object_namespace", 2), ("container_application", 1)] {
        assert_eq!(objects[kind].as_object().map(serde_json::Map::len), Some(count), "{kind}");
    }
    assert!(objects["container_application"][&made[1].id].is_object());
    // Everything again, as after a crash: nothing new.
    let again = world.apply_shared(&world.provider()).await.unwrap();
    assert_eq!(again, made);
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_answers_of_the_worker_are_told_with_code_and_request_id_and_repeated_where_that_helps() {
    let world = world::start().await;
    let provider = world.provider();
    world.apply_shared(&provider).await.unwrap();
    // Once, each is repeated with a new signature, and the runtime is there once.
    for kind in [
        Kind::CutBefore,
        Kind::CutAfter,
        Kind::Html,
        Kind::TruncatedJson,
        Kind::TooMany { retry_after: None },
    ] {
        fault(&world, Surface::Edge, "PUT", "/_pilot/*", kind.clone()).await;
        let mut stack = stack(&world, &provider);
        stack.up().await;
        assert!(world.runs(&stack.runtime()).await, "{kind:?}");
        stack.down().await;
        assert_eq!(world.objects(&stack.runtime()).await, Vec::<String>::new(), "{kind:?}");
    }
    // For ever, each has its code.
    let hasty = impatient(&world, Duration::from_secs(4));
    for (kind, code) in [
        (Kind::Html, ErrorCode::ProviderUnreadable),
        (Kind::TruncatedJson, ErrorCode::ProviderUnreadable),
        (Kind::Hang, ErrorCode::ProviderTimeout),
        (Kind::CutBefore, ErrorCode::ProviderTimeout),
        (Kind::Status { status: 503, body: json!(null) }, ErrorCode::ProviderUnreachable),
        (Kind::Status { status: 500, body: json!("error code: 1101") }, ErrorCode::ProviderFailed),
        (Kind::TooMany { retry_after: None }, ErrorCode::ProviderRateLimited),
    ] {
        always(&world, Surface::Edge, "DELETE", "/_pilot/*", kind.clone()).await;
        let mut stack = stack(&world, &provider);
        stack.up().await;
        let error = Stack { provider: hasty.clone(), ..stack.clone() }.delete("instance").await.unwrap_err();
        assert_eq!(error.code, code, "{kind:?}: {error:?}");
        let is_cut = matches!(kind, Kind::Hang | Kind::CutBefore);
        assert_eq!(error.request_id.is_some(), !is_cut, "{kind:?}: {error:?}");
        with_sim(&world, Simulator::clear_faults).await;
        stack.down().await;
    }
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_too_much_are_named_and_nothing_is_done() {
    let world = world::start().await;
    let provider = world.provider();
    world.apply_shared(&provider).await.unwrap();
    for (ahead, works) in [(300, false), (-300, false), (20, true)] {
        world.sim.lock().await.as_ref().unwrap().set_clock_ahead(ahead).await.unwrap();
        let mut stack = stack(&world, &provider);
        match stack.create("instance").await {
            Ok(_) => assert!(works, "{ahead}"),
            Err(error) => {
                assert!(!works, "{ahead}: {error:?}");
                assert_eq!(
                    (error.code, &error.outcome),
                    (ErrorCode::CredentialsRejected, &Outcome::NothingHappened)
                );
                assert!(error.action.unwrap().contains("clock") && error.request_id.is_some());
            }
        }
    }
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_worker_is_not_a_missing_runtime() {
    let world = world::start().await;
    let provider = world.provider();
    let runtime = RuntimeRef::new(RuntimeId::random(), world.installation.clone());
    let error = provider.lifecycle().status(&runtime).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnreachable, "{error:?}");
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_and_a_first_container_that_are_not_there_yet_are_waited_for_and_told() {
    let world = world::with(|options| (options.name_lag_ms, options.provisioning_ms) = (5000, 11_000)).await;
    // What waits too short says what is missing, and that it comes by itself.
    let hasty = impatient(&world, Duration::from_secs(2));
    let mut shared = Stack::shared(hasty.clone(), &world.installation);
    let error = shared.create("worker").await.unwrap_err();
    assert_eq!((error.code, error.code.retryable()), (ErrorCode::ProviderUnreachable, true), "{error:?}");
    assert!(error.action.as_ref().unwrap().contains("minutes"), "{error:?}");
    assert!(matches!(error.outcome, Outcome::Partial { .. }), "the Worker is there: {error:?}");

    world.apply_shared(&world.provider()).await.unwrap();
    let mut stack = stack(&world, &hasty);
    let error = stack.create("instance").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderCapacity, "{error:?}");
    assert!(error.retry_after.is_some(), "it says when to come again: {error:?}");
    let Outcome::Partial { id, outputs } = error.outcome else { panic!("it is remembered: {error:?}") };
    // An engine that knows of it updates it, and what never ran runs then.
    let created = provider_api::Created { id, outputs };
    stack.state.insert("instance".to_owned(), (stack.inputs("instance"), created));
    stack.provider = world.provider();
    stack.update("instance").await.unwrap();
    assert!(world.runs(&stack.runtime()).await);
    stack.down().await;
    end(world).await;
}

fn docker(arguments: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn container_of(runtime: &RuntimeRef) -> Option<String> {
    let wanted = format!("PILOT_RUNTIME={}", runtime.runtime_id);
    let is_its = |id: &&str| docker(&["inspect", id]).contains(&wanted);
    docker(&["ps", "-q"]).lines().find(is_its).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_the_platform_ended_runs_again_and_one_that_crashed_does_not() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let runtime = stack.runtime();
        fixture.backdoor.write_home(&runtime, "notes", "lost").await;
        let running = || container_of(&runtime);
        let first = running().unwrap();
        // As a rollout or a machine that is given up does.
        docker(&["kill", "--signal", "TERM", &first]);
        provider_api::conformance::eventually("a new container runs", async || {
            running().is_some_and(|id| id != first)
        })
        .await;
        assert_eq!(fixture.backdoor.read_home(&runtime, "notes").await, None, "on a new disk");
        docker(&["kill", "--signal", "KILL", &running().unwrap()]);
        let lifecycle = fixture.provider.lifecycle();
        provider_api::conformance::eventually("it is seen as crashed", async || {
            lifecycle.status(&runtime).await.unwrap()
                == provider_api::RunStatus::Stopped { exit_code: Some(137) }
        })
        .await;
    })
    .await;
}
