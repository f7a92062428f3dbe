//! Lists of destinations as users have them: asked for, shown, changed while the instance runs, and inherited.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::world::World;

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn container(workspace: &Value) -> String {
    format!("pilot-{}", workspace["runtimeId"].as_str().unwrap())
}

/// Which container runs since when.
fn run(workspace: &Value) -> String {
    docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &container(workspace)])
}

/// Nobody is at this address, so where nothing refuses it the call is not answered at all.
fn refuses_at_once(workspace: &Value, address: &str) -> bool {
    let script = format!("timeout 5 bash -c '< /dev/tcp/{address}/443' 2> /dev/null; echo $?");
    docker(&["exec", &container(workspace), "bash", "-c", &script]) == "1"
}

async fn refused(world: &World, path: &str, body: Value) -> Value {
    let answer = world.api.post(path, &body).await;
    assert!(!answer.status().is_success(), "{path}");
    answer.json::<Value>().await.unwrap()["code"].clone()
}

#[tokio::test]
async fn a_workspace_has_the_list_that_was_asked_for_and_another_one_without_a_restart() {
    let world = World::start_on_docker_with_env(&[("PILOT_DOCKER_EGRESS_ALLOW", "usual.example")]).await;
    let list = "GitHub.com,*.npmjs.org,203.0.113.7:443";
    world.pilot(&["ws", "create", "demo", "--provider", "docker", "--egress-allow", list]);
    let demo = world.api.workspace("demo").await;
    assert_eq!(demo["state"], "ready", "{demo:#}");
    assert_eq!(demo["egressAllow"], json!(["github.com", "*.npmjs.org", "203.0.113.7:443"]));
    let shown = world.pilot(&["ws", "get", "demo"]);
    assert!(shown.contains("only github.com, *.npmjs.org, 203.0.113.7:443"), "{shown}");
    assert!(refuses_at_once(&demo, "203.0.113.8") && !refuses_at_once(&demo, "203.0.113.7"));

    let before = run(&demo);
    world.pilot(&["ws", "update", "demo", "--egress-allow", "203.0.113.8"]);
    assert_eq!(run(&demo), before, "it goes on running");
    assert!(refuses_at_once(&demo, "203.0.113.7") && !refuses_at_once(&demo, "203.0.113.8"));
    let plan: Value = serde_json::from_str(&world.pilot(&["stack", "diff", "demo", "--json"])).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step["op"] == "same"), "{plan:#}");

    world.pilot(&["ws", "fork", "demo", "copy"]);
    let copy = world.api.workspace("copy").await;
    assert_eq!(copy["egressAllow"], json!(["203.0.113.8"]));
    assert!(refuses_at_once(&copy, "203.0.113.7"));

    // Of whom nobody says anything has what the operator has set, and may be told otherwise.
    let usual = world.api.create_ready("usual", "docker").await;
    assert_eq!(usual["egressAllow"], json!(["usual.example"]));
    world.pilot(&["ws", "update", "usual", "--egress-allow", "all"]);
    let usual = world.api.workspace("usual").await;
    assert_eq!((&usual["state"], &usual["egressAllow"]), (&json!("ready"), &Value::Null));
    assert!(!refuses_at_once(&usual, "203.0.113.7"));
    // Other providers are not set up here, which it says as well.
    let doctor = String::from_utf8(world.pilot_output(&["doctor"]).stdout).unwrap();
    assert!(doctor.contains("2 lists of destinations are in force"), "{doctor}");
    assert!(
        !doctor.contains("networks of host"),
        "a bridge of Pilot's own is no network of the host: {doctor}"
    );
}

