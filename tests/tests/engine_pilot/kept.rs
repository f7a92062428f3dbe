//! What stays of a deleted workspace: its home, for a while.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stack_export::{pulumi, text};
use crate::support::eventually;
use crate::support::world::World;

fn kinds(world: &World) -> Vec<String> {
    let objects = world.witness.docker_objects();
    objects.iter().map(|object| object.split(' ').next().unwrap().to_owned()).collect()
}

async fn session(world: &World, slug: &str) -> Value {
    let new = world.api.chamber(reqwest::Method::POST, slug, "/session").json(&json!({}));
    new.send().await.unwrap().json().await.unwrap()
}

async fn has_session(world: &World, slug: &str, session: &Value) -> bool {
    let path = format!("/session/{}", session["id"].as_str().unwrap());
    // A connection of before the restore may end with the first request.
    let status = eventually("an answer", Duration::from_secs(20), || async {
        let answer = world.api.chamber(reqwest::Method::GET, slug, &path).send().await.ok()?;
        Some(answer.status()).filter(|status| !status.is_server_error())
    })
    .await;
    status == 200
}

#[tokio::test]
async fn a_deleted_workspace_is_restored_with_its_files_until_they_are_purged() {
    let world = World::start_on_docker_with_env(&[("PILOT_HOME_GRACE", "1h")]).await;
    let before = world.api.create_ready("demo", "docker").await;
    let session = session(&world, "demo").await;
    let said = world.pilot_output(&["ws", "rm", "demo", "--yes"]);
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && words.contains("pilot ws restore ws_"), "{words}");
    assert_eq!(kinds(&world), ["volume"], "the home alone");
    let id = before["id"].as_str().unwrap().to_owned();
    let gone = world.api.request(reqwest::Method::GET, "/v1/workspaces/demo").send().await.unwrap();
    assert_eq!(gone.status(), 404);
    let start: Value =
        world.api.post(&format!("/v1/workspaces/{id}/start"), &json!({})).await.json().await.unwrap();
    assert_eq!(start["code"], "workspace_not_found", "{start:#}");

    // Its name is free, and who took it keeps it.
    world.api.create_ready("demo", "docker").await;
    let taken: Value = world.api.post("/v1/workspaces/demo/restore", &json!({})).await.json().await.unwrap();
    assert_eq!(taken["code"], "slug_taken", "{taken:#}");
    let list: Value = serde_json::from_str(&world.pilot(&["ws", "ls", "--deleted", "--json"])).unwrap();
    assert_eq!((&list["workspaces"][0]["id"], list["workspaces"].as_array().unwrap().len()), (&json!(id), 1));
    world.pilot(&["ws", "restore", "demo", "--name", "again"]);
    let after = world.api.workspace("again").await;
    assert_eq!((&after["id"], &after["runtimeId"]), (&before["id"], &before["runtimeId"]));
    assert_eq!(after["homeUntil"], Value::Null);
    assert!(has_session(&world, "again", &session).await, "its files are as they were");

    world.pilot(&["ws", "rm", "again", "--yes"]);
    world.pilot(&["ws", "rm", "--purge", "--deleted", "--all", "--yes"]);
    // Of one that is there nothing is kept, and a delete of what is deleted is none.
    for (query, code) in [("purge=true&deleted=true", "workspace_not_found"), ("deleted=true", "bad_request")]
    {
        let path = format!("/v1/workspaces/demo?{query}");
        let refused: Value =
            world.api.request(reqwest::Method::DELETE, &path).send().await.unwrap().json().await.unwrap();
        assert_eq!(refused["code"], code, "{refused:#}");
    }
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    world.witness.nothing_is_left(before["runtimeId"].as_str().unwrap());
    let late: Value =
        world.api.post(&format!("/v1/workspaces/{id}/restore"), &json!({})).await.json().await.unwrap();
    assert_eq!(late["code"], "workspace_not_found", "{late:#}");
}

