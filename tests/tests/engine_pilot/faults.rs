//! What can be missing, broken or full on a machine: a code each, and nothing lost.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::repo::Repo;
use crate::support::world::{World, program};

async fn failed_create(world: &World, body: Value) -> Value {
    let ended = world.api.ended(&world.api.create(body).await).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    ended["error"].clone()
}

/// A failed workspace is still owned, and deleting it leaves nothing.
async fn can_be_deleted(world: &World, slug: &str) {
    let workspace = world.api.workspace(slug).await;
    assert_eq!(workspace["state"], "failed", "{workspace:#}");
    leaves_nothing_when_deleted(world, slug).await;
}

async fn leaves_nothing_when_deleted(world: &World, slug: &str) {
    let workspace = world.api.workspace(slug).await;
    world.api.succeeded(&world.api.delete(slug).await).await;
    world.witness.nothing_is_left(workspace["runtimeId"].as_str().unwrap());
}

#[tokio::test]
async fn a_git_repository_or_ref_that_does_not_exist_is_named() {
    let world = World::start().await;
    let repo = Repo::new();
    let absent = json!({"slug": "absent", "git": {"url": "file:///nonexistent/repo.git"}});
    let error = failed_create(&world, absent).await;
    assert_eq!(error["code"], "git_not_found", "{error:#}");
    can_be_deleted(&world, "absent").await;

    let no_ref = json!({"slug": "no-ref", "git": {"url": repo.file_url(), "ref": "no-such-branch"}});
    let error = failed_create(&world, no_ref).await;
    assert_eq!(error["code"], "git_not_found", "{error:#}");
    can_be_deleted(&world, "no-ref").await;
}

#[tokio::test]
async fn a_start_after_a_failed_clone_clones_again_as_its_error_says() {
    let world = World::start().await;
    let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
    let later = folder.path().join("later");
    let git = json!({"url": format!("file://{}", later.display())});
    let error = failed_create(&world, json!({"slug": "demo", "git": git})).await;
    assert_eq!(error["code"], "git_not_found", "{error:#}");
    std::os::unix::fs::symlink(repo.path(), &later).unwrap();
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    let workspace = world.api.workspace("demo").await;
    assert_eq!(workspace["state"], "ready", "{workspace:#}");
    let home = world.data.join("local").join(workspace["runtimeId"].as_str().unwrap());
    let found = std::process::Command::new("find").arg(home).args(["-name", "README.md"]).output().unwrap();
    assert!(!found.stdout.is_empty(), "the repository is there");
}

#[tokio::test]
async fn a_git_host_that_does_not_answer_is_told_from_a_missing_repository() {
    let world = World::start().await;
    // A port that was free a moment ago: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/repo.git");
    let error = failed_create(&world, json!({"slug": "demo", "git": {"url": url}})).await;
    assert_eq!((error["code"].as_str(), error["retryable"].as_bool()), (Some("git_unreachable"), Some(true)));
    can_be_deleted(&world, "demo").await;
}

/// A tools folder with the real Pulumi and this OpenCode.
fn tools_with(folder: &Path, opencode: Option<&str>) -> PathBuf {
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let cache = orchestrator_tools();
    let pulumi = format!("pulumi-{}", automation::versions::NEWEST);
    std::os::unix::fs::symlink(cache.join(&pulumi), tools.join(&pulumi)).unwrap();
    if let Some(script) = opencode {
        let path = tools.join("opencode-1.18.33");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("opencode"), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path.join("opencode"), mode).unwrap();
    }
    tools
}

fn orchestrator_tools() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(home);
    std::env::var_os("PILOT_TOOLS").map(PathBuf::from).unwrap_or_else(|| cache.join("pilot/tools"))
}

