//! Where requests go: states of a workspace, a moved instance, an orchestrator that is away.

use std::time::Duration;

use contracts::ErrorCode;
use contracts::workspace::Observed;

use crate::resolve::{Resolver, Timing};
use crate::tests::world::{ADMIN, World, nowhere, problem, serve};

#[tokio::test]
async fn a_workspace_without_an_address_says_its_state_and_what_helps() {
    let world = World::new().await;
    // A visit of what is suspended wakes it.
    for state in Observed::ALL.into_iter().filter(|state| *state != Observed::Suspended) {
        let slug = format!("{state:?}").to_lowercase();
        world.say(&slug, state, None);
        let problem = problem(world.get(&slug, "/").send().await.unwrap()).await;
        assert_eq!((problem.code, problem.retryable), (ErrorCode::WorkspaceNotReady.into(), true));
        assert!(problem.detail.starts_with(&format!("The workspace {slug} is ")), "{}", problem.detail);
    }
    let stopped = problem(world.get("stopped", "/").send().await.unwrap()).await;
    assert_eq!(stopped.detail, "The workspace stopped is stopped.");
    assert_eq!(stopped.action.unwrap(), "Start it with `pilot ws start stopped`.");
    // Waiting alone helps only where the server repairs.
    let degraded = problem(world.get("degraded", "/").send().await.unwrap()).await;
    assert!(degraded.action.unwrap().contains("`pilot ws start degraded`"));
}

