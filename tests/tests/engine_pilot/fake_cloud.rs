//! A workspace in the fake provider's cloud: everything of Pilot is real, and only the instance is not.

use std::path::Path;
use std::time::Duration;

use provider_fake::Cloud;
use provider_fake::cloud::Object;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stack_export::{pulumi, text};
use crate::support::eventually;
use crate::support::world::World;

/// Each start has another address, and the gateway believes for a moment in the one that it knows.
async fn the_instance_answers_through_the_gateway(world: &World) {
    eventually("an answer to a new session", Duration::from_secs(10), || async {
        let create = world.api.chamber(Method::POST, "demo", "/session").json(&json!({"title": "hello"}));
        let session: Value = create.send().await.unwrap().json().await.unwrap();
        (session["title"] == "hello").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_workspace_in_the_fake_cloud_answers_through_the_gateway_and_keeps_its_life_cycle() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    let created = json!({"slug": "demo", "size": "medium", "region": "south"});
    api.succeeded(&api.create(created).await).await;
    let workspace = api.workspace("demo").await;
    assert_eq!((&workspace["state"], &workspace["region"]), (&json!("ready"), &json!("south")));
    the_instance_answers_through_the_gateway(&world).await;
    for (change, state) in [
        ("suspend", "suspended"),
        ("resume", "ready"),
        ("hibernate", "suspended"),
        ("resume", "ready"),
        ("stop", "stopped"),
        ("start", "ready"),
    ] {
        api.succeeded(&api.change("demo", change).await).await;
        assert_eq!(api.workspace("demo").await["state"], state, "after {change}");
    }
    the_instance_answers_through_the_gateway(&world).await;
    api.succeeded(&api.delete("demo").await).await;
}

/// A cloud that outlives the servers that use it.
pub async fn cloud() -> (Cloud, String) {
    let (cloud, listener) =
        (Cloud::with_journal(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(cloud.clone().serve(listener));
    (cloud, url)
}

/// Kinds of what there is of a workspace's runtime.
pub fn kinds(cloud: &Cloud, workspace: &Value) -> Vec<&'static str> {
    of_runtime(cloud, workspace).iter().map(|object| object.kind).collect()
}

fn of_runtime(cloud: &Cloud, workspace: &Value) -> Vec<Object> {
    let runtime = workspace["runtimeId"].as_str().unwrap();
    let of = |object: &Object| object.labels.values().any(|label| label == runtime);
    cloud.everything().into_iter().filter(of).collect()
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_store_does_not_know_is_told_and_removed_after_the_grace_but_for_its_home() {
    let (cloud, url) = cloud().await;
    let env = [("PILOT_FAKE_URL", url.as_str())];
    let neighbour = World::start_with_env(&["--provider", "fake"], &env).await;
    let theirs = neighbour.api.create_ready("theirs", "fake").await;
    let options = ["--provider", "fake", "--hurry", "20", "--stray-grace", "8s"];
    let mut world = World::start_with_env(&options, &env).await;
    let kept = world.api.create_ready("kept", "fake").await;
    world.terminate();
    let folder = tempfile::tempdir().unwrap();
    let older = folder.path().join("older");
    copy(&world.data, &older);
    world.serve().await;
    let late = world.api.create_ready("late", "fake").await;
    world.terminate();
    std::fs::remove_dir_all(&world.data).unwrap();
    copy(&older, &world.data);

    world.serve().await;
    let strays = eventually("a first sweep", Duration::from_secs(10), || async {
        let list = world.api.get("/v1/strays").await;
        (list["strays"].as_array().unwrap().len() == 2).then_some(list)
    })
    .await;
    for stray in strays["strays"].as_array().unwrap() {
        assert_eq!(stray["runtimeId"], late["runtimeId"], "{strays:#}");
        assert_eq!(stray["home"], stray["kind"] == "volume", "{strays:#}");
        assert_eq!(stray["removedAt"].is_string(), stray["kind"] == "machine", "{strays:#}");
    }
    assert_eq!(kinds(&cloud, &late), ["volume", "machine"], "the grace is not over");
    let doctor = String::from_utf8_lossy(&world.pilot_output(&["doctor"]).stdout).into_owned();
    for words in ["left fake", "is removed after", "stays: files of a user"] {
        assert!(doctor.contains(words), "{words}: {doctor}");
    }
    // Made while the time of the other runs out.
    let fresh = world.api.create_ready("fresh", "fake").await;
    eventually("the machine that nobody knows to be gone", Duration::from_secs(60), || async {
        (kinds(&cloud, &late) == ["volume"]).then_some(())
    })
    .await;
    let left = eventually("what is left to be told", Duration::from_secs(10), || async {
        let list = world.api.get("/v1/strays").await;
        (list["strays"].as_array().unwrap().len() == 1).then_some(list)
    })
    .await;
    assert_eq!(
        (&left["strays"][0]["kind"], &left["strays"][0]["removedAt"]),
        (&json!("volume"), &Value::Null)
    );
    for (whose, workspace) in [("known", &kept), ("new", &fresh), ("another installation's", &theirs)] {
        assert_eq!(kinds(&cloud, workspace), ["volume", "machine"], "{whose}");
    }
    let page = world.api.metrics().await;
    assert!(page.contains("pilot_strays{provider=\"fake\"} 1\n"), "{page}");
    for words in ["found what is of no workspace that is known", "removed what nobody knew"] {
        assert!(world.log().contains(words), "{words}: {}", world.log());
    }
}

/// A replace is a delete, and of a home nobody has asked for that.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_in_which_somebody_moves_a_home_is_refused_and_the_home_is_there() {
    let (cloud, url) = cloud().await;
    let world = World::start_with_env(&["--provider", "fake"], &[("PILOT_FAKE_URL", url.as_str())]).await;
    let workspace = world.api.create_ready("demo", "fake").await;
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    let before = of_runtime(&cloud, &workspace);
    let file = out.join("Pulumi.yaml");
    let text_of = std::fs::read_to_string(&file).unwrap();
    let moved = text_of.replace("region: \"north\"", "region: \"south\"");
    assert_ne!(moved, text_of);
    std::fs::write(&file, moved).unwrap();
    for command in ["preview", "up --yes --skip-preview"] {
        let run = pulumi(&out, command);
        let said = text(&run);
        assert!(!run.status.success() && said.contains("unable to replace"), "{command}: {said}");
        assert!(said.contains("home") && said.contains("protect"), "{command}: {said}");
        assert_eq!(of_runtime(&cloud, &workspace), before, "{command}");
    }
    // As it was exported it is true still.
    std::fs::write(&file, text_of).unwrap();
    let same = pulumi(&out, "preview --expect-no-changes");
    assert!(same.status.success(), "{}", text(&same));
    world.api.succeeded(&world.api.delete("demo").await).await;
}
