//! Commands in instances, through the lifecycle API and the command line.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::world::World;

const SOON: Duration = Duration::from_secs(30);

async fn exec(world: &World, body: Value) -> (StatusCode, Value) {
    let response = world.api.post("/v1/workspaces/demo/exec", &body).await;
    (response.status(), response.json().await.unwrap())
}

async fn sh(world: &World, script: &str) -> Value {
    let (status, done) = exec(world, json!({ "command": ["sh", "-c", script] })).await;
    assert_eq!(status, 200, "{done:#}");
    done
}

/// What is true wherever there is a shell.
async fn commands_run(world: &World, home: &str) {
    let done = sh(world, "pwd; echo oops >&2; exit 7").await;
    let expected = json!({ "exitCode": 7, "timedOut": false, "stdout": format!("{home}\n"), "stdoutDropped": 0,
                           "stderr": "oops\n", "stderrDropped": 0 });
    assert_eq!(done, expected);
    // Of its streams the beginning is kept, and bytes are bytes.
    let much = sh(world, "printf 'a\\377'; head -c 1048576 /dev/zero").await;
    assert_eq!(much["stdoutDropped"], 2);
    use base64::Engine as _;
    let exact = base64::engine::general_purpose::STANDARD.decode(much["stdoutBase64"].as_str().unwrap());
    let exact = exact.unwrap();
    assert!(exact.len() == 1 << 20 && exact.starts_with(b"a\xff\0"), "{} bytes", exact.len());

    let slow = ["sh", "-c", "echo so far; sleep 60"];
    let (status, late) = exec(world, json!({ "command": slow, "timeoutSeconds": 1 })).await;
    let told = (&late["exitCode"], &late["timedOut"], &late["stdout"]);
    assert_eq!((status.as_u16(), told), (200, (&json!(124), &json!(true), &json!("so far\n"))));

    let output =
        world.pilot_output(&["ws", "exec", "demo", "--", "sh", "-c", "printf '\\377x'; echo so >&2; exit 9"]);
    assert_eq!(
        (output.status.code(), &*output.stdout, &*output.stderr),
        (Some(9), &b"\xffx"[..], &b"so\n"[..])
    );
    let absent = world.pilot_output(&["ws", "exec", "demo", "--", "no-such-program"]);
    assert_eq!((absent.status.code(), &*absent.stderr), (Some(127), &b"no-such-program: not found\n"[..]));
    nobody_waits(world).await;

    // It is no operation and changes nothing that is known.
    let operations = world.api.get("/v1/operations?workspace=demo").await;
    let kinds: Vec<_> =
        operations["operations"].as_array().unwrap().iter().map(|each| &each["kind"]).collect();
    assert_eq!(kinds, ["create"]);
}

/// Processes of this machine and of its containers that are exactly this.
fn running(words: &[&str]) -> usize {
    let line: String = words.iter().map(|word| format!("{word}\0")).collect();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|one| std::fs::read(one.path().join("cmdline")).is_ok_and(|read| read == line.as_bytes()))
        .count()
}

/// Whoever goes away takes the command along: a signal at the command line, or a client that closes its connection.
async fn nobody_waits(world: &World) {
    let seconds = format!("47{}", std::process::id());
    let sleeps = ["sleep", seconds.as_str()];
    let script = format!("sleep {seconds} & sleep {seconds}; true");
    let until = async |what: &str, count: usize| {
        eventually(what, SOON, || async { (running(&sleeps) == count).then_some(()) }).await;
    };
    for (signal, expected) in [("-INT", 130), ("-TERM", 143)] {
        let mut pilot = world.command(&["ws", "exec", "demo", "--timeout", "5m", "--", "sh", "-c", &script]);
        let mut pilot = pilot.spawn().unwrap();
        until("it sleeps", 2).await;
        std::process::Command::new("kill").args([signal, &pilot.id().to_string()]).status().unwrap();
        assert_eq!(pilot.wait().unwrap().code(), Some(expected), "{signal}");
        until("the command and its group are gone", 0).await;
    }
    let asked = exec(world, json!({ "command": ["sh", "-c", script], "timeoutSeconds": 300 }));
    tokio::select! {
        answer = asked => panic!("nobody should answer: {answer:?}"),
        () = until("it sleeps", 2) => {}
    }
    until("the command and its group are gone", 0).await;
}