#[tokio::test]
async fn a_workspace_that_has_just_become_ready_is_reached_by_the_next_request() {
    let world = World::new().await;
    world.say("demo", Observed::Booting, None);
    let waiting = problem(world.get("demo", "/").send().await.unwrap()).await;
    assert_eq!(waiting.code, ErrorCode::WorkspaceNotReady);
    world.say("demo", Observed::Ready, Some(world.instance));
    assert_eq!(world.get("demo", "/").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_visit_wakes_what_is_suspended_and_waits_for_it() {
    for as_a_person in [true, false] {
        let world = World::new().await;
        let ready = world.script.lock().unwrap().routes["demo"].clone();
        let session = world.session("demo").await;
        world.say("demo", Observed::Suspended, None);
        world.script.lock().unwrap().woken.insert("demo".to_owned(), ready.clone());
        let visit = match as_a_person {
            true => {
                world.request("GET", "demo", "/").header("cookie", &session).header("accept", "text/html,*/*")
            }
            false => world.get("demo", "/"),
        };
        assert_eq!(visit.send().await.unwrap().status(), 200, "{as_a_person}");
        assert_eq!(world.script.lock().unwrap().wakes, 1);
    }
}

#[tokio::test]
async fn what_an_open_page_asks_by_itself_wakes_nothing_and_what_cannot_be_woken_says_why() {
    let world = World::new().await;
    let session = world.session("demo").await;
    world.say("demo", Observed::Suspended, None);
    let of_page = world.request("GET", "demo", "/events").header("cookie", &session);
    let asleep = problem(of_page.header("accept", "text/event-stream").send().await.unwrap()).await;
    assert_eq!(asleep.code, ErrorCode::WorkspaceNotReady);
    let stream = world.get("demo", "/events").header("accept", "text/event-stream");
    assert_eq!(problem(stream.send().await.unwrap()).await.code, ErrorCode::WorkspaceNotReady);
    assert_eq!(world.script.lock().unwrap().wakes, 0);
    let full = problem(world.get("demo", "/").send().await.unwrap()).await;
    assert_eq!(full.code, ErrorCode::ProviderCapacity);
}

#[tokio::test]
async fn a_workspace_that_does_not_exist_is_not_found() {
    let world = World::new().await;
    for (slug, path) in [("nothing", "/"), ("", "/api/chamber/workspaces/nothing/x")] {
        let problem = problem(world.get(slug, path).send().await.unwrap()).await;
        assert_eq!(problem.code, ErrorCode::WorkspaceNotFound);
    }
}

#[tokio::test]
async fn many_requests_at_once_ask_the_orchestrator_once() {
    let world = World::new().await;
    world.script.lock().unwrap().delay = Duration::from_millis(100);
    let requests = (0..20).map(|_| world.get("demo", "/").send());
    for response in futures_util::future::join_all(requests).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    // One for all; a slow machine may need a second one before the last request is through.
    assert!(world.asked() <= 2, "{}", world.asked());
}

#[tokio::test]
async fn an_instance_that_moved_is_found_at_its_new_address_at_once() {
    let world = World::new().await;
    world.say("demo", Observed::Ready, Some(nowhere().await));
    assert_eq!(
        problem(world.get("demo", "/").send().await.unwrap()).await.code,
        ErrorCode::UpstreamUnreachable
    );
    world.say("demo", Observed::Ready, Some(world.instance));
    assert_eq!(world.get("demo", "/").send().await.unwrap().status(), 200);

    // A request with a body is not sent twice, but the next one goes to the new address.
    world.say("demo", Observed::Ready, Some(nowhere().await));
    forget(&world).await;
    let post = || world.request("POST", "demo", "/").bearer_auth(ADMIN).body("x");
    assert_eq!(problem(post().send().await.unwrap()).await.code, ErrorCode::UpstreamUnreachable);
    world.say("demo", Observed::Ready, Some(world.instance));
    assert_eq!(post().send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_instance_that_is_gone_because_it_was_stopped_says_so() {
    let world = World::new().await;
    let gone = nowhere().await;
    world.say("demo", Observed::Ready, Some(gone));
    let resolved_before = world.get("demo", "/").send().await.unwrap();
    assert_eq!(problem(resolved_before).await.code, ErrorCode::UpstreamUnreachable);
    world.say("demo", Observed::Stopped, None);
    assert_eq!(
        problem(world.get("demo", "/").send().await.unwrap()).await.code,
        ErrorCode::WorkspaceNotReady
    );
}

#[tokio::test]
async fn what_a_vendors_proxy_says_of_a_stopped_instance_is_not_handed_on() {
    let world = World::new().await;
    let refuse = || async { (http::StatusCode::BAD_GATEWAY, "no machine runs") };
    let proxy = serve(axum::Router::new().fallback(refuse)).await;
    world.say("demo", Observed::Ready, Some(proxy));
    let answer = world.get("demo", "/").send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.text().await.unwrap(), "no machine runs", "an instance may say so itself");
    // The gateway still believes that it is up.
    world.say("demo", Observed::Stopped, None);
    let post = world.request("POST", "demo", "/").bearer_auth(ADMIN).body("x");
    assert_eq!(problem(post.send().await.unwrap()).await.code, ErrorCode::WorkspaceNotReady);
}

#[tokio::test]
async fn an_address_outside_the_private_networks_is_not_used() {
    let world = World::new().await;
    world.say("demo", Observed::Ready, Some("169.254.169.254:80".parse().unwrap()));
    let problem = problem(world.get("demo", "/latest/meta-data").send().await.unwrap()).await;
    assert_eq!(problem.code, ErrorCode::UpstreamUnreachable);
}

#[tokio::test]
async fn running_workspaces_stay_reachable_while_the_orchestrator_is_away() {
    let world = World::new().await;
    assert_eq!(world.get("demo", "/").send().await.unwrap().status(), 200);
    world.script.lock().unwrap().away = true;
    forget(&world).await;
    assert_eq!(world.get("demo", "/").send().await.unwrap().status(), 200);
    let unknown = problem(world.get("other", "/").send().await.unwrap()).await;
    assert_eq!(unknown.code, ErrorCode::OrchestratorUnreachable);
}

#[tokio::test]
async fn the_last_known_route_is_used_for_a_limited_time() {
    let world = World::new().await;
    let base = format!("http://{}", world.orchestrator).parse().unwrap();
    let timing = Timing { fresh: Duration::ZERO, stale: Duration::from_secs(1) };
    let resolver = Resolver::new(&base, "t", timing).unwrap();
    let slug = "demo".parse().unwrap();
    let known = resolver.resolve(&slug, "req-1").await.unwrap();
    world.script.lock().unwrap().away = true;
    assert_eq!(resolver.resolve(&slug, "req-1").await.unwrap(), known);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match resolver.resolve(&slug, "req-1").await {
            Err(problem) => break assert_eq!(problem.code, ErrorCode::OrchestratorUnreachable),
            Ok(_) => assert!(tokio::time::Instant::now() < deadline, "a stale route is used for ever"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_orchestrator_that_hangs_holds_up_only_the_first_request() {
    let world = World::new().await;
    let base = format!("http://{}", world.orchestrator).parse().unwrap();
    let timing = Timing { fresh: Duration::ZERO, stale: Duration::from_secs(60) };
    let resolver = Resolver::new(&base, "t", timing).unwrap();
    let slug = "demo".parse().unwrap();
    resolver.resolve(&slug, "req-1").await.unwrap();
    world.script.lock().unwrap().delay = Duration::from_secs(60);
    resolver.resolve(&slug, "req-1").await.unwrap();
    let began = tokio::time::Instant::now();
    resolver.resolve(&slug, "req-1").await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

/// Waits until the gateway asks again.
async fn forget(world: &World) {
    let asked = world.asked();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while world.asked() == asked {
        assert!(tokio::time::Instant::now() < deadline, "the route is remembered for ever");
        let _ = world.get("demo", "/").send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
