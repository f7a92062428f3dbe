//! What clients ask, and how long they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::server::Server;

/// Asks for so many workspaces, so many at once; each is answered 202.
pub async fn create(server: &Server, prefix: &str, count: usize, at_once: usize) {
    let creates = (0..count).map(|index| {
        let request = server.request(Method::POST, "/v1/workspaces");
        let request = request.json(&json!({"slug": format!("{prefix}{index}"), "provider": "fake"}));
        async move {
            let answer = request.send().await.unwrap();
            let (status, body) = (answer.status(), answer.text().await.unwrap());
            assert_eq!(status, 202, "{body}");
        }
    });
    futures_util::stream::iter(creates).buffer_unordered(at_once).for_each(|()| async {}).await;
}

/// Until nothing is queued or running, and then none of them may have failed.
pub async fn all_ended(server: &Server, count: usize) {
    let listed = async |state: &str| -> Vec<Value> {
        let path = format!("/v1/operations?state={state}&limit=500");
        let list: Value = server.request(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        list["operations"].as_array().cloned().unwrap_or_default()
    };
    let deadline = Instant::now() + Duration::from_secs(600);
    while !listed("queued").await.is_empty() || !listed("running").await.is_empty() {
        assert!(Instant::now() < deadline, "not all of {count} ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let failed = listed("failed").await;
    assert!(failed.is_empty(), "{:#}", failed[0]);
}

pub struct Waited {
    millis: Vec<f64>,
    pub errors: usize,
    pub rate: f64,
}

impl Waited {
    pub fn percentile(&self, percent: usize) -> f64 {
        self.millis
            .get((self.millis.len() * percent / 100).min(self.millis.len() - 1))
            .copied()
            .unwrap_or(0.0)
    }
}

/// So many requests each second, whatever the answers take: of ten, six ask for a workspace, two for a page, one for an
/// operation, and one stops or starts a workspace.
pub async fn mixed(server: &Server, workspaces: usize, per_second: u32, time: Duration) -> Waited {
    let (millis, errors) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let list: Value =
        server.request(Method::GET, "/v1/operations?limit=1").send().await.unwrap().json().await.unwrap();
    let operation = list["operations"][0]["id"].as_str().unwrap().to_owned();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (began, mut number, mut tasks) = (Instant::now(), 0usize, tokio::task::JoinSet::new());
    while began.elapsed() < time {
        ticks.tick().await;
        number += 1;
        let slug = format!("w{}", (number * 7919) % workspaces);
        let request = match number % 10 {
            0 => {
                let change = if (number / 10) % 2 == 0 { "stop" } else { "start" };
                server.request(Method::POST, &format!("/v1/workspaces/{slug}/{change}"))
            }
            1 => server.request(Method::GET, &format!("/v1/operations/{operation}")),
            2 | 3 => server.request(Method::GET, "/v1/workspaces?limit=50"),
            _ => server.request(Method::GET, &format!("/v1/workspaces/{slug}")),
        };
        let (millis, errors) = (Arc::clone(&millis), Arc::clone(&errors));
        tasks.spawn(async move {
            let sent = Instant::now();
            let status = match request.send().await {
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    answer.bytes().await.map_or(599, |_| status)
                }
                Err(_) => 599,
            };
            millis.lock().await.push(sent.elapsed().as_secs_f64() * 1000.0);
            if status >= 500 {
                errors.fetch_add(1, Ordering::Relaxed);
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    let rate = number as f64 / began.elapsed().as_secs_f64();
    let mut millis = std::mem::take(&mut *millis.lock().await);
    millis.sort_by(f64::total_cmp);
    Waited { millis, errors: errors.load(Ordering::Relaxed), rate }
}

/// How long so many pages take, one after the other, in milliseconds.
pub async fn pages(server: &Server, count: usize) -> Waited {
    let mut millis = Vec::new();
    let (began, mut path) = (Instant::now(), "/v1/workspaces?limit=100".to_owned());
    for _ in 0..count {
        let sent = Instant::now();
        let page: Value = server.request(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        millis.push(sent.elapsed().as_secs_f64() * 1000.0);
        path = match page["next"].as_str() {
            Some(next) => format!("/v1/workspaces?limit=100&cursor={next}"),
            None => "/v1/workspaces?limit=100".to_owned(),
        };
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    millis.sort_by(f64::total_cmp);
    Waited { millis, errors: 0, rate }
}
