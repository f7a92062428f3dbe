//! What goes wrong at Fly becomes a stable code with Fly's request id, is tried again only where that is
//! safe, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::conformance::{Backdoor, Faults, Stack, eventually};
use provider_api::{Outcome, ProviderError, RunStatus, RuntimeSpec};
use sim_fly::{Kind, Region, RunnerKind, Scope};
use world::{World, app, stack_in};

const MACHINES: &str = "/v1/apps/*/machines";

async fn records() -> World {
    World::with(|settings| settings.runner = RunnerKind::Records).await
}

fn stack(world: &World) -> Stack {
    stack_in(world, &world.provider(), "fra")
}

fn status(code: u16, body: &str, retry_after: Option<u64>) -> Kind {
    Kind::Status { code, body: body.to_owned(), retry_after }
}

/// The stack comes up now, with one object for each resource, and goes without a rest.
async fn heals(world: &World, stack: &mut Stack) {
    world.heal().await;
    stack.up().await;
    assert_eq!(world.objects(&stack.runtime()).await.len(), 3);
    stack.down().await;
    assert_eq!(world.objects(&stack.runtime()).await, Vec::<String>::new());
}

async fn fails(stack: &mut Stack) -> ProviderError {
    let error = stack.try_up().await.unwrap_err();
    assert!(error.action.is_some(), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_is_asked_and_the_variable_is_named() {
    let mut world = records().await;
    world.extra.push(("PILOT_FLY_API_TOKEN", String::new()));
    let error = world.provider().ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
    assert!(error.action.unwrap().contains("PILOT_FLY_API_TOKEN"));
    assert_eq!(world.actions(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_and_those_of_another_organisation_are_told() {
    let mut world = records().await;
    world.extra.push(("PILOT_FLY_API_TOKEN", "wrong".to_owned()));
    let error = world.provider().ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert!(error.request_id.is_some());
    let error = fails(&mut stack(&world)).await;
    assert_eq!((error.code, error.outcome), (ErrorCode::CredentialsRejected, Outcome::NothingHappened));
    world.extra = vec![("PILOT_FLY_ORG", "other".to_owned())];
    let error = world.provider().ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert!(error.message.contains("acme"), "{error}");
    assert_eq!(world.sim.apps().len(), 0);
}

/// One that may only look, and one of a single app: `ready` cannot tell them from others, the first write does.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_make_no_apps_is_told_with_the_one_that_is_needed_and_nothing_is_made() {
    for scope in [Scope::Readonly, Scope::App("another".to_owned())] {
        let world = World::with(|settings| {
            settings.runner = RunnerKind::Records;
            settings.tokens[0].scope = scope.clone();
        })
        .await;
        let mut stack = stack(&world);
        let error = fails(&mut stack).await;
        let told = (error.code, error.outcome);
        assert_eq!(told, (ErrorCode::CredentialsRejected, Outcome::NothingHappened), "{scope:?}");
        assert!(error.action.unwrap().contains("fly tokens create org"), "{scope:?}");
        assert!(error.request_id.is_some());
        assert_eq!(world.sim.apps().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_or_size_that_fly_does_not_know_has_a_code_of_its_own() {
    let mut world = records().await;
    world.extra.push(("PILOT_FLY_REGIONS", "fra,mars".to_owned()));
    let provider = world.provider();
    let mut far = stack_in(&world, &provider, "mars");
    let error = fails(&mut far).await;
    assert_eq!((error.code, error.outcome), (ErrorCode::UnknownRegion, Outcome::NothingHappened));
    far.down().await;
    let words = r#"{"error": "invalid_argument: 3 is not a valid number of CPUs"}"#;
    world.order(Some("POST"), MACHINES, Some(1), status(400, words, None));
    let mut odd = stack(&world);
    assert_eq!(fails(&mut odd).await.code, ErrorCode::UnknownSize);
    heals(&world, &mut odd).await;
    assert_eq!(world.sim.apps().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_and_a_used_quota_are_told_apart_under_each_status_that_fly_uses() {
    let full = r#"{"error": "no room", "status": "insufficient_capacity"}"#;
    let reserve =
        r#"{"error": "aborted: could not reserve resource for machine: insufficient memory available"}"#;
    let pinned = r#"{"error": "failed_precondition: insufficient resources to create new machine with existing volume"}"#;
    let quota = r#"{"error": "would be over the allowed quota"}"#;
    let world = records().await;
    for (code, body, expected) in [
        (422, full, ErrorCode::ProviderCapacity),
        (409, reserve, ErrorCode::ProviderCapacity),
        (412, pinned, ErrorCode::ProviderCapacity),
        (403, quota, ErrorCode::ProviderQuota),
    ] {
        world.order(Some("POST"), MACHINES, None, status(code, body, None));
        let mut stack = stack(&world);
        let error = fails(&mut stack).await;
        assert_eq!((error.code, &error.outcome), (expected, &Outcome::NothingHappened), "{code} {body}");
        assert!(error.request_id.is_some());
        assert_eq!(world.machine(&stack.runtime()).map(|machine| machine.id), None);
        heals(&world, &mut stack).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_region_is_found_before_a_machine_is_asked_for_when_so_configured() {
    let mut world = World::with(|settings| {
        settings.runner = RunnerKind::Records;
        let region = |code: &str, capacity| Region { code: code.to_owned(), name: code.to_owned(), capacity };
        settings.regions = vec![region("fra", None), region("iad", Some(0))];
    })
    .await;
    let provider = world.provider();
    let error = fails(&mut stack_in(&world, &provider, "iad")).await;
    assert_eq!(error.code, ErrorCode::ProviderCapacity, "a volume finds no room either");
    world.extra.push(("PILOT_FLY_PROBE_CAPACITY", "true".to_owned()));
    let mut probing = stack_in(&world, &world.provider(), "fra");
    world.order(Some("POST"), "/v1/platform/placements", Some(1), status(200, r#"{"regions": null}"#, None));
    assert_eq!(fails(&mut probing).await.code, ErrorCode::ProviderCapacity);
    assert!(!world.actions().contains(&"machine_create".to_owned()));
    heals(&world, &mut probing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_waited_out_and_told_when_it_would_be_too_long() {
    let world = records().await;
    world.order(Some("POST"), MACHINES, Some(1), status(429, "", Some(1)));
    world.order(Some("POST"), "/v1/apps", Some(2), status(429, "", None));
    let begun = Instant::now();
    let mut stack = stack(&world);
    stack.up().await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "Fly's own word on when counts");
    stack.down().await;
    world.order(Some("POST"), "/v1/apps", None, status(429, "", Some(3600)));
    let begun = Instant::now();
    let error = fails(&mut stack).await;
    assert_eq!((error.code, error.outcome), (ErrorCode::ProviderRateLimited, Outcome::NothingHappened));
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert!(begun.elapsed() < Duration::from_secs(5));
    heals(&world, &mut stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_asked_again_and_makes_no_second_object() {
    for kind in [
        status(500, r#"{"error": "internal"}"#, None),
        status(503, "", None),
        Kind::Html { code: 502 },
        Kind::Truncate,
        Kind::CutAfter,
        Kind::HangAfter,
        Kind::ClockSkew { seconds: -86_400 * 365 },
        Kind::Delay { ms: 500 },
    ] {
        let world = records().await;
        for (method, path) in [("POST", "/v1/apps"), ("POST", "/v1/apps/*/volumes"), ("POST", MACHINES)] {
            world.order(Some(method), path, Some(1), kind.clone());
        }
        let mut stack = stack(&world);
        // A volume is made once; when nobody knows whether it was, the next attempt looks.
        let up = stack.try_up().await;
        if let Err(error) = up {
            assert_eq!(error.outcome, Outcome::Unknown, "{kind:?}: {error}");
        }
        heals(&world, &mut stack).await;
        assert_eq!(world.sim.apps().len(), 0, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_get_better_ends_with_its_code_and_is_not_known() {
    for (kind, codes) in [
        (status(500, r#"{"error": "internal"}"#, None), &[ErrorCode::ProviderFailed][..]),
        (status(503, "", None), &[ErrorCode::ProviderUnreachable]),
        (Kind::Html { code: 502 }, &[ErrorCode::ProviderUnreadable]),
        (Kind::Truncate, &[ErrorCode::ProviderUnreadable]),
        (Kind::Hang, &[ErrorCode::ProviderTimeout]),
        (Kind::CutAfter, &[ErrorCode::ProviderTimeout]),
    ] {
        let world = records().await;
        world.order(None, "/v1/apps", None, kind.clone());
        let mut stack = stack(&world);
        let error = fails(&mut stack).await;
        assert!(codes.contains(&error.code), "{kind:?}: {}: {error}", error.code);
        assert_eq!(error.outcome, Outcome::Unknown, "{kind:?}: {error}");
        heals(&world, &mut stack).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_something_before_fly_never_means_that_an_object_is_gone() {
    let world = records().await;
    let mut stack = stack(&world);
    stack.up().await;
    let lifecycle = stack.provider.lifecycle();
    world.order(None, "/v1/**", None, Kind::Html { code: 404 });
    assert_eq!(lifecycle.status(&stack.runtime()).await.unwrap_err().code, ErrorCode::ProviderUnreadable);
    for name in stack.names() {
        assert!(stack.read(&name).await.is_err(), "{name}");
    }
    world.heal().await;
    world.sim.set_host_status(&world.machine(&stack.runtime()).unwrap().id, "unreachable").await;
    let error = lifecycle.status(&stack.runtime()).await.unwrap_err();
    assert_eq!((error.code, error.code.retryable()), (ErrorCode::ProviderUnreachable, true));
    stack.down().await;
    assert_eq!(lifecycle.status(&stack.runtime()).await.unwrap(), RunStatus::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_lags_behind_makes_no_second_volume() {
    let world = records().await;
    world.order(None, "/v1/**", None, Kind::Lag { ms: 1500 });
    let mut stack = stack(&world);
    stack.up().await;
    assert_eq!(world.sim.volumes().len(), 1);
    assert_eq!(world.sim.machines().len(), 1);
    heals(&world, &mut stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_ends_at_once_stays_owned_and_says_how_it_ended() {
    let world = world::new().await;
    let mut stack = stack(&world);
    stack.create("app").await.unwrap();
    stack.create("home").await.unwrap();
    world.write_home(&stack.runtime(), "behave-die", "").await;
    // Fly calls it started for a moment, so its create may be seen to work.
    if let Err(error) = stack.create("instance").await {
        assert_eq!(error.code, ErrorCode::InstanceFailed);
        let Outcome::Partial { id, .. } = error.outcome else { panic!("it exists: {error:?}") };
        assert!(id.starts_with(&app(&stack.runtime())));
    }
    let lifecycle = stack.provider.lifecycle();
    let ended = RunStatus::Stopped { exit_code: Some(7) };
    eventually("its end is told", async || lifecycle.status(&stack.runtime()).await.unwrap() == ended).await;
    std::fs::remove_file(world.sim.volume_folder(&world.sim.volumes()[0].id).join("behave-die")).unwrap();
    heals(&world, &mut stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_fly_has_taken_is_what_the_machine_is_also_when_it_does_not_start() {
    let world = records().await;
    let mut stack = stack(&world);
    stack.up().await;
    let spec = RuntimeSpec { size: "large".to_owned(), generation: 2, ..stack.spec.clone() };
    let mut larger = Stack { declared: stack.provider.declare(&spec).unwrap(), spec, ..stack.clone() };
    world.order(None, "/v1/apps/*/machines/*/wait", None, status(400, r#"{"error": "no"}"#, None));
    let error = larger.update("instance").await.unwrap_err();
    let Outcome::Partial { id, outputs } = &error.outcome else { panic!("it is the new one: {error:?}") };
    assert_eq!((id, &outputs["generation"]), (&stack.state["instance"].1.id, &serde_json::json!(2)));
    world.heal().await;
    larger.update("instance").await.unwrap();
    larger.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_lease_is_waited_for_by_nobody_and_named() {
    let world = records().await;
    let mut stack = stack(&world);
    stack.up().await;
    let machine = world.machine(&stack.runtime()).unwrap();
    let lease = format!("{}/v1/apps/{}/machines/{}/lease", world.sim.api_url(), machine.app, machine.id);
    let client = reqwest::Client::new();
    let taken = client.post(&lease).bearer_auth(&world.token).send().await.unwrap();
    assert_eq!(taken.status(), 201);
    let spec = RuntimeSpec { size: "large".to_owned(), generation: 2, ..stack.spec.clone() };
    let mut larger = Stack { declared: stack.provider.declare(&spec).unwrap(), spec, ..stack.clone() };
    let error = larger.update("instance").await.unwrap_err();
    assert_eq!((error.code, error.code.retryable()), (ErrorCode::OperationInProgress, true));
    assert_eq!(world.machine(&stack.runtime()).unwrap().version, machine.version);
}