#[tokio::test]
async fn without_the_engine_host_workspaces_work_and_doctor_says_what_is_slower() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools_with(folder.path(), None);
    let opencode = orchestrator_tools().join("opencode-1.18.33");
    std::os::unix::fs::symlink(opencode, tools.join("opencode-1.18.33")).unwrap();
    let cold = World::start_with_env(&[], &[("PILOT_TOOLS", tools.to_str().unwrap())]).await;
    cold.api.create_ready("demo", "local").await;
    cold.api.succeeded(&cold.api.delete("demo").await).await;
    let said = cold.pilot(&["doctor"]);
    assert!(said.contains("engine: not warm: each create") && said.contains("cargo xtask tools"), "{said}");
    assert!(cold.log().contains("running stacks with the Pulumi CLI, which is slower"));

    let warm = World::start().await;
    let said = warm.pilot(&["doctor"]);
    assert!(said.contains("engine: warm, ") && !said.contains("slower"), "{said}");
    assert!(!warm.log().contains("which is slower"));
}

#[tokio::test]
async fn without_the_pulumi_cli_workspaces_work_and_doctor_and_exports_say_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let host = format!("pilot-engine-{}", automation::versions::NEWEST);
    for name in [host.as_str(), "opencode-1.18.33"] {
        std::os::unix::fs::symlink(orchestrator_tools().join(name), tools.join(name)).unwrap();
    }
    let env = [("PILOT_TOOLS", tools.to_str().unwrap()), ("PATH", "/usr/bin:/bin")];
    let world = World::start_with_env(&[], &env).await;
    world.api.create_ready("demo", "local").await;
    let said = world.pilot(&["doctor"]);
    assert!(
        said.contains("engine: warm, ") && said.contains("pulumi: not here. No workspace needs it"),
        "{said}"
    );
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    let script = Command::new("sh")
        .args(["-c", ". ./env.sh"])
        .env("PATH", "/usr/bin:/bin")
        .current_dir(&out)
        .output()
        .unwrap();
    let said = String::from_utf8(script.stderr).unwrap();
    assert!(script.status.success() && said.contains("`cargo xtask tools` builds it"), "{said}");
    world.api.succeeded(&world.api.delete("demo").await).await;
}

#[tokio::test]
async fn a_missing_opencode_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools_with(folder.path(), None);
    let world = World::start_with_env(&[], &[("PILOT_TOOLS", tools.to_str().unwrap())]).await;
    let response = world.api.post("/v1/workspaces", &json!({"slug": "demo"})).await;
    assert_eq!(response.status(), 503);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "opencode_missing");
    assert!(problem["action"].as_str().unwrap().contains("cargo xtask tools"), "{problem:#}");
    assert_eq!(world.api.get("/v1/workspaces").await, json!({"workspaces": []}));
}

#[tokio::test]
async fn an_instance_that_never_becomes_ready_shows_its_log_and_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\necho the model is still warming up >&2\nexec sleep 600\n";
    let tools = tools_with(folder.path(), Some(script));
    let env = [("PILOT_TOOLS", tools.to_str().unwrap())];
    let world = World::start_with_env(&["--ready-timeout", "3"], &env).await;
    let error = failed_create(&world, json!({"slug": "demo"})).await;
    assert_eq!(error["code"], "instance_not_ready", "{error:#}");
    assert!(error["detail"].as_str().unwrap().contains("the model is still warming up"), "{error:#}");
    // It may yet become ready: that it failed is not known.
    let state = world.api.workspace("demo").await["state"].clone();
    assert!(["unknown", "degraded"].contains(&state.as_str().unwrap()), "{state}");
    leaves_nothing_when_deleted(&world, "demo").await;
}

