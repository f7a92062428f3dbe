//! One request from its line in the log to the last of its operation, and as one trace from the API to the provider. Collectors
//! answer while a test waits for the end of a server, so those tests have more than one thread.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::collector::{Collector, Sent};
use crate::support::eventually;
use crate::support::world::World;

const FAKE: [&str; 2] = ["--providers", "fake"];

async fn create(world: &World, headers: &[(&str, &str)]) -> Value {
    let mut request = world.api.request(Method::POST, "/v1/workspaces").json(&json!({"slug": "demo"}));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    world.api.succeeded(&answer["operation"]).await
}

#[tokio::test]
async fn a_create_is_found_in_the_log_by_its_request_from_the_first_line_to_the_last() {
    // Whatever is logged: the spans that say whose a line is are not left out.
    let mut world = World::start_with_env(
        &["--providers", "fake", "--log", "warn,orchestrator=info,provider_fake=debug"],
        &[("PILOT_LOG_FORMAT", "json")],
    )
    .await;
    let operation = create(&world, &[("x-pilot-request-id", "req-of-this-test")]).await;
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    assert_eq!(world.terminate(), Some(0));
    let log = world.log();
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let ours: Vec<&Value> = lines.iter().filter(|line| line["requestId"] == "req-of-this-test").collect();
    let request = ours.iter().find(|line| line["message"] == "request").expect("the line of the request");
    assert_eq!((&request["method"], &request["status"]), (&json!("POST"), &json!(202)), "{request}");
    let of_operation: Vec<&&Value> =
        ours.iter().filter(|line| line["operation"] == operation["id"]).collect();
    let messages: Vec<&str> = of_operation
        .iter()
        .filter_map(|line| line["message"].as_str())
        .filter(|text| text.starts_with("operation "))
        .collect();
    assert_eq!(messages, ["operation begins", "operation ended"], "{ours:#?}");
    for line in &of_operation {
        assert_eq!((&line["runtime"], &line["kind"]), (&operation["runtimeId"], &json!("create")), "{line}");
        assert!(line["replica"].as_str().unwrap().starts_with("orchestrator-"), "{line}");
    }
    let last = of_operation.last().unwrap();
    assert_eq!((&last["state"], &last["code"]), (&json!("succeeded"), &json!("none")));
    // And no line of another operation has them.
    let others = lines.iter().filter(|line| line["kind"] == "stop").collect::<Vec<_>>();
    assert!(others.len() >= 2, "{log}");
    assert!(
        others
            .iter()
            .all(|line| line["requestId"] != "req-of-this-test" && line["operation"] != operation["id"])
    );
}

/// From the span upwards to one that has no parent here.
fn chain<'a>(spans: &'a [Sent], from: &'a Sent) -> Vec<&'a str> {
    let (mut names, mut at) = (vec![from.span.name.as_str()], from);
    while let Some(parent) = spans.iter().find(|span| span.span.span_id == at.span.parent_span_id) {
        names.push(&parent.span.name);
        at = parent;
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_one_trace_from_the_request_of_a_caller_to_every_call_of_the_provider() {
    let collector = Collector::start().await;
    let mut world = World::start_with_env(
        &FAKE,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url), ("OTEL_SERVICE_NAME", "pilot-of-this-test")],
    )
    .await;
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traceparent = format!("00-{trace}-{caller}-01");
    let operation = create(&world, &[("traceparent", &traceparent)]).await;
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    // What was not sent yet is sent at the end.
    assert_eq!(world.terminate(), Some(0));
    let sent = collector.sent();
    assert!(sent.iter().all(|span| span.service == "pilot-of-this-test"));
    let id = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let ours: Vec<Sent> = sent.iter().filter(|span| id(&span.span.trace_id) == trace).cloned().collect();
    let request =
        ours.iter().find(|span| span.span.name == "POST /v1/workspaces").expect("the request's span");
    assert_eq!(id(&request.span.parent_span_id), caller);
    assert_eq!(request.attribute("http.response.status_code").as_deref(), Some("202"));
    let begun = ours.iter().find(|span| span.span.name == "operation create").expect("the operation's span");
    assert_eq!(begun.attribute("operation").as_deref(), operation["id"].as_str());
    assert_eq!(begun.attribute("state").as_deref(), Some("succeeded"));
    let creates: Vec<&Sent> =
        ours.iter().filter(|span| span.attribute("method").as_deref() == Some("create")).collect();
    let made: Vec<&str> = creates.iter().map(|span| span.span.name.as_str()).collect();
    for resource in ["pilot:fake:Volume create", "pilot:fake:Machine create"] {
        assert!(made.contains(&resource), "{made:?}");
    }
    for span in creates {
        let names = chain(&ours, span);
        assert_eq!(names[1..], ["engine apply", "operation create", "POST /v1/workspaces"], "{names:?}");
        assert_eq!(span.attribute("outcome").as_deref(), Some("ok"));
    }
    // Another request is another trace.
    let stop = sent.iter().find(|span| span.span.name == "fake stop").expect("the span of the stop");
    assert_ne!(id(&stop.span.trace_id), trace);
    let other: Vec<Sent> =
        sent.iter().filter(|span| span.span.trace_id == stop.span.trace_id).cloned().collect();
    assert_eq!(chain(&other, stop), ["fake stop", "operation stop", "POST /v1/workspaces/{workspace}/stop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_another_process_takes_over_stays_in_its_trace() {
    let collector = Collector::start().await;
    let mut world = World::start_with_env(&FAKE, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = world.api.request(Method::POST, "/v1/workspaces").json(&json!({"slug": "demo"}));
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    // Accepted, and whatever has begun is gone with the process, its spans too.
    world.kill();
    world.serve().await;
    world.api.ended(&answer["operation"]).await;
    assert_eq!(world.terminate(), Some(0));
    let id = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sent = collector.sent();
    let taken = sent.iter().find(|span| span.span.name == "operation create").expect("the operation's span");
    assert_eq!(id(&taken.span.trace_id), trace);
    assert_eq!(taken.attribute("operation").as_deref(), answer["operation"]["id"].as_str());
}

#[tokio::test]
async fn a_collector_that_never_answers_keeps_no_operation_waiting_and_no_server_from_its_end() {
    let collector = Collector::that_hangs().await;
    let mut world = World::start_with_env(
        &FAKE,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url), ("OTEL_BSP_SCHEDULE_DELAY", "50")],
    )
    .await;
    create(&world, &[]).await;
    eventually("spans on their way", Duration::from_secs(10), || async {
        (collector.asked() > 0).then_some(())
    })
    .await;
    // With a sender that waits, too.
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    world.api.succeeded(&world.api.delete("demo").await).await;
    assert!(collector.sent().is_empty());
    let asked = Instant::now();
    assert_eq!(world.terminate(), Some(0));
    // The flush has 5 s, and nothing else is left to end.
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_collector_that_cannot_be_meant_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(crate::support::world::program("pilot"))
        .arg("--data")
        .arg(folder.path())
        .args(["serve", "--listen-gateway", "127.0.0.1:0", "--listen-orchestrator", "127.0.0.1:0"])
        .args(["--listen-admin", "127.0.0.1:0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{words}");
}
