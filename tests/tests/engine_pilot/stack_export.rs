//! The promise: what Pilot makes is a real Pulumi stack that an SRE can take into their own hands.

use std::path::Path;
use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::World;

#[tokio::test]
async fn an_exported_local_stack_and_pilot_agree_in_both_directions() {
    let world = World::start().await;
    agree(&world, "local").await;
}

#[tokio::test]
async fn an_exported_docker_stack_and_pilot_agree_in_both_directions() {
    let world = World::start_on_docker().await;
    agree(&world, "docker").await;
}

async fn agree(world: &World, provider: &str) {
    world.api.create_ready("demo", provider).await;
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    let before = normalized(&state(&out));

    let preview = pulumi(&out, "preview --expect-no-changes");
    assert!(preview.status.success(), "{}", text(&preview));
    let up = pulumi(&out, "up --yes --skip-preview");
    assert!(up.status.success(), "{}", text(&up));
    assert!(text(&up).contains("unchanged"), "{}", text(&up));

    let drift: Value = serde_json::from_str(&world.pilot(&["stack", "diff", "demo", "--json"])).unwrap();
    let steps = drift["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step["op"] == "same"), "{drift:#}");

    // The exit code is blind to dependencies, parents and secret outputs; the state is not.
    let after = normalized(&state(&out));
    assert_eq!(serde_json::to_string_pretty(&before).unwrap(), serde_json::to_string_pretty(&after).unwrap());
}

#[tokio::test]
async fn server_doctor_and_exported_stacks_use_the_engine_of_the_docker_context() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    let host = format!("host=unix://{}", socket.display());
    let config = folder.path().to_str().unwrap();
    for line in [&["create", "mine", "--docker", &host][..], &["use", "mine"]] {
        let mut docker = Command::new("docker");
        docker.arg("context").args(line).env("DOCKER_CONFIG", config).env_remove("DOCKER_HOST");
        assert!(docker.output().unwrap().status.success(), "{line:?}");
    }
    let env = [("DOCKER_CONFIG", config), ("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")];
    let world = World::start_on_docker_with_env(&env).await;
    agree(&world, "docker").await;
    world.api.succeeded(&world.api.delete("demo").await).await;

    std::fs::remove_file(&socket).unwrap();
    let response = world.api.post("/v1/workspaces", &json!({"slug": "late", "provider": "docker"})).await;
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "docker_unavailable", "{problem:#}");
    let doctor = String::from_utf8(world.pilot_output(&["doctor"]).stdout).unwrap();
    let file = format!("{config}/config.json");
    for said in [problem["detail"].as_str().unwrap(), &doctor] {
        for word in [socket.to_str().unwrap(), "the context `mine`", &file] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

#[tokio::test]
async fn a_stack_destroyed_with_the_plain_cli_leaves_its_home_alone_outside() {
    let world = World::start().await;
    world.api.create_ready("demo", "local").await;
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    let destroy = pulumi(&out, "destroy --yes --skip-preview --exclude-protected");
    assert!(destroy.status.success(), "{}", text(&destroy));
    assert_eq!(world.witness.processes(), Vec::<u32>::new());
    // And Pilot can still clean up after it.
    world.api.succeeded(&world.api.delete("demo").await).await;
}

#[tokio::test]
async fn a_container_removed_by_hand_is_drift_and_a_start_makes_it_again_with_its_files() {
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    let write = json!({"parts": [{"type": "text", "text": "run-tool: echo kept > kept.txt"}]});
    let session = world.api.chamber(Method::POST, "demo", "/session").json(&json!({}));
    let session: Value = session.send().await.unwrap().json().await.unwrap();
    let prompt = format!("/session/{}/message", session["id"].as_str().unwrap());
    let sent = world.api.chamber(Method::POST, "demo", &prompt).json(&write).send().await.unwrap();
    assert_eq!(sent.status(), 200);

    let container = world.witness.containers()[0].rsplit_once(' ').unwrap().1.to_owned();
    assert!(Command::new("docker").args(["rm", "--force", &container]).output().unwrap().status.success());
    let drift: Value = serde_json::from_str(&world.pilot(&["stack", "diff", "demo", "--json"])).unwrap();
    let changed: Vec<(&str, &str)> = drift["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["op"].as_str().unwrap(), step["name"].as_str().unwrap()))
        .filter(|(op, _)| *op != "same")
        .collect();
    assert_eq!(changed, [("create", "instance")], "{drift:#}");

    world.api.succeeded(&world.api.change("demo", "start").await).await;
    let file = world.api.chamber(Method::GET, "demo", "/file/content?path=kept.txt").send().await.unwrap();
    assert_eq!(file.json::<Value>().await.unwrap()["content"].as_str().unwrap().trim(), "kept");
    assert_eq!(world.witness.containers().len(), 1);
}

#[tokio::test]
async fn an_instance_that_ended_is_told_by_a_refresh_and_mended_by_the_next_up_and_one_that_was_stopped_is_left()
 {
    let mut world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    // It would start the instance by itself.
    world.terminate();
    let docker = |words: &[&str]| {
        // A start by another program may publish it elsewhere, and make it anew for that.
        let container = world.witness.containers()[0].rsplit_once(' ').unwrap().1.to_owned();
        let output = Command::new("docker").args(words).arg(&container).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let runs = || docker(&["inspect", "--format", "{{.State.Running}}"]) == "true";
    let succeeds = |args: &str| {
        let output = pulumi(&out, args);
        assert!(output.status.success(), "{args}: {}", text(&output));
        text(&output)
    };

    docker(&["kill"]);
    let refresh = succeeds("refresh --yes --skip-preview");
    assert!(refresh.contains("unhealthy") && refresh.contains("exit code 137"), "{refresh}");
    assert!(succeeds("preview").contains("1 to update"));
    assert!(!runs());
    assert!(succeeds("up --yes --skip-preview").contains("1 updated"));
    assert!(runs());
    succeeds("refresh --yes --skip-preview");
    succeeds("preview --expect-no-changes");

    docker(&["stop"]);
    let refresh = succeeds("refresh --yes --skip-preview");
    assert!(!refresh.contains("unhealthy"), "{refresh}");
    succeeds("preview --expect-no-changes");
    succeeds("up --yes --skip-preview");
    assert!(!runs(), "a stop is not undone");
}

#[tokio::test]
async fn a_preview_of_a_create_plans_every_resource_and_makes_none() {
    let world = World::start().await;
    let output = world.pilot(&["ws", "create", "demo", "--plan", "--json"]);
    let plan: Value = serde_json::from_str(&output).unwrap();
    let steps: Vec<(&str, &str)> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["op"].as_str().unwrap(), step["name"].as_str().unwrap()))
        .collect();
    assert_eq!(steps, [("create", "home"), ("create", "process")]);
    assert_eq!(world.witness.processes(), Vec::<u32>::new());
    assert_eq!(world.witness.traces(plan["stack"].as_str().unwrap()), Vec::<String>::new());
}

/// As a person would, in a shell that has a passphrase of another project and another Docker engine: source the environment, then use the CLI.
pub fn pulumi(folder: &Path, args: &str) -> Output {
    let script = format!(". ./env.sh && pulumi {args} --non-interactive --color never");
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .env("PULUMI_CONFIG_PASSPHRASE", "another")
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .current_dir(folder)
        .output()
        .unwrap()
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn state(folder: &Path) -> Value {
    let export = pulumi(folder, "stack export");
    assert!(export.status.success(), "{}", text(&export));
    serde_json::from_slice(&export.stdout).unwrap()
}

/// The resources without what differs between any two runs.
fn normalized(export: &Value) -> Value {
    let mut resources = export["deployment"]["resources"].as_array().cloned().unwrap();
    for resource in &mut resources {
        let map = resource.as_object_mut().unwrap();
        for key in ["created", "modified", "sourcePosition", "stackTrace"] {
            map.remove(key);
        }
        if let Some(Value::Array(dependencies)) = map.get_mut("dependencies") {
            dependencies.sort_by_key(|urn| urn.to_string());
        }
    }
    // Independent resources are recorded in the order in which they were done.
    resources.sort_by_key(|resource| resource["urn"].to_string());
    Value::Array(resources)
}
