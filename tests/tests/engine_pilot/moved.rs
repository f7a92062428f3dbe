//! An installation that moves from its data folder to a PostgreSQL.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::backup::many_states;
use crate::postgres::Postgres;
use crate::support::eventually;
use crate::support::world::{World, program};

/// What the database itself says.
fn ask(server: &Postgres, question: &str) -> Option<String> {
    let output = Command::new("psql").args(["-At", &server.url(), "-c", question]).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn count(server: &Postgres, table: &str) -> usize {
    ask(server, &format!("SELECT COUNT(*) FROM {table}"))
        .and_then(|count| count.parse().ok())
        .unwrap_or_default()
}

fn serve(world: &World, database: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(program("pilot"));
    command.arg("--data").arg(&world.data).args(["serve", "--listen-gateway", "127.0.0.1:0"]);
    command.args(["--listen-orchestrator", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"]);
    let output = command.envs(database.map(|url| ("PILOT_DATABASE", url))).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn an_installation_that_moved_goes_on_in_the_database_with_what_it_had_outside() {
    let server = Postgres::start();
    let mut world = World::start_on_docker_with_env(&[("PILOT_HOME_GRACE", "1h")]).await;
    world.api.create_ready("demo", "docker").await;
    world.api.create_ready("kept", "docker").await;
    world.api.succeeded(&world.api.delete("kept").await).await;
    let running = world.pilot_output(&["store", "migrate", "--to", &server.url()]);
    assert_eq!(running.status.code(), Some(4), "while the server runs: {running:?}");
    let containers = world.witness.containers();
    assert_eq!(world.terminate(), Some(0));
    let said = world.pilot(&["store", "migrate", "--to", &server.url()]);
    assert!(said.contains("2 states.") && said.contains("compared"), "{said}");
    let (exit, words) = serve(&world, None);
    assert!(exit == Some(4) && words.contains("store_moved") && words.contains("PILOT_DATABASE"), "{words}");
    world.set("PILOT_DATABASE", &server.url());
    world.serve().await;
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
    // Pulumi itself finds what was moved: nothing is made again from what is outside.
    let plan: Value = serde_json::from_str(&world.pilot(&["stack", "diff", "demo", "--json"])).unwrap();
    assert!(plan["steps"].as_array().unwrap().iter().all(|step| step["op"] == "same"), "{plan:#}");
    let file = world.data.join("all.backup");
    let key = world.data.join("key");
    std::fs::write(&key, "a key of more than thirty-two characters").unwrap();
    let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
    let said = world.pilot(&["backup", "create", file, "--key-file", key]);
    assert!(said.contains("2 states"), "{said}");
    world.pilot(&["ws", "rm", "kept", "--purge", "--yes"]);
    world.api.succeeded(&world.api.change("demo", "apply").await).await;
    assert_eq!(world.witness.containers(), containers);
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    assert_eq!(world.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_move_that_is_killed_again_and_again_loses_nothing_and_ends() {
    let server = Postgres::start();
    let mut world = World::start().await;
    let workspace = world.api.create_ready("demo", "local").await;
    assert_eq!(world.terminate(), Some(0));
    many_states(&world.data, 1_500);
    let url = server.url();
    let mut killed = 0;
    // The mark, the first rows, and then so many states.
    for (table, least) in [
        ("installation", 1),
        ("operations", 1),
        ("pulumi_state", 1),
        ("pulumi_state", 700),
        ("pulumi_state", 1_400),
    ] {
        let mut command = Command::new(program("pilot"));
        command.arg("--data").arg(&world.data).args(["store", "migrate", "--to", &url]);
        let mut child = command.spawn().unwrap();
        eventually("the move to be so far", Duration::from_secs(60), || async {
            (count(&server, table) >= least).then_some(())
        })
        .await;
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let (exit, words) = serve(&world, Some(&url));
        assert!(exit == Some(4) && words.contains("store_incomplete"), "{table} {least}: {words}");
    }
    assert_eq!(killed, 5, "all of them were at work when they were killed");
    // The folder is as it was until the last moment.
    world.serve().await;
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
    assert_eq!(world.terminate(), Some(0));
    world.pilot(&["store", "migrate", "--to", &url]);
    assert_eq!(ask(&server, "SELECT COUNT(*) FROM installation WHERE name = 'filling'").unwrap(), "0");
    assert_eq!(ask(&server, "SELECT slug FROM workspaces WHERE deleted_at IS NULL").unwrap(), "demo");
    let stacks = "pulumi_state WHERE key LIKE '%.pulumi/stacks/pilot/%'";
    assert_eq!(count(&server, stacks), 1_501);
    let runtime = workspace["runtimeId"].as_str().unwrap();
    let state =
        std::fs::read(world.data.join(format!("pulumi/state/.pulumi/stacks/pilot/{runtime}.json"))).unwrap();
    let key = format!("key = current_database() || '/.pulumi/stacks/pilot/{runtime}.json'");
    let moved = ask(&server, &format!("SELECT data->>'data' FROM pulumi_state WHERE {key}")).unwrap();
    use base64::Engine as _;
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(moved).unwrap(), state);
    let untold = world.pilot_output(&["store", "migrate", "--undo"]);
    let words = String::from_utf8_lossy(&untold.stderr);
    assert!(untold.status.code() == Some(4) && words.contains("--leave-database"), "{words}");
    let undone = world.pilot(&["store", "migrate", "--undo", "--to", &url]);
    assert!(undone.contains("in use again") && undone.contains("is not served any more"), "{undone}");
    let (exit, words) = serve(&world, Some(&url));
    assert!(exit == Some(4) && words.contains("store_moved") && words.contains("taken back"), "{words}");
    world.serve().await;
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
}
