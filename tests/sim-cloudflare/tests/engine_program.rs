//! The simulator as a program: its first line, a Worker that runs, and an end that leaves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn upload(text: &str, metadata: &Value) -> Form {
    let module = Part::text(text.to_owned()).file_name("index.js").mime_str("application/javascript+module");
    let metadata = Part::text(metadata.to_string()).mime_str("application/json").unwrap();
    Form::new().part("metadata", metadata).part("index.js", module.unwrap())
}

/// How many workerd processes have this text in their command line.
fn processes(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains("workerd serve") && line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_until_the_program_is_told_to_end_and_then_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_sim-cloudflare"))
        .args(["--folder", &path])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let urls: Value = serde_json::from_str(&line).unwrap();
    let text = |name: &str| urls[name].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let script = format!("{}/accounts/{}/workers/scripts/hello", text("api"), text("account"));
    let put = async |source: &str, metadata: Value| {
        let request = client.put(&script).bearer_auth("sim-token").multipart(upload(source, &metadata));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["errors"][0]["code"].as_u64()
    };
    let metadata = json!({
        "main_module": "index.js",
        "compatibility_date": "2025-10-01",
        "bindings": [{"name": "WORD", "type": "secret_text", "text": "canary-of-a-secret"}],
    });
    let source = "export default { fetch: (request, env) => new Response(env.WORD) };";
    assert_eq!(put(source, metadata.clone()).await, None);
    let open =
        client.post(format!("{script}/subdomain")).bearer_auth("sim-token").json(&json!({"enabled": true}));
    assert_eq!(open.send().await.unwrap().status(), 200);
    let ask = async || {
        let request =
            client.get(text("edge")).header("host", format!("hello.{}.workers.dev", text("subdomain")));
        request.send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(ask().await, "canary-of-a-secret");
    // What does not start is refused, and what ran before goes on.
    assert_eq!(put("this is no JavaScript", metadata.clone()).await, Some(10021));
    let bound = json!([{"name": "X", "type": "durable_object_namespace", "class_name": "X"}]);
    let mut unknown_class = metadata;
    unknown_class["bindings"] = bound;
    assert_eq!(put(source, unknown_class).await, Some(10061));
    assert_eq!(ask().await, "canary-of-a-secret");
    let journal = std::fs::read_to_string(text("journal")).unwrap();
    assert!(journal.contains("hello") && !journal.contains("canary-of-a-secret"));
    assert_eq!(processes(&path), 1);

    let pid = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = program.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
    assert_eq!(processes(&path), 0);
}
