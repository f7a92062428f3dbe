//! Machines that run: the guest program as a process tree, and the edge in front of it.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sim_fly::{Settings, Sim};
use world::{World, eventually, guest, service, text};

/// Processes with the mark of this machine, as the kernel sees them.
fn processes(machine: &str) -> Vec<i32> {
    let mark = format!("FLY_MACHINE_ID={machine}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

fn state_of(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
}

async fn started(world: &World, config: Value) -> (Value, String) {
    let machine = world.machine("a", config).await;
    world.wait("a", &machine, "started").await;
    eventually("the service answers", async || world.edge("a", "/", &[]).await.0 == 200).await;
    let path = format!("/apps/a/machines/{}", text(&machine, "id"));
    (machine, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_its_environment_secrets_and_files_and_a_port_of_its_own() {
    let world = World::running().await;
    world.public_app("a").await;
    // "aGVsbG8=" is "hello".
    world.post("/apps/a/secrets", json!({"values": {"FILE_SECRET": "aGVsbG8=", "PLAIN": "p"}})).await;
    let volume = world.post("/apps/a/volumes", json!({"name": "home", "region": "fra"})).await.body;
    let mut config = service();
    config["env"]["HOME"] = "/home/pilot".into();
    config["mounts"] = json!([{"volume": volume["id"], "path": "/home/pilot"}]);
    config["files"] = json!([
        {"guest_path": "/home/pilot/.config/key", "secret_name": "FILE_SECRET", "mode": 0o400},
        {"guest_path": "/etc/motd", "raw_value": "aGVsbG8="},
    ]);
    let (machine, path) = started(&world, config.clone()).await;
    let env = async |name: &str| world.edge("a", &format!("/env/{name}"), &[]).await;
    assert_eq!(env("FLY_APP_NAME").await.1, "a");
    assert_eq!(env("PLAIN").await.1, "p");
    let folder = world.sim.volume_folder(&text(&volume, "id"));
    assert_eq!(env("HOME").await.1, folder.display().to_string());
    assert_ne!(env("PILOT_LISTEN").await.1, "0.0.0.0:3000");
    assert_eq!(std::fs::read_to_string(folder.join(".config/key")).unwrap(), "hello");
    let root = world.folder.path().join("machines").join(text(&machine, "id")).join("rootfs");
    assert_eq!(std::fs::read_to_string(root.join("etc/motd")).unwrap(), "hello");
    let shown = world.get(&path).await.body.to_string();
    assert!(shown.contains("FILE_SECRET") && shown.matches("aGVsbG8=").count() == 1, "{shown}");

    config["processes"] = json!([{"ignore_app_secrets": true}]);
    let updated = world.post(&path, json!({"config": config})).await.body;
    world.wait("a", &updated, "started").await;
    eventually("it answers", async || world.edge("a", "/", &[]).await.0 == 200).await;
    assert_eq!(env("PLAIN").await.0, 404, "a process may ignore the secrets");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_keeps_memory_and_stopping_does_not() {
    let world = World::running().await;
    world.public_app("a").await;
    let (machine, path) = started(&world, service()).await;
    let count = async || world.edge("a", "/count", &[]).await.1;
    assert_eq!((count().await, count().await), ("1".to_owned(), "2".to_owned()));
    let root = world.folder.path().join("machines").join(text(&machine, "id")).join("rootfs");
    std::fs::write(root.join("mark"), "x").unwrap();

    world.post(&format!("{path}/suspend"), Value::Null).await;
    world.wait("a", &machine, "suspended").await;
    let pids = processes(&text(&machine, "id"));
    assert!(pids.len() >= 2, "the program and its child: {pids:?}");
    assert!(pids.iter().all(|pid| state_of(*pid) == 'T'), "all of them are frozen");
    assert_eq!(world.edge("a", "/", &[]).await.0, 502);
    let resumed = world.post(&format!("{path}/start"), Value::Null).await.body;
    assert_eq!(resumed["previous_state"], "suspended");
    world.wait("a", &machine, "started").await;
    assert_eq!(count().await, "3");
    assert!(root.join("mark").exists());

    world.post(&format!("{path}/stop"), json!({"timeout": "5s"})).await;
    world.wait("a", &machine, "stopped").await;
    assert_eq!(processes(&text(&machine, "id")), Vec::<i32>::new());
    world.post(&format!("{path}/start"), Value::Null).await;
    world.wait("a", &machine, "started").await;
    eventually("it answers", async || world.edge("a", "/", &[]).await.0 == 200).await;
    assert_eq!(count().await, "1");
    assert!(!root.join("mark").exists(), "the root file system is new");

    world.post(&format!("{path}/suspend"), Value::Null).await;
    world.wait("a", &machine, "suspended").await;
    let lose = format!("{}/machines/{}/lose-memory", world.sim.admin_url(), text(&machine, "id"));
    assert!(world.client.post(lose).send().await.unwrap().status().is_success());
    world.post(&format!("{path}/start"), Value::Null).await;
    world.wait("a", &machine, "started").await;
    eventually("it answers", async || world.edge("a", "/", &[]).await.0 == 200).await;
    assert_eq!(count().await, "1", "lost memory means a boot");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_streams_and_knows_apps_and_machines() {
    let world = World::running().await;
    world.public_app("a").await;
    world.public_app("empty").await;
    let (machine, path) = started(&world, service()).await;
    assert_eq!(world.edge("a", "/host", &[]).await.1, "a.fly.dev");
    assert_eq!(world.edge("nobody", "/", &[]).await.0, 404);
    world.app("hidden").await;
    assert_eq!(world.edge("hidden", "/", &[]).await.0, 404, "it has no address");
    assert_eq!(world.edge("empty", "/", &[]).await.0, 502);
    let id = text(&machine, "id");
    assert_eq!(world.edge("a", "/", &[("fly-force-instance-id", &id)]).await.0, 200);
    assert_eq!(world.edge("a", "/", &[("fly-force-instance-id", "0123456789abcd")]).await.0, 502);
    let events = world.edge("a", "/events", &[]).await.1;
    assert_eq!(events.matches("data:").count(), 3);

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(world.sim.edge()).await.unwrap();
    let ask = "GET /echo HTTP/1.1\r\nhost: a.fly.dev\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 1024]);
    while !seen.contains("\r\n\r\n") {
        let count = stream.read(&mut buffer).await.unwrap();
        seen += &String::from_utf8_lossy(&buffer[..count]);
    }
    assert!(seen.starts_with("HTTP/1.1 101"), "{seen}");
    stream.write_all(b"ping").await.unwrap();
    let count = stream.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"ping");

    world.post(&format!("{path}/cordon"), Value::Null).await;
    assert_eq!(world.edge("a", "/", &[]).await.0, 502);
    world.post(&format!("{path}/uncordon"), Value::Null).await;
    assert_eq!(world.edge("a", "/", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_machine_is_suspended_and_woken_only_when_its_service_says_so() {
    let world = World::with(|settings| {
        settings.runner = guest();
        settings.delays.idle = Duration::from_millis(400);
    })
    .await;
    world.public_app("a").await;
    let mut config = service();
    config["services"][0]["autostart"] = true.into();
    config["services"][0]["autostop"] = "suspend".into();
    let (machine, path) = started(&world, config).await;
    assert_eq!(world.edge("a", "/count", &[]).await.1, "1");
    world.wait("a", &machine, "suspended").await;
    assert_eq!(world.edge("a", "/count", &[]).await.1, "2", "it is woken with its memory");
    assert_eq!(world.get(&path).await.body["config"]["services"][0]["autostop"], "suspend");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_is_told_with_its_code_and_started_again_when_its_policy_says_so() {
    let world = World::running().await;
    world.public_app("a").await;
    let (machine, path) = started(&world, service()).await;
    world
        .client
        .get(format!("http://{}/exit/9", world.sim.edge()))
        .header("host", "a.fly.dev")
        .send()
        .await
        .unwrap();
    world.wait("a", &machine, "stopped").await;
    let exit = &world.get(&path).await.body["events"][0]["request"]["exit_event"];
    assert_eq!((&exit["exit_code"], &exit["requested_stop"]), (&json!(9), &json!(false)));
    let mut config = service();
    config["restart"] = json!({"policy": "always"});
    let updated = world.post(&path, json!({"config": config})).await.body;
    world.wait("a", &updated, "started").await;
    eventually("it answers", async || world.edge("a", "/count", &[]).await.1 == "1").await;
    world.edge("a", "/exit/9", &[]).await;
    eventually("it runs again", async || world.edge("a", "/count", &[]).await.1 == "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_with_the_machines_environment_and_a_signal_reaches_the_program() {
    let world = World::running().await;
    world.public_app("a").await;
    let (machine, path) = started(&world, service()).await;
    let run = json!({"command": ["/bin/sh", "-c", "cat; echo $FLY_APP_NAME >&2; exit 3"], "stdin": "in", "timeout": 5});
    let done = world.post(&format!("{path}/exec"), run).await.body;
    assert_eq!(done, json!({"exit_code": 3, "exit_signal": 0, "stdout": "in", "stderr": "a\n"}));
    let late = json!({"command": ["/bin/sleep", "30"], "timeout": 1});
    assert_eq!(world.post(&format!("{path}/exec"), late).await.status, 408);
    world.post(&format!("{path}/signal"), json!({"signal": 9})).await;
    world.wait("a", &machine, "stopped").await;
    assert_eq!(world.post(&format!("{path}/exec"), json!({"command": ["true"]})).await.status, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_outlives_its_machines_and_a_snapshot_fills_a_new_one() {
    let world = World::running().await;
    world.public_app("a").await;
    let volume = world.post("/apps/a/volumes", json!({"name": "home", "region": "fra"})).await.body;
    let mut config = service();
    config["mounts"] = json!([{"volume": volume["id"], "path": "/data"}]);
    let (machine, path) = started(&world, config).await;
    let folder = world.sim.volume_folder(&text(&volume, "id"));
    std::fs::write(folder.join("kept"), "yes").unwrap();
    world.call(Method::DELETE, &format!("{path}?force=true"), Value::Null).await;
    world.wait("a", &machine, "destroyed").await;
    assert_eq!(processes(&text(&machine, "id")), Vec::<i32>::new());
    let snapshots = format!("/apps/a/volumes/{}/snapshots", text(&volume, "id"));
    let snapshot = world.post(&snapshots, Value::Null).await.body;
    let from = json!({"name": "copy", "region": "fra", "snapshot_id": snapshot["id"]});
    let copy = world.post("/apps/a/volumes", from).await.body;
    let copied = world.sim.volume_folder(&text(&copy, "id")).join("kept");
    assert_eq!(std::fs::read_to_string(copied).unwrap(), "yes");
    assert_eq!(world.get(&snapshots).await.body.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_simulator_finds_its_machines_again_and_a_stopped_one_ends_them() {
    let world = World::running().await;
    world.public_app("a").await;
    let (machine, _) = started(&world, service()).await;
    assert_eq!(world.edge("a", "/count", &[]).await.1, "1");
    let World { folder, sim, client } = world;
    drop(sim);
    let mut settings = Settings::new(folder.path());
    settings.runner = guest();
    let world = World { sim: Sim::start(settings).await.unwrap(), folder, client };
    assert_eq!(world.edge("a", "/count", &[]).await.1, "2", "the same process goes on");
    let pids = processes(&text(&machine, "id"));
    let World { folder, sim, client } = world;
    sim.stop().await;
    assert!(pids.iter().all(|pid| matches!(state_of(*pid), '?' | 'Z')), "{pids:?}");
    let mut settings = Settings::new(folder.path());
    settings.runner = guest();
    let world = World { sim: Sim::start(settings).await.unwrap(), folder, client };
    assert_eq!(world.get("/apps/a/machines").await.body[0]["state"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_tells_its_addresses_first_and_ends_with_its_machines() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_sim-fly"))
        .args(["--speed", "fast", "--folder"])
        .arg(folder.path())
        .args(["--", env!("CARGO_BIN_EXE_sim-fly-guest")])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    use tokio::io::AsyncBufReadExt;
    let output = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let first: Value = serde_json::from_str(&output.lines().next_line().await.unwrap().unwrap()).unwrap();
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| -> Value {
        let url = format!("{}/v1{path}", text(&first, "api"));
        let sent = client.post(url).bearer_auth("sim-token").json(&body).send().await.unwrap();
        sent.json().await.unwrap()
    };
    post("/apps", json!({"name": "a", "org_slug": "personal"})).await;
    let machine = post("/apps/a/machines", json!({"config": service()})).await;
    let id = text(&machine, "id");
    eventually("it runs", async || processes(&id).len() >= 2).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!(processes(&id), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relative_folder_is_the_same_folder_for_whoever_runs_a_machine() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let relative = std::path::Path::new(folder.path().file_name().unwrap());
    assert!(relative.is_relative());
    let sim = Sim::start(Settings::new(relative)).await.unwrap();
    let volume = sim.volume_folder("vol_1");
    assert!(volume.is_absolute(), "{}", volume.display());
    assert!(volume.starts_with(std::env::current_dir().unwrap().join(relative)), "{}", volume.display());
    sim.stop().await;
}