#[tokio::test]
async fn an_instance_that_becomes_ready_after_its_create_has_given_up_is_ready_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let opencode = orchestrator_tools().join("opencode-1.18.33/opencode");
    let script = format!("#!/bin/sh\nsleep 6\nexec {} \"$@\"\n", opencode.display());
    let tools = tools_with(folder.path(), Some(&script));
    let env = [("PILOT_TOOLS", tools.to_str().unwrap())];
    let world = World::start_with_env(&["--ready-timeout", "2"], &env).await;
    let error = failed_create(&world, json!({"slug": "demo"})).await;
    assert_eq!(error["code"], "instance_not_ready", "{error:#}");
    let ready = eventually("the workspace to be ready", Duration::from_secs(40), || async {
        let now = world.api.workspace("demo").await;
        (now["state"] == "ready").then_some(now)
    })
    .await;
    assert!(ready["error"].is_null(), "{ready:#}");
    world.api.succeeded(&world.api.delete("demo").await).await;
}

#[tokio::test]
async fn an_operation_that_is_cancelled_ends_and_what_was_desired_before_is_desired_again() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools_with(folder.path(), Some("#!/bin/sh\nexec sleep 600\n"));
    let env = [("PILOT_TOOLS", tools.to_str().unwrap())];
    let world = World::start_with_env(&[], &env).await;
    let create = world.api.create(json!({"slug": "demo"})).await;
    let id = create["id"].as_str().unwrap();
    eventually("the create to wait for its instance", Duration::from_secs(30), || async {
        let operation: Value = world.api.get(&format!("/v1/operations/{id}")).await;
        operation["phases"]["booted"].is_string().then_some(())
    })
    .await;
    let stop = world.api.change("demo", "stop").await;
    let why: Value = world.api.get("/v1/workspaces/demo/why").await;
    let next = why["next"].as_str().unwrap();
    assert!(next.contains("reached is booted") && next.contains("waits for its turn"), "{why:#}");
    assert_eq!(
        (why["asked"][0]["action"].as_str(), why["operations"].as_array().unwrap().len()),
        (Some("stop"), 2)
    );
    let waiting = stop["id"].as_str().unwrap();
    for (id, before) in [(waiting, "running"), (id, "stopped")] {
        let asked = world.api.post(&format!("/v1/operations/{id}/cancel"), &json!({})).await;
        assert_eq!(asked.status(), 202);
        let ended = world.api.ended(if id == waiting { &stop } else { &create }).await;
        assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("canceled"), &json!("canceled")));
        assert_eq!(world.api.workspace("demo").await["desired"], before);
    }
    // What is not desired to run and does is stopped.
    eventually("the instance to be stopped", Duration::from_secs(90), || async {
        (world.api.workspace("demo").await["state"] == "stopped").then_some(())
    })
    .await;
    let listed: Value = world.api.get("/v1/operations?workspace=demo&state=canceled&limit=1").await;
    assert_eq!(listed["operations"][0]["id"], waiting, "the newest first");
    let next =
        format!("/v1/operations?workspace=demo&state=canceled&cursor={}", listed["next"].as_str().unwrap());
    let rest: Value = world.api.get(&next).await;
    assert_eq!((&rest["operations"][0]["id"], &rest["next"]), (&json!(id), &Value::Null));
    world.api.succeeded(&world.api.delete("demo").await).await;
}

#[tokio::test]
async fn a_missing_docker_engine_is_refused_with_what_to_do() {
    let world = World::start_with(&["--docker-host", "unix:///nonexistent/docker.sock"]).await;
    let response = world.api.post("/v1/workspaces", &json!({"slug": "demo", "provider": "docker"})).await;
    assert_eq!(response.status(), 503);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "docker_unavailable");
    assert!(problem["action"].is_string(), "{problem:#}");
}

#[tokio::test]
async fn a_missing_instance_image_is_refused_with_what_to_do() {
    let world = World::start_with(&["--image", "pilot-instance:never-built"]).await;
    let response = world.api.post("/v1/workspaces", &json!({"slug": "demo", "provider": "docker"})).await;
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "image_missing", "{problem:#}");
    assert!(problem["action"].as_str().unwrap().contains("cargo xtask image"), "{problem:#}");
}

