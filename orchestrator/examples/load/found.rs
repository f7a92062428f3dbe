//! Many workspaces that run: how long it takes until those are found whose machines somebody has removed.

use std::path::Path;
use std::time::{Duration, Instant};

use provider_fake::Cloud;
use reqwest::Method;
use serde_json::Value;

use super::clients;
use super::server::Server;

/// One in so many.
const EACH: usize = 50;

/// Longer than it may take, so that what it took is told.
const DEADLINE: Duration = Duration::from_secs(300);

pub async fn measure(pilot: &Path, count: usize, clients: usize, metrics: &mut super::Metrics) {
    let (folder, cloud) = (tempfile::tempdir().unwrap(), Cloud::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(cloud.clone().serve(listener));
    let mut server = Server::start_with(pilot, folder.path(), vec![("PILOT_FAKE_URL", url)]).await;
    clients::create(&server, "f", count, clients).await;
    clients::all_ended(&server, count).await;
    let mut lost = Vec::new();
    for machine in cloud.everything().into_iter().filter(|it| it.kind == "machine").step_by(EACH) {
        lost.push(machine.labels["pilot-runtime"].clone());
        assert!(cloud.remove_machine(&machine.name));
    }
    let began = Instant::now();
    while !lost.is_empty() {
        assert!(began.elapsed() < DEADLINE, "{} are never found", lost.len());
        let ready = ready(&server).await;
        lost.retain(|runtime| ready.contains(runtime));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    metrics.insert("found_s", began.elapsed().as_secs_f64());
    server.end();
}

/// The runtimes that are said to be ready.
async fn ready(server: &Server) -> Vec<String> {
    let (mut ready, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/workspaces?state=ready&limit=500{cursor}");
        let page: Value = server.request(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        let rows = page["workspaces"].as_array().unwrap().iter();
        ready.extend(rows.map(|row| row["runtimeId"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ready,
        }
    }
}