async fn stopped_meanwhile(world: &World) {
    let sleeps = ["sleep", "4721"];
    let long = exec(world, json!({ "command": sleeps, "timeoutSeconds": 60 }));
    let stop = async {
        eventually("it sleeps", SOON, || async { (running(&sleeps) == 1).then_some(()) }).await;
        world.api.succeeded(&world.api.change("demo", "stop").await).await;
    };
    let (status, problem) = tokio::join!(long, stop).0;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("workspace_stopped")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("ended while the command ran") && detail.contains("may have run"), "{problem}");
}

async fn refused_while_stopped(world: &World) {
    stopped_meanwhile(world).await;
    let (status, problem) = exec(world, json!({ "command": ["true"] })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("workspace_stopped")), "{problem}");
    assert!(problem["action"].as_str().unwrap().contains("`pilot ws start demo`"), "{problem}");
}

#[tokio::test]
async fn commands_run_in_a_local_instance_also_when_opencode_is_broken() {
    let world = World::start().await;
    let workspace = world.api.create_ready("demo", "local").await;
    let runtime = workspace["runtimeId"].as_str().unwrap();
    let home = world.data.join("local").join(runtime).join("home");
    commands_run(&world, home.to_str().unwrap()).await;

    for (body, code) in [
        (json!({ "command": [] }), "bad_request"),
        (json!({ "command": ["a\u{0}b"] }), "bad_request"),
        (json!({ "command": ["true"], "timeoutSeconds": 0 }), "bad_request"),
        (json!({ "command": ["true"], "shell": true }), "unknown_field"),
        (json!({ "command": ["x".repeat(200_000)] }), "too_large"),
    ] {
        let (status, problem) = exec(&world, body).await;
        assert!(status.is_client_error() && problem["code"] == code, "{problem}");
    }
    let keyed = world.api.request(Method::POST, "/v1/workspaces/demo/exec").header("idempotency-key", "k");
    let keyed = keyed.json(&json!({ "command": ["true"] })).send().await.unwrap();
    assert_eq!(keyed.status(), 400, "who sends a key believes that it is run once");
    let stranger = world.api.client.post(format!("{}/v1/workspaces/demo/exec", world.api.orchestrator));
    let stranger = stranger.json(&json!({ "command": ["true"] })).send().await.unwrap();
    assert_eq!(stranger.status(), 401);

    for pid in world.witness.opencode() {
        std::process::Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap();
    }
    assert_eq!(sh(&world, "echo still").await["stdout"], "still\n");
    refused_while_stopped(&world).await;
}

#[tokio::test]
async fn commands_run_in_a_docker_instance() {
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    commands_run(&world, "/home/pilot").await;
    refused_while_stopped(&world).await;
}

/// It stands still meanwhile, which nobody who runs a command has asked for.
#[tokio::test]
async fn a_command_waits_while_a_snapshot_is_taken() {
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    sh(&world, "head -c 300M /dev/urandom > large").await;
    let taken = world.api.post("/v1/workspaces/demo/snapshots", &json!({})).await;
    let taken: Value = taken.json().await.unwrap();
    let frozen = || async { is_paused(&world.api.workspace("demo").await).then_some(()) };
    eventually("a frozen container", Duration::from_secs(30), frozen).await;
    assert_eq!(sh(&world, "echo hi").await["stdout"], "hi\n");
    world.api.succeeded(&taken["operation"]).await;
}

fn is_paused(workspace: &Value) -> bool {
    let name = format!("pilot-{}", workspace["runtimeId"].as_str().unwrap());
    let output =
        std::process::Command::new("docker").args(["inspect", "-f", "{{.State.Paused}}", &name]).output();
    String::from_utf8_lossy(&output.unwrap().stdout).trim() == "true"
}

#[tokio::test]
async fn what_is_suspended_runs_no_command_and_is_not_woken_by_one() {
    let world = World::start_with(&["--provider", "fake"]).await;
    world.api.create_ready("demo", "fake").await;
    let (_, done) = exec(&world, json!({ "command": ["echo", "hi"] })).await;
    assert_eq!((&done["exitCode"], &done["stdout"]), (&json!(0), &json!("hi\n")));
    world.api.succeeded(&world.api.change("demo", "suspend").await).await;
    let (status, problem) = exec(&world, json!({ "command": ["true"] })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("workspace_not_ready")));
    assert!(problem["action"].as_str().unwrap().contains("`pilot ws resume demo`"), "{problem}");
    assert_eq!(world.api.workspace("demo").await["state"], "suspended");
}
