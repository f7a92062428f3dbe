//! A real browser at the printed link: what a person sees.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::World;

#[tokio::test]
async fn the_printed_link_opens_the_agent_and_its_answers_in_a_browser() {
    let world = World::start().await;
    let api = &world.api;
    let workspace = api.create_ready("demo", "local").await;
    let session = api.chamber(Method::POST, "demo", "/session").json(&json!({"title": "hello"}));
    let session: Value = session.send().await.unwrap().json().await.unwrap();
    let id = session["id"].as_str().unwrap();
    let prompt = json!({"parts": [{"type": "text", "text": "Say hello"}]});
    let message = api.chamber(Method::POST, "demo", &format!("/session/{id}/message")).json(&prompt);
    assert_eq!(message.send().await.unwrap().status(), 200);

    let link: Value = serde_json::from_str(&world.pilot(&["ws", "open", "demo", "--json"])).unwrap();
    let profile = tempfile::tempdir().unwrap();
    let page = page_after_loading(profile.path(), link["url"].as_str().unwrap());
    assert!(page.contains("Ask anything"), "the link does not lead to a prompt:\n{page}");

    let runtime = workspace["runtimeId"].as_str().unwrap();
    let folder = world.data.join("local").join(runtime).join("home/workspace");
    let folder = URL_SAFE_NO_PAD.encode(folder.as_os_str().as_encoded_bytes());
    let at = workspace["url"].as_str().unwrap();
    let page = page_after_loading(profile.path(), &format!("{at}{folder}/session/{id}"));
    assert!(page.contains(tests::fake_model::ANSWER), "the answer is not on the page:\n{page}");
}

/// The document once its scripts have settled. The profile keeps the login between two pages.
fn page_after_loading(profile: &Path, url: &str) -> String {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--virtual-time-budget=30000", "--dump-dom", url])
        .output()
        .unwrap_or_else(|error| panic!("chromium: {error}; this test needs a browser"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