/// What a second `serve` says, as the problem document that `--json` prints.
fn refused_serve(data: &Path, args: &[&str], env: &[(&str, &str)]) -> Value {
    let output = Command::new(program("pilot"))
        .arg("--json")
        .arg("--data")
        .arg(data)
        .arg("serve")
        .args(["--listen-admin", "127.0.0.1:0"])
        .args(args)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&stdout)
        .unwrap_or_else(|_| panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)))
}

const ANYWHERE: [&str; 4] = ["--listen-gateway", "127.0.0.1:0", "--listen-orchestrator", "127.0.0.1:0"];

#[tokio::test]
async fn a_second_server_on_one_data_folder_is_refused() {
    let world = World::start().await;
    let problem = refused_serve(&world.data, &ANYWHERE, &[]);
    assert_eq!(problem["code"], "already_running");
    assert!(problem["detail"].as_str().unwrap().contains(&world.server_pid().to_string()), "{problem:#}");
    assert!(world.api.is_ready().await);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen-orchestrator", "--listen-gateway"] {
        let mut args = ANYWHERE;
        let position = args.iter().position(|arg| *arg == option).unwrap();
        args[position + 1] = &address;
        let problem = refused_serve(folder.path(), &args, &[]);
        assert_eq!(problem["code"], "port_in_use", "{option}: {problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains(&address), "{problem:#}");
    }
}

#[tokio::test]
async fn a_missing_pulumi_stops_the_server_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("tools");
    let env = [("PILOT_TOOLS", empty.to_str().unwrap()), ("PATH", "/usr/bin:/bin")];
    let problem = refused_serve(&folder.path().join("data"), &ANYWHERE, &env);
    assert_eq!(problem["code"], "pulumi_missing");
    assert!(problem["action"].as_str().unwrap().contains("cargo xtask tools"), "{problem:#}");
}

#[tokio::test]
async fn listening_where_strangers_reach_unisolated_workspaces_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--listen-gateway", "0.0.0.0:0", "--listen-orchestrator", "127.0.0.1:0"];
    let problem = refused_serve(folder.path(), &args, &[]);
    assert_eq!(problem["code"], "insecure_listen");
    assert!(problem["detail"].as_str().unwrap().contains("no isolation"), "{problem:#}");
}

/// A small file system of its own; unmounted with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Self {
        let path = folder.join("disk");
        std::fs::create_dir(&path).unwrap();
        let options = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status().unwrap();
        assert!(mount.success(), "this test mounts a small tmpfs and needs to be root");
        Self(path)
    }

    /// Takes all space, the rest of the last page of the server's log too: no line of it can be written.
    fn fill(&self, log: &Path) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        let mut log = std::fs::File::options().append(true).open(log).unwrap();
        while ballast.write_all(&[0; 64 * 1024]).is_ok() {}
        while log.write_all(b"\n").is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_keeps_answering_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "200m");
    let world = World::start_in(tempfile::tempdir().unwrap(), disk.0.join("data"), &[]).await;
    let first = world.api.create_ready("before", "local").await;
    disk.fill(&world.data.join("serve.log"));
    let refused = eventually("a refusal", Duration::from_secs(30), || async {
        let response = world.api.post("/v1/workspaces", &json!({"slug": "during"})).await;
        (response.status() == 507).then_some(response.json::<Value>().await.unwrap())
    })
    .await;
    assert_eq!((refused["code"].as_str(), refused["retryable"].as_bool()), (Some("store_full"), Some(true)));
    assert_eq!(world.api.workspace("before").await["runtimeId"], first["runtimeId"]);
    let told = world.pilot_output(&["doctor"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("MISS  data folder") && told.contains("its disk is full"), "{told}");

    disk.free();
    world.api.create_ready("after", "local").await;
    for slug in ["before", "after"] {
        world.api.succeeded(&world.api.delete(slug).await).await;
    }
}
