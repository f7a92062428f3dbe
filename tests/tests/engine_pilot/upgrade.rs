//! An installation of an earlier Pilot is taken over by this one: the real programs of then, and their real data folder.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::stack_export::{pulumi, text};
use crate::support::world::World;

/// `cargo xtask test` builds them, and names the folder.
fn before() -> PathBuf {
    let folder = std::env::var_os("PILOT_TEST_BEFORE");
    folder.map(PathBuf::from).expect("PILOT_TEST_BEFORE: run this by `cargo xtask test engine`")
}

/// The tools without the engine host, which is of this Pilot: the one of before runs stacks with the Pulumi CLI.
fn tools_of_then(folder: &Path) {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap();
    let cache = std::env::var_os("PILOT_TOOLS").map_or(home.join(".cache/pilot/tools"), PathBuf::from);
    for tool in std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()) {
        let name = tool.file_name().unwrap().to_str().unwrap().to_owned();
        if ["pulumi-", "opencode-"].iter().any(|of_then| name.starts_with(of_then)) {
            symlink(&tool, folder.join(name)).unwrap();
        }
    }
}

async fn workspaces(world: &World) -> Vec<Value> {
    let list: Value = world.api.get("/v1/workspaces").await;
    list["workspaces"].as_array().unwrap().clone()
}

fn known(workspace: &Value) -> Vec<Value> {
    ["slug", "runtimeId", "provider", "size", "state", "desired", "createdAt"]
        .map(|field| workspace[field].clone())
        .to_vec()
}

/// Ids of containers, which run and which do not.
fn containers(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for object in world.witness.containers() {
        let id = object.split_once(' ').unwrap().1.to_owned();
        let state = ["inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", &id];
        let output = Command::new("docker").args(state).output().unwrap();
        all.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    all.sort();
    all
}

#[tokio::test]
async fn an_installation_of_before_is_upgraded_in_place_and_nothing_of_it_changes() {
    let tools = tempfile::tempdir().unwrap();
    tools_of_then(tools.path());
    let mut world = World::start_of(before(), &[("PILOT_TOOLS", tools.path().to_str().unwrap())]).await;
    world.api.create_ready("process", "local").await;
    world.api.create_ready("container", "docker").await;
    world.api.create_ready("resting", "docker").await;
    world.api.succeeded(&world.api.change("resting", "stop").await).await;
    let (listed, leaders, inspected) =
        (workspaces(&world).await, world.witness.leaders(), containers(&world));
    assert_eq!((listed.len(), leaders.len(), inspected.len()), (3, 2, 2));
    let session =
        world.api.chamber(Method::POST, "container", "/session").json(&json!({})).send().await.unwrap();
    let session: Value = session.json().await.unwrap();
    assert_eq!(world.terminate(), Some(0));

    // New workspaces get another image from now on, as with every upgrade.
    let image = format!("pilot-upgrade-test:{}", std::process::id());
    let usual = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));
    assert!(Command::new("docker").args(["tag", usual, &image]).status().unwrap().success());
    world.programs = None;
    world.env.retain(|(name, _)| name != "PILOT_TOOLS");
    world.env.push(("PILOT_IMAGE".to_owned(), image.clone()));
    world.serve().await;

    let now = workspaces(&world).await;
    assert_eq!(
        now.iter().map(known).collect::<Vec<_>>(),
        listed.iter().map(known).collect::<Vec<_>>(),
        "all is as it was"
    );
    for workspace in &now {
        let slug = workspace["slug"].as_str().unwrap();
        assert!(workspace["id"].as_str().unwrap().starts_with("ws_"), "{workspace:#}");
        if workspace["provider"] == "docker" {
            assert_eq!(workspace["image"]["reference"], usual, "{workspace:#}");
        }
        let out = world.data.join("exported").join(slug);
        world.pilot(&["stack", "export", slug, "--out", out.to_str().unwrap()]);
        let preview = pulumi(&out, "preview --expect-no-changes");
        assert!(preview.status.success(), "{slug}: {}", text(&preview));
    }
    assert_eq!((world.witness.leaders(), containers(&world)), (leaders, inspected), "nothing was begun anew");

    // And it is used and removed as any other.
    let path = format!("/session/{}", session["id"].as_str().unwrap());
    let kept = world.api.chamber(Method::GET, "container", &path).send().await.unwrap();
    assert_eq!(kept.status(), 200);
    world.api.succeeded(&world.api.change("resting", "start").await).await;
    world.api.succeeded(&world.api.change("process", "restart").await).await;
    for workspace in &now {
        let slug = workspace["slug"].as_str().unwrap();
        world.api.succeeded(&world.api.delete(slug).await).await;
    }
    std::fs::remove_dir_all(world.data.join("exported")).unwrap();
    for workspace in &now {
        world.witness.nothing_is_left(workspace["runtimeId"].as_str().unwrap());
    }
    let _ = Command::new("docker").args(["image", "rm", &image]).output();
}
