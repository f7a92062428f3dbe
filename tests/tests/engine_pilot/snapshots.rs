//! Snapshots and forks as users have them: files and sessions of then, no secrets, nothing half made and nothing left.

use std::process::Command;
use std::time::Duration;

use contracts::secrets;
use serde_json::{Value, json};

use crate::support::clouds::FlyCloud;
use crate::support::eventually;
use crate::support::world::World;

/// A shell in the workspace's container, as its user.
pub fn shell(workspace: &Value, script: &str) -> String {
    let name = format!("pilot-{}", workspace["runtimeId"].as_str().unwrap());
    let output =
        Command::new("docker").args(["exec", "-w", "/home/pilot", &name, "sh", "-c", script]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn volumes(workspace: &Value) -> Vec<String> {
    let label = format!("label=pilot.runtime={}", workspace["runtimeId"].as_str().unwrap());
    let output = Command::new("docker").args(["volume", "ls", "-q", "--filter", &label]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

pub async fn snapshots(world: &World, slug: &str) -> Vec<Value> {
    let list = world.api.get(&format!("/v1/workspaces/{slug}/snapshots")).await;
    list["snapshots"].as_array().unwrap().clone()
}

pub async fn asked(world: &World, path: &str, body: Value) -> Value {
    let answer = world.api.post(path, &body).await;
    let status = answer.status();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(status, 202, "{path}: {answer:#}");
    answer
}

async fn refused(world: &World, path: &str, body: Value) -> Value {
    let answer = world.api.post(path, &body).await;
    assert!(!answer.status().is_success(), "{path}");
    answer.json::<Value>().await.unwrap()["code"].clone()
}

async fn new_session(world: &World, slug: &str) -> String {
    let new = world.api.chamber(reqwest::Method::POST, slug, "/session").json(&json!({"title": "then"}));
    let session: Value = new.send().await.unwrap().json().await.unwrap();
    session["id"].as_str().unwrap().to_owned()
}

async fn has_session(world: &World, slug: &str, id: &str) -> bool {
    // A connection of before may end with the first request.
    let status = eventually("an answer", Duration::from_secs(20), || async {
        let get =
            world.api.chamber(reqwest::Method::GET, slug, &format!("/session/{id}")).send().await.ok()?;
        Some(get.status()).filter(|status| !status.is_server_error())
    })
    .await;
    status == 200
}

#[tokio::test]
async fn a_fork_has_the_files_and_sessions_of_the_original_and_none_of_its_secrets() {
    let world = World::start_on_docker().await;
    let original = world.api.create_ready("demo", "docker").await;
    let session = new_session(&world, "demo").await;
    shell(&original, "echo then > kept.txt && mkdir -p workspace/app && echo A=1 > workspace/app/.env");
    for path in secrets::BELOW_HOME.iter().filter(|path| !path.starts_with(".config/pilot")) {
        shell(&original, &format!("mkdir -p $(dirname {path}) && echo canary-of-the-original > {path}"));
    }
    // A link of this name leads to the secrets all the same.
    shell(
        &original,
        "rm -f .ssh && mkdir -p dotfiles/ssh && echo canary-of-the-original > dotfiles/ssh/id && ln -s $HOME/dotfiles/ssh .ssh",
    );
    let key = shell(&original, "cat .config/pilot/gateway-key");

    let said = world.pilot_output(&["ws", "fork", "demo", "two", "--label", "task=42"]);
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && words.contains("A snapshot of demo is taken first and kept"), "{words}");
    let fork = world.api.workspace("two").await;
    assert_eq!((&fork["state"], &fork["labels"]), (&json!("ready"), &json!({"task": "42"})));
    assert_ne!((&fork["id"], &fork["runtimeId"]), (&original["id"], &original["runtimeId"]));
    assert_eq!((&fork["size"], &fork["image"]), (&original["size"], &original["image"]));
    assert!(has_session(&world, "two", &session).await, "its sessions are there");
    assert_eq!(shell(&fork, "cat kept.txt workspace/app/.env"), "then\nA=1");
    assert_eq!(shell(&fork, "grep -rl canary-of-the-original . || true"), "", "a secret of the original");
    // What is public and of the installation, it gets anew.
    assert_eq!(shell(&fork, "cat .config/pilot/gateway-key"), key);
    // Who was frozen for it goes on.
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
    assert!(has_session(&world, "demo", &session).await);

    // The plan of the fork is empty: what it began with is no part of it any more.
    let drift: Value = world.api.post("/v1/workspaces/two/preview", &json!({})).await.json().await.unwrap();
    assert!(drift["steps"].as_array().unwrap().iter().all(|step| step["op"] == "same"), "{drift:#}");

    // Neither needs the other.
    world.api.succeeded(&world.api.delete("demo").await).await;
    assert_eq!(volumes(&original), Vec::<String>::new());
    assert_eq!(shell(&fork, "cat kept.txt"), "then");
    world.api.succeeded(&world.api.change("two", "restart").await).await;
    assert_eq!(shell(&fork, "cat kept.txt"), "then");
    world.api.succeeded(&world.api.delete("two").await).await;
    assert_eq!(volumes(&fork), Vec::<String>::new());
}

// Fly answers in this process while a command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn on_fly_a_fork_has_the_files_of_a_snapshot_and_no_secret_when_its_machine_first_runs() {
    let cloud = FlyCloud::start().await;
    let environment = cloud.environment();
    let given: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::start_on_docker_with_env(&given).await;
    let home = |workspace: &Value| {
        let app = format!("pilot-{}", workspace["runtimeId"].as_str().unwrap());
        let volume = cloud.sim.volumes().into_iter().find(|volume| volume.app == app).unwrap();
        cloud.sim.volume_folder(&volume.id)
    };
    let original = home(&world.api.create_ready("demo", "fly").await);
    let session = new_session(&world, "demo").await;
    std::fs::write(original.join("kept.txt"), "then").unwrap();
    std::fs::write(original.join(".netrc"), "canary").unwrap();

    world.pilot(&["ws", "fork", "demo", "two"]);
    let fork = world.api.workspace("two").await;
    assert_eq!(fork["state"], "ready");
    let home = home(&fork);
    assert_eq!(std::fs::read_to_string(home.join("kept.txt")).unwrap(), "then");
    assert!(!home.join(".netrc").exists());
    assert!(has_session(&world, "two", &session).await, "its sessions are there");
    assert_eq!(cloud.sim.machines().len(), 2, "nothing is left of what prepared it");
    for slug in ["demo", "two"] {
        world.api.succeeded(&world.api.delete(slug).await).await;
    }
    assert_eq!((cloud.sim.apps().len(), cloud.sim.volumes().len(), cloud.sim.machines().len()), (0, 0, 0));
}

#[tokio::test]
async fn a_restore_brings_back_what_was_damaged_and_keeps_what_was_there() {
    let mut world = World::start_on_docker_with_env(&[("PILOT_SNAPSHOTS", "3")]).await;
    let demo = world.api.create_ready("demo", "docker").await;
    let session = new_session(&world, "demo").await;
    shell(&demo, "echo then > kept.txt && mkdir deep && echo x > deep/file && chmod 500 deep");
    world.pilot(&["ws", "snapshot", "create", "demo", "--name", "before the damage"]);
    let taken = snapshots(&world, "demo").await;
    assert_eq!((taken.len(), &taken[0]["name"]), (1, &json!("before the damage")));
    let id = taken[0]["id"].as_str().unwrap().to_owned();
    shell(&demo, "chmod 700 deep && rm -rf deep kept.txt .local/share/opencode && echo now > new.txt");

    let said: Value = {
        let lines = world.pilot(&["ws", "snapshot", "restore", "demo", &id, "--yes", "--json"]);
        serde_json::from_str(lines.lines().last().unwrap()).unwrap()
    };
    assert_eq!(said["state"], "ready", "{said:#}");
    assert_eq!(
        shell(&demo, "cat kept.txt deep/file; stat -c %a deep; ls new.txt 2>&1 || true").lines().count(),
        4
    );
    assert!(has_session(&world, "demo", &session).await, "its database opens");
    // What was there is not lost.
    let before = snapshots(&world, "demo").await;
    assert_eq!(before.len(), 2, "{before:#?}");
    assert_eq!(before[0]["name"], "before the restore of before the damage");

    // What is stopped stays so, with other files.
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    let safety = before[0]["id"].as_str().unwrap();
    let restore = asked(&world, &format!("/v1/workspaces/demo/snapshots/{safety}/restore"), json!({})).await;
    world.api.succeeded(&restore["operation"]).await;
    assert_eq!(world.api.workspace("demo").await["state"], "stopped");
    // There is room for no other now, and each refusal says what to do.
    assert_eq!(refused(&world, "/v1/workspaces/demo/snapshots", json!({})).await, "snapshot_limit");
    assert_eq!(refused(&world, "/v1/workspaces/demo/fork", json!({"slug": "two"})).await, "snapshot_limit");
    let path = "/v1/workspaces/demo/snapshots/sn-of-another/restore";
    assert_eq!(refused(&world, path, json!({})).await, "snapshot_not_found");
    let gone = world.pilot_output(&["ws", "snapshot", "rm", "demo", "sn-of-another", "--yes"]);
    assert_eq!(gone.status.code(), Some(3));
    assert_eq!(
        world.pilot_output(&["ws", "snapshot", "rm", "demo", &id]).status.code(),
        Some(7),
        "nobody is asked"
    );
    world.pilot(&["ws", "snapshot", "rm", "demo", &id, "--yes"]);
    assert!(snapshots(&world, "demo").await.iter().all(|snapshot| snapshot["id"] != id.as_str()));
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    assert_eq!(shell(&demo, "cat new.txt"), "now");

    // A kept home keeps its snapshots, and a purge leaves nothing.
    world.terminate();
    world.set("PILOT_HOME_GRACE", "1h");
    world.serve().await;
    let count = snapshots(&world, "demo").await.len();
    world.pilot(&["ws", "rm", "demo", "--yes"]);
    world.pilot(&["ws", "restore", "demo"]);
    assert_eq!(snapshots(&world, "demo").await.len(), count);
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    assert_eq!(volumes(&demo), Vec::<String>::new());
    world.witness.nothing_is_left(demo["runtimeId"].as_str().unwrap());
}

/// Moments after a request was accepted: before, within and after the copy.
const MOMENTS: [u64; 4] = [0, 400, 1200, 2500];

#[tokio::test]
async fn a_kill_in_the_middle_leaves_no_half_snapshot_no_double_and_no_lost_home() {
    let mut world = World::start_on_docker().await;
    let demo = world.api.create_ready("demo", "docker").await;
    shell(&demo, "echo then > kept.txt && head -c 200M /dev/urandom > large");
    let sum = shell(&demo, "sha256sum large");
    let die = async |world: &mut World, operation: &Value, after: u64| {
        // The moment of the kill is the test's input, not something that it waits for.
        tokio::time::sleep(Duration::from_millis(after)).await;
        world.kill();
        world.serve().await;
        world.api.succeeded(operation).await;
    };
    let mut count = 0;
    for after in MOMENTS {
        let take = asked(&world, "/v1/workspaces/demo/snapshots", json!({})).await;
        die(&mut world, &take["operation"], after).await;
        count += 1;
        let taken = snapshots(&world, "demo").await;
        assert_eq!(taken.len(), count, "killed after {after} ms: {taken:#?}");
        assert_eq!(taken[0]["id"], take["operation"]["snapshot"]["id"]);
        // Its home, and two for each snapshot: nothing else of one is there.
        let files = volumes(&demo).iter().filter(|name| name.ends_with("-files")).count();
        assert_eq!(files, count, "killed after {after} ms: {:?}", volumes(&demo));
        assert_eq!(shell(&demo, "cat kept.txt"), "then", "it goes on, killed after {after} ms");
    }
    let id = snapshots(&world, "demo").await.last().unwrap()["id"].as_str().unwrap().to_owned();
    for after in [300, 2000, 4500] {
        shell(&demo, "echo now > kept.txt && rm -f large && echo new > new.txt");
        let restore = asked(&world, &format!("/v1/workspaces/demo/snapshots/{id}/restore"), json!({})).await;
        die(&mut world, &restore["operation"], after).await;
        assert_eq!(world.api.workspace("demo").await["state"], "ready");
        assert_eq!(shell(&demo, "cat kept.txt"), "then", "killed after {after} ms");
        assert_eq!(shell(&demo, "sha256sum large"), sum, "killed after {after} ms");
        assert_eq!(
            shell(&demo, "ls -A | grep -c -e new.txt -e pilot-restore || true"),
            "0",
            "killed after {after} ms"
        );
    }
    for (number, after) in [600, 2000].into_iter().enumerate() {
        let slug = format!("fork-{number}");
        let fork = asked(&world, "/v1/workspaces/demo/fork", json!({"slug": slug, "snapshot": id})).await;
        die(&mut world, &fork["operation"], after).await;
        let fork = world.api.workspace(&slug).await;
        assert_eq!(shell(&fork, "sha256sum large"), sum, "killed after {after} ms");
        assert_eq!(shell(&fork, "ls -A | grep -c pilot-copy || true"), "0", "killed after {after} ms");
        world.api.succeeded(&world.api.delete(&slug).await).await;
        assert_eq!(volumes(&fork), Vec::<String>::new());
    }
    world.api.succeeded(&world.api.delete("demo").await).await;
    assert_eq!(volumes(&demo), Vec::<String>::new());
}

#[tokio::test]
async fn a_take_that_is_canceled_keeps_nothing_and_the_instance_goes_on() {
    let world = World::start_on_docker().await;
    let demo = world.api.create_ready("demo", "docker").await;
    shell(&demo, "head -c 700M /dev/urandom > large && sync");
    let take = asked(&world, "/v1/workspaces/demo/snapshots", json!({})).await;
    let id = take["operation"]["id"].as_str().unwrap();
    eventually("the copy to begin", Duration::from_secs(30), || async {
        volumes(&demo).iter().any(|name| name.ends_with("-files")).then_some(())
    })
    .await;
    world.api.post(&format!("/v1/operations/{id}/cancel"), &json!({})).await;
    let ended = world.api.ended(&take["operation"]).await;
    assert_eq!(ended["state"], "canceled", "{ended:#}");
    eventually("nothing of it to be left", Duration::from_secs(30), || async {
        volumes(&demo).iter().all(|name| !name.contains("-snap-")).then_some(())
    })
    .await;
    assert_eq!(snapshots(&world, "demo").await, Vec::<Value>::new());
    assert_eq!(shell(&demo, "echo goes on"), "goes on");
}

#[tokio::test]
async fn in_a_cloud_that_takes_snapshots_at_once_the_same_commands_do_the_same() {
    let world = World::start_with(&["--provider", "fake"]).await;
    world.api.create_ready("demo", "fake").await;
    world.pilot(&["ws", "snapshot", "create", "demo", "--name", "one"]);
    let id = snapshots(&world, "demo").await[0]["id"].as_str().unwrap().to_owned();
    // The same key is the same fork.
    let fork = |slug: &'static str| {
        let body = json!({"slug": slug, "snapshot": id});
        let post = world.api.request(reqwest::Method::POST, "/v1/workspaces/demo/fork").json(&body);
        post.header("idempotency-key", "one-fork").send()
    };
    let (first, again) = (fork("two").await.unwrap(), fork("two").await.unwrap());
    let (first, again): (Value, Value) = (first.json().await.unwrap(), again.json().await.unwrap());
    assert_eq!(first["operation"]["id"], again["operation"]["id"], "{first:#} {again:#}");
    world.api.succeeded(&first["operation"]).await;
    let other: Value = fork("three").await.unwrap().json().await.unwrap();
    assert_eq!(other["code"], "idempotency_conflict");
    assert_eq!(refused(&world, "/v1/workspaces/demo/fork", json!({"slug": "two"})).await, "slug_taken");
    assert_eq!(
        refused(&world, "/v1/workspaces/two/fork", json!({"slug": "x", "snapshot": id})).await,
        "snapshot_not_found"
    );
    // One that is suspended stays so over a snapshot, and is stopped by a restore.
    world.api.succeeded(&world.api.change("demo", "suspend").await).await;
    world.pilot(&["ws", "snapshot", "create", "demo"]);
    assert_eq!(world.api.workspace("demo").await["state"], "suspended");
    world.pilot(&["ws", "snapshot", "restore", "demo", &id, "--yes"]);
    let demo = world.api.workspace("demo").await;
    assert_eq!((&demo["state"], &demo["desired"]), (&json!("stopped"), &json!("stopped")));
    world.pilot(&["ws", "rm", "--all", "--yes", "--purge"]);
}