#[tokio::test]
async fn what_was_refused_is_shown_and_the_line_that_is_advised_opens_it() {
    let world = World::start_on_docker().await;
    world.pilot(&["ws", "create", "demo", "--provider", "docker", "--egress-allow", "203.0.113.7"]);
    let demo = world.api.workspace("demo").await;
    docker(&["exec", &container(&demo), "getent", "hosts", "registry.example"]);
    assert!(refuses_at_once(&demo, "203.0.113.8"));
    let shown = world.pilot(&["ws", "egress", "demo"]);
    for part in [
        "demo reaches only 203.0.113.7.\nThe list is in force.\n",
        "registry.example ",
        "203.0.113.8:443 (tcp) ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let begin = "  pilot ws update demo --egress-allow '";
    let advised = shown.lines().find_map(|line| line.strip_prefix(begin)?.strip_suffix('\'')).unwrap();
    assert!(advised.starts_with("203.0.113.7,") && advised.contains("registry.example"), "{advised}");
    world.pilot(&["ws", "update", "demo", "--egress-allow", advised]);
    let report = world.api.get("/v1/workspaces/demo/egress").await;
    assert_eq!((&report["inForce"], report["egressAllow"][0].as_str()), (&json!(true), Some("203.0.113.7")));
    assert!(!report["refused"].to_string().contains("registry.example"), "{report:#}");
    let json: Value = serde_json::from_str(&world.pilot(&["--json", "ws", "egress", "demo"])).unwrap();
    assert_eq!(json["egressAllow"], report["egressAllow"]);

    // Nobody keeps it, so nobody says that it is in force. A start would let the keeper go on.
    let installation =
        docker(&["inspect", "-f", "{{index .Config.Labels \"pilot.installation\"}}", &container(&demo)]);
    docker(&["pause", &format!("pilot-egress-{installation}")]);
    let shown = world.pilot(&["ws", "egress", "demo"]);
    assert!(shown.contains("The list is NOT in force: the container pilot-egress-"), "{shown}");
    assert!(world.pilot(&["ws", "why", "demo"]).contains("NOT in force"));
    docker(&["unpause", &format!("pilot-egress-{installation}")]);

    // Who waits for a clone is told whom it may reach.
    let git = ["--git", "https://git.nowhere.example/team/app.git", "--no-wait"];
    let create = ["ws", "create", "clones", "--provider", "docker", "--egress-allow", "git.nowhere.example"];
    world.pilot(&[create.as_slice(), git.as_slice()].concat());
    let why = || async {
        let shown = world.pilot(&["ws", "why", "clones"]);
        shown.contains("It reaches only git.nowhere.example").then_some(())
    };
    eventually("why names what it may reach", Duration::from_secs(90), why).await;
}

#[tokio::test]
async fn a_list_is_refused_before_anything_is_made_where_it_cannot_be_meant_or_held() {
    let world = World::start().await;
    for (body, code) in [
        (json!({"slug": "a", "provider": "docker", "egressAllow": ["https://github.com"]}), "bad_request"),
        (json!({"slug": "a", "provider": "docker", "egressAllow": ["all", "github.com"]}), "bad_request"),
        (json!({"slug": "a", "provider": "docker", "egressAllow": ["10.0.0.5"]}), "bad_request"),
        (
            json!({"slug": "a", "provider": "docker", "egressAllow": ["a.example"], "git": {"url": "https://github.com/a/b"}}),
            "invalid_git_url",
        ),
        (json!({"slug": "a", "provider": "local", "egressAllow": ["github.com"]}), "capability_unsupported"),
        (json!({"slug": "a", "provider": "local", "egressAllow": []}), "capability_unsupported"),
    ] {
        assert_eq!(refused(&world, "/v1/workspaces", body.clone()).await, code, "{body}");
    }
    assert_eq!(world.api.get("/v1/workspaces").await["workspaces"], json!([]));
    world.api.create_ready("a", "local").await;
    let refused = world.pilot_output(&["ws", "egress", "a"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("capability_unsupported"), "{told}");
    assert_eq!(world.api.get("/v1/workspaces/a/why").await["egress"], Value::Null);
}

/// In place of the resolver: it takes no list that names this.
const PICKY: &str = "FROM pilot-instance:0.1.0\nUSER 0\nRUN printf '#!/bin/sh\\n[ \"$1\" != --test ] || ! grep -q unusable.example \
                     \"${2#--conf-file=}\" || { echo bad option; exit 1; }\\nexec /usr/sbin/dnsmasq \"$@\"\\n' > /usr/local/sbin/dnsmasq && \
                     chmod 755 /usr/local/sbin/dnsmasq\n";

#[tokio::test]
async fn a_list_that_cannot_be_in_force_leaves_the_one_of_before_which_is_shown() {
    let image = format!("pilot-egress-picky:{}", std::process::id());
    let build = format!("printf '%s' \"$PICKY\" | docker build -q -t {image} -");
    let mut build = Command::new("sh")
        .args(["-c", &build])
        .env("PICKY", PICKY)
        .env("DOCKER_BUILDKIT", "0")
        .spawn()
        .unwrap();
    assert!(build.wait().unwrap().success());
    let world = World::start_on_docker_with_env(&[("PILOT_DOCKER_EGRESS_IMAGE", &image)]).await;
    world.pilot(&["ws", "create", "demo", "--provider", "docker", "--egress-allow", "203.0.113.7"]);
    let failed =
        world.pilot_output(&["ws", "update", "demo", "--egress-allow", "203.0.113.8,unusable.example"]);
    let told = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && told.contains("cannot be put in force"), "{told}");
    assert!(told.contains("list of before stays in force") && !told.contains("could reach more"), "{told}");
    let demo = world.api.workspace("demo").await;
    assert_eq!((&demo["state"], &demo["egressAllow"]), (&json!("ready"), &json!(["203.0.113.7"])));
    assert!(refuses_at_once(&demo, "203.0.113.8") && !refuses_at_once(&demo, "203.0.113.7"));
    let report = world.api.get("/v1/workspaces/demo/egress").await;
    assert_eq!(report["inForce"], json!(true), "{report:#}");
    // And the next one is tried anew.
    world.pilot(&["ws", "update", "demo", "--egress-allow", "203.0.113.8"]);
    assert!(refuses_at_once(&demo, "203.0.113.7") && !refuses_at_once(&demo, "203.0.113.8"));
    drop(world);
    docker(&["rmi", "-f", &image]);
}
