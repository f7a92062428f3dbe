//! Faults: each kind reaches the caller as it would from a broken cloud, and the journal tells what was
//! done all the same.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sim_fly::journal;
use world::{World, text};

const CREATE: &str = "/apps/a/machines";

fn create() -> Value {
    json!({"config": {"image": "i"}})
}

fn fault(kind: Value) -> Value {
    json!({"method": "POST", "path": "/v1/apps/*/machines", "count": 1, "then": kind})
}

fn made(world: &World) -> usize {
    let entries = journal::read(&world.sim.journal()).unwrap();
    entries.iter().filter(|entry| entry.kind() == "machine" && entry.event == journal::Event::Created).count()
}

#[tokio::test]
async fn a_cut_ends_the_connection_before_or_after_the_work() {
    let world = World::new().await;
    world.app("a").await;
    for (kind, count) in [("cut_before", 0), ("cut_after", 1)] {
        world.order(fault(json!({"kind": kind}))).await;
        assert!(world.try_call(Method::POST, CREATE, create(), &[]).await.is_err());
        assert_eq!(made(&world), count, "{kind}");
    }
    assert_eq!(world.post(CREATE, create()).await.status, 200, "one request was to be hit");
}

#[tokio::test]
async fn a_status_comes_with_its_body_and_retry_after() {
    let world = World::new().await;
    world.app("a").await;
    world.order(fault(json!({"kind": "status", "code": 429, "retry_after": 7}))).await;
    let refused = world.post(CREATE, create()).await;
    assert_eq!((refused.status.as_u16(), &refused.headers["retry-after"]), (429, &"7".parse().unwrap()));
    world.order(fault(json!({"kind": "status", "code": 503, "body": "{\"error\": \"overloaded\"}"}))).await;
    assert_eq!(world.post(CREATE, create()).await.body, json!({"error": "overloaded"}));
    assert_eq!(made(&world), 0);
}

#[tokio::test]
async fn half_an_answer_and_a_web_page_are_no_json() {
    let world = World::new().await;
    world.app("a").await;
    world.order(fault(json!({"kind": "truncate"}))).await;
    let half = world.post(CREATE, create()).await;
    assert!(half.body.is_string(), "{}", half.body);
    world.order(fault(json!({"kind": "html", "code": 502}))).await;
    let page = world.post(CREATE, create()).await;
    assert!(page.body.as_str().unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(made(&world), 1);
}

#[tokio::test]
async fn a_delay_delays_and_a_hang_answers_nobody() {
    let world = World::new().await;
    world.app("a").await;
    world.order(fault(json!({"kind": "delay", "ms": 200}))).await;
    let begun = Instant::now();
    assert_eq!(world.post(CREATE, create()).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    for (kind, count) in [("hang", 1), ("hang_after", 2)] {
        world.order(fault(json!({"kind": kind}))).await;
        let call = world.try_call(Method::POST, CREATE, create(), &[]);
        assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
        assert_eq!(made(&world), count, "{kind}");
    }
}

#[tokio::test]
async fn a_lagging_list_does_not_show_what_is_new() {
    let world = World::new().await;
    world.app("a").await;
    let machine = world.machine("a", json!({"image": "i"})).await;
    world.order(json!({"path": "/v1/**", "then": {"kind": "lag", "ms": 60000}})).await;
    assert_eq!(world.get(CREATE).await.body, json!([]));
    assert_eq!(world.get("/apps/a").await.status, 404);
    assert_eq!(world.get(&format!("{CREATE}/{}", text(&machine, "id"))).await.status, 200);
    world.sim.clear_faults();
    assert_eq!(world.get(CREATE).await.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_skewed_clock_is_seen_in_dates() {
    let world = World::new().await;
    world.app("a").await;
    world.order(fault(json!({"kind": "clock_skew", "seconds": 315360000}))).await;
    let skewed = world.post(CREATE, create()).await;
    let right = world.get("/apps/a").await;
    let year = |date: &str| date.split(' ').nth(3).unwrap().parse::<i32>().unwrap();
    let (late, now) = (skewed.headers["date"].to_str().unwrap(), right.headers["date"].to_str().unwrap());
    assert!(year(late) >= year(now) + 9, "{late} {now}");
    assert!(
        text(&skewed.body, "created_at")
            > text(&world.machine("a", json!({"image": "i"})).await, "created_at")
    );
}

#[tokio::test]
async fn faults_are_ordered_and_taken_back_at_the_admin_port() {
    let world = World::new().await;
    let faults = format!("{}/faults", world.sim.admin_url());
    let order = json!({"path": "/v1/**", "then": {"kind": "status", "code": 500}});
    let made: Value = world.client.post(&faults).json(&order).send().await.unwrap().json().await.unwrap();
    assert_eq!(world.get("/tokens/current").await.status, 500);
    let id = &made["id"];
    assert!(world.client.delete(format!("{faults}/{id}")).send().await.unwrap().status().is_success());
    assert_eq!(world.get("/tokens/current").await.status, 200);
    let wrong = json!({"path": "/v1/**", "then": {"kind": "sulk"}});
    assert_eq!(world.client.post(&faults).json(&wrong).send().await.unwrap().status(), 400);
    let asked = world.client.get(format!("{}/requests", world.sim.admin_url())).send().await.unwrap();
    let asked: Value = asked.json().await.unwrap();
    assert_eq!(
        asked.as_array().unwrap().iter().map(|request| &request["status"]).collect::<Vec<_>>(),
        [500, 200]
    );
}
