//! The API without Workers and containers: envelope, tokens, limits, DNS, faults, journal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sim_cloudflare::{Fault, Kind, Surface};
use world::World;

fn record(name: &str, content: &str) -> Option<Value> {
    Some(json!({"type": "TXT", "name": name, "content": content, "ttl": 120}))
}

async fn zone(world: &World) -> String {
    let zones = world.result(Method::GET, "/zones?name=example.com&per_page=1", None).await;
    format!("/zones/{}/dns_records", zones[0]["id"].as_str().unwrap())
}

#[tokio::test]
async fn who_has_no_good_token_is_refused_with_cloudflares_codes() {
    let world = World::start().await;
    let url = format!("{}{}", world.sim.urls.api, world.account("/workers/scripts"));
    let ask = async |token: Option<&str>, url: &str, method: Method| {
        let mut request = world.client.request(method, url);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("cf-ray"));
        let status = response.status().as_u16();
        let envelope: Value = response.json().await.unwrap();
        (status, envelope["errors"][0]["code"].as_u64().unwrap_or_default())
    };
    assert_eq!(ask(None, &url, Method::GET).await, (401, 10001));
    assert_eq!(ask(Some("sim-token"), &url, Method::GET).await, (400, 6003));
    assert_eq!(ask(Some("Bearer other"), &url, Method::GET).await, (403, 9109));
    assert_eq!(ask(Some("Bearer sim-reader"), &url, Method::GET).await, (200, 0));
    let script = format!("{url}/x");
    assert_eq!(ask(Some("Bearer sim-reader"), &script, Method::DELETE).await, (403, 10000));
    let other = url.replace(&world.sim.urls.account, "another-account");
    assert_eq!(ask(Some("Bearer sim-token"), &other, Method::GET).await, (403, 10000));
    assert_eq!(ask(Some("Bearer sim-token"), &format!("{url}/x/nothing"), Method::GET).await, (404, 7003));
    world.sim.stop().await;
}

#[tokio::test]
async fn more_calls_than_allowed_are_answered_with_429_for_five_minutes() {
    let world = World::with(|options| options.rate_limit = 2).await;
    let first = world.send(Method::GET, "/zones", None).await.unwrap();
    assert_eq!(first.headers()["x-ratelimit-remaining"], "1");
    world.send(Method::GET, "/zones", None).await.unwrap();
    let blocked = world.send(Method::GET, "/zones", None).await.unwrap();
    assert_eq!(blocked.status(), 429);
    let wait: u64 = blocked.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((299..=301).contains(&wait), "{wait}");
    world.sim.stop().await;
}

#[tokio::test]
async fn records_are_paged_and_an_identical_one_is_refused() {
    let world = World::start().await;
    let records = zone(&world).await;
    let made = world.result(Method::POST, &records, record("a", "one")).await;
    assert_eq!(made["name"], "a.example.com");
    assert_eq!(world.refused(Method::POST, &records, record("a.example.com", "one")).await, (400, 81058));
    world.result(Method::POST, &records, record("a", "two")).await;
    let alias = |name: &str| Some(json!({"type": "CNAME", "name": name, "content": "x.example.net"}));
    world.result(Method::POST, &records, alias("*.ws")).await;
    assert_eq!(world.refused(Method::POST, &records, alias("*.ws")).await, (400, 81057));
    assert_eq!(world.refused(Method::POST, &records, alias("a")).await, (400, 81053));

    let (_, page) = world.call(Method::GET, &format!("{records}?per_page=2&page=2"), None).await;
    let expected = json!({"page": 2, "per_page": 2, "count": 1, "total_count": 3, "total_pages": 2});
    assert_eq!(page["result_info"], expected);
    let found =
        world.result(Method::GET, &format!("{records}?type=TXT&name=a.example.com&content=two"), None).await;
    assert_eq!(found.as_array().unwrap().len(), 1);

    let one = format!("{records}/{}", made["id"].as_str().unwrap());
    world.result(Method::DELETE, &one, None).await;
    assert_eq!(world.refused(Method::DELETE, &one, None).await, (404, 81044));
    world.sim.stop().await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let world = World::start().await;
    let records = zone(&world).await;
    world.result(Method::POST, &records, record("kept", "yes")).await;
    let world = world.restart().await;
    assert_eq!(zone(&world).await, records);
    let found = world.result(Method::GET, &records, None).await;
    assert_eq!(found[0]["content"], "yes");
    world.sim.stop().await;
}

#[tokio::test]
async fn a_cut_before_applies_nothing_and_a_cut_after_applies_all() {
    let world = World::start().await;
    let records = zone(&world).await;
    let count = async || world.result(Method::GET, &records, None).await.as_array().unwrap().len();
    for (kind, expected) in
        [(Kind::CutBefore, 0), (Kind::Html, 0), (Kind::CutAfter, 1), (Kind::TruncatedJson, 2)]
    {
        world.sim.fault(Fault::once(Surface::Api, "POST", "*/dns_records", kind.clone()));
        let name = format!("n{expected}");
        let answer = world.send(Method::POST, &records, record(&name, "x")).await;
        let parsed = match answer {
            Ok(answer) => answer.json::<Value>().await.ok(),
            Err(_) => None,
        };
        assert_eq!(parsed, None, "{kind:?}");
        assert_eq!(count().await, expected, "{kind:?}");
    }
    world.sim.stop().await;
}

#[tokio::test]
async fn faults_hang_delay_and_refuse_as_ordered_over_the_admin_port() {
    let world = World::start().await;
    let order = async |fault: Value| {
        let sent = world.client.post(format!("{}/faults", world.sim.urls.admin)).json(&fault).send().await;
        assert_eq!(sent.unwrap().status(), 201);
    };
    order(json!({"path": "*/zones", "count": 1, "kind": {"too_many": {"retry_after": 3}}})).await;
    let answer = world.send(Method::GET, "/zones", None).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"3".parse().unwrap()));
    order(json!({"path": "*/zones", "count": 1, "kind": {"too_many": {}}})).await;
    let answer = world.send(Method::GET, "/zones", None).await.unwrap();
    assert!(answer.status() == 429 && !answer.headers().contains_key("retry-after"));
    order(json!({"path": "*/zones", "count": 1, "kind": {"status": {"status": 503}}})).await;
    assert_eq!(world.refused(Method::GET, "/zones", None).await, (503, 503));
    order(json!({"path": "*/zones", "count": 1, "kind": {"delay": {"ms": 100}}})).await;
    let began = std::time::Instant::now();
    world.result(Method::GET, "/zones", None).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    order(json!({"path": "*/zones", "count": 1, "kind": "hang"})).await;
    let hung =
        world.client.get(format!("{}/zones", world.sim.urls.api)).timeout(Duration::from_millis(200)).send();
    assert!(hung.await.unwrap_err().is_timeout());
    let seen = world.sim.calls();
    assert_eq!(
        seen.iter().map(|call| call.status).collect::<Vec<_>>(),
        [Some(429), Some(429), Some(503), Some(200), None]
    );
    world.sim.stop().await;
}

#[tokio::test]
async fn a_new_object_is_missing_in_lists_while_they_lag() {
    let world = World::start().await;
    let records = zone(&world).await;
    world.sim.set_list_lag(300);
    let made = world.result(Method::POST, &records, record("late", "x")).await;
    assert_eq!(world.result(Method::GET, &records, None).await, json!([]));
    world.result(Method::GET, &format!("{records}/{}", made["id"].as_str().unwrap()), None).await;
    world::eventually("the list has it", async || {
        world.result(Method::GET, &records, None).await != json!([])
    })
    .await;
    world.sim.stop().await;
}