#[tokio::test]
async fn a_home_is_removed_by_itself_when_it_was_kept_for_long_enough() {
    let world = World::start_with_env(&[], &[("PILOT_HOME_GRACE", "3s")]).await;
    let demo = world.api.create_ready("demo", "local").await;
    let runtime = demo["runtimeId"].as_str().unwrap();
    world.api.succeeded(&world.api.delete("demo").await).await;
    assert_eq!(world.witness.processes(), Vec::<u32>::new());
    let home = world.data.join("local").join(runtime);
    assert!(home.exists(), "it is kept at first");
    eventually("the end of the home", Duration::from_secs(60), || async { (!home.exists()).then_some(()) })
        .await;
    let id = demo["id"].as_str().unwrap();
    eventually("the end of its record", Duration::from_secs(20), || async {
        let look =
            world.api.request(reqwest::Method::GET, &format!("/v1/workspaces/{id}")).send().await.unwrap();
        (look.status() == 404).then_some(())
    })
    .await;
    world.witness.nothing_is_left(runtime);
}

#[tokio::test]
async fn nobody_removes_a_home_with_pulumi_alone() {
    let world = World::start_on_docker().await;
    let demo = world.api.create_ready("demo", "docker").await;
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    let destroy = pulumi(&out, "destroy --yes --skip-preview");
    assert!(!destroy.status.success() && text(&destroy).contains("protect"), "{}", text(&destroy));
    assert!(kinds(&world).contains(&"volume".to_owned()));
    // And Pilot brings back what is missing of it, and can remove it.
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    world.api.succeeded(&world.api.delete("demo").await).await;
    std::fs::remove_dir_all(&out).unwrap();
    world.witness.nothing_is_left(demo["runtimeId"].as_str().unwrap());
}

#[tokio::test]
async fn a_delete_keeps_the_home_alone_also_of_what_was_taken_over_and_where_its_state_is_lost() {
    let mut world = World::start_on_docker_with_env(&[("PILOT_HOME_GRACE", "1h")]).await;
    let operation = world.api.create(json!({"slug": "demo", "provider": "docker"})).await;
    eventually("a container", Duration::from_secs(30), || async {
        (!world.witness.containers().is_empty()).then_some(())
    })
    .await;
    // Whoever goes on has a higher fence, which Docker keeps in an object of its own.
    world.kill();
    world.serve().await;
    world.api.succeeded(&operation).await;
    let demo = world.api.workspace("demo").await;
    let session = session(&world, "demo").await;
    world.api.succeeded(&world.api.delete("demo").await).await;
    assert!(kinds(&world).iter().all(|kind| kind == "volume"), "{:?}", kinds(&world));
    world.pilot(&["ws", "restore", "demo"]);
    assert!(has_session(&world, "demo", &session).await);

    // Somebody has thrown the state away; the home is there all the same.
    let runtime = demo["runtimeId"].as_str().unwrap();
    let stacks = world.data.join("pulumi/state/.pulumi/stacks/pilot");
    for entry in std::fs::read_dir(&stacks).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with(runtime) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let history = world.data.join("pulumi/state/.pulumi/history/pilot").join(runtime);
    let _ = std::fs::remove_dir_all(history);
    world.api.succeeded(&world.api.delete("demo").await).await;
    assert!(kinds(&world).iter().all(|kind| kind == "volume"), "{:?}", kinds(&world));
    world.pilot(&["ws", "restore", "demo"]);
    assert!(has_session(&world, "demo", &session).await);
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    assert_eq!(world.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_restore_without_a_home_fails_and_says_so() {
    let world = World::start_on_docker_with_env(&[("PILOT_HOME_GRACE", "1h")]).await;
    world.api.create_ready("demo", "docker").await;
    world.api.succeeded(&world.api.delete("demo").await).await;
    for object in world.witness.docker_objects() {
        let (kind, id) = object.split_once(' ').unwrap();
        assert!(std::process::Command::new("docker").args([kind, "rm", id]).status().unwrap().success());
    }
    let said = world.pilot_output(&["ws", "restore", "demo"]);
    assert!(!said.status.success());
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(words.contains("home_gone"), "{words}");
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
}
