//! Backups of a Pilot that is at work, restored in another data folder: everything is found again, nothing is doubled.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::postgres::Postgres;
use crate::support::eventually;
use crate::support::world::{World, program};

/// What only the operator has.
struct Vault {
    folder: tempfile::TempDir,
}

impl Vault {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "0123456789abcdef0123456789abcdef\n").unwrap();
        Self { folder }
    }

    fn key(&self) -> String {
        self.folder.path().join("key").display().to_string()
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn backup(&self, world: &World, name: &str) -> Value {
        let file = self.file(name);
        let said = world.pilot(&["--json", "backup", "create", &file, "--key-file", &self.key()]);
        serde_json::from_str(&said).unwrap()
    }

    /// In a folder of its own, and served there.
    async fn restore(&self, name: &str) -> (World, Value) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("elsewhere");
        let output =
            pilot(&data, &["--json", "backup", "restore", &self.file(name), "--key-file", &self.key()]);
        let read = serde_json::from_str(&String::from_utf8_lossy(&output.stdout))
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (World::start_in(folder, data, &[]).await, read)
    }
}

fn pilot(data: &Path, args: &[&str]) -> std::process::Output {
    std::process::Command::new(program("pilot")).arg("--data").arg(data).args(args).output().unwrap()
}

async fn all_ready(world: &World, count: usize) -> Vec<Value> {
    eventually("all of them to be ready", Duration::from_secs(120), || async {
        let list = world.api.get("/v1/workspaces").await;
        let all = list["workspaces"].as_array().unwrap().clone();
        let is_ready = |one: &Value| one["state"] == "ready";
        (all.len() == count && all.iter().all(is_ready)).then_some(all)
    })
    .await
}

#[tokio::test]
async fn a_backup_that_is_made_while_creates_run_is_restored_elsewhere_and_nothing_is_doubled() {
    for moment in ["queued", "planned", "applied"] {
        let vault = Vault::new();
        let mut world = World::start_on_docker().await;
        world.api.create_ready("one", "docker").await;
        let mut last = Value::Null;
        for slug in ["two", "three", "four"] {
            last = world.api.create(json!({"slug": slug, "provider": "docker"})).await;
        }
        let path = format!("/v1/operations/{}", last["id"].as_str().unwrap());
        eventually("the phase of the last", Duration::from_secs(60), || async {
            world.api.get(&path).await["phases"][moment].is_string().then_some(())
        })
        .await;
        let created = vault.backup(&world, "a.backup");
        assert_eq!(created["rows"]["workspaces"], 4, "{created:#}");
        world.kill();
        let (other, read) = vault.restore("a.backup").await;
        assert_eq!((&read["workspaces"], &read["orphans"]), (&json!(4), &json!([])), "{read:#}");
        let workspaces = all_ready(&other, 4).await;
        let containers = other.witness.containers();
        assert_eq!(containers.len(), 4, "{moment}: {containers:?}");
        for workspace in &workspaces {
            let slug = workspace["slug"].as_str().unwrap();
            other.api.succeeded(&other.api.change(slug, "apply").await).await;
        }
        assert_eq!(
            other.witness.containers(),
            containers,
            "what was found is what is used, also by an apply"
        );
        let plan: Value =
            other.api.post("/v1/workspaces/two/preview", &json!({})).await.json().await.unwrap();
        assert_eq!(plan["changes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["same"], "{plan:#}");
        for workspace in &workspaces {
            let slug = workspace["slug"].as_str().unwrap();
            other.api.succeeded(&other.api.delete(slug).await).await;
        }
        assert_eq!(other.witness.docker_objects(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_backup_of_a_data_folder_is_restored_in_a_database_and_goes_on_there() {
    let (vault, server) = (Vault::new(), Postgres::start());
    let mut world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    vault.backup(&world, "a.backup");
    world.kill();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("elsewhere");
    let (file, key, url) = (vault.file("a.backup"), vault.key(), server.url());
    let output = pilot(&data, &["backup", "restore", &file, "--key-file", &key, "--database", &url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other = World::start_in_with_database(folder, data, &url).await;
    let containers = other.witness.containers();
    all_ready(&other, 1).await;
    other.api.succeeded(&other.api.change("demo", "apply").await).await;
    assert_eq!((other.witness.containers(), containers.len()), (containers, 1));
    let again = other.pilot(&["--json", "backup", "create", &vault.file("b.backup"), "--key-file", &key]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["manifest"]["store"], &again["rows"]["workspaces"]), (&json!("postgres"), &json!(1)));
    other.api.succeeded(&other.api.delete("demo").await).await;
    assert_eq!(other.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_that_is_killed_is_no_backup() {
    let vault = Vault::new();
    let world = World::start().await;
    many_states(&world.data, 3_000);
    let (file, key) = (vault.file("a.backup"), vault.key());
    let mut command = std::process::Command::new(program("pilot"));
    command.arg("--data").arg(&world.data).args(["backup", "create", &file, "--key-file", &key]);
    let mut child = command.spawn().unwrap();
    let begun = || {
        let mut files = std::fs::read_dir(vault.folder.path()).unwrap().flatten();
        files.find(|file| file.file_name().to_string_lossy().ends_with(".part")).map(|file| file.path())
    };
    let part = eventually("some of it to be written", Duration::from_secs(30), || async {
        begun().filter(|part| part.metadata().is_ok_and(|file| file.len() > 1_000_000))
    })
    .await;
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was at work when it was killed");
    assert!(!Path::new(&file).exists());
    let taken =
        pilot(&world.data, &["--json", "backup", "verify", &part.display().to_string(), "--key-file", &key]);
    let problem: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(problem["code"], "backup_incomplete", "also under its other name: {problem:#}");
    vault.backup(&world, "a.backup");
}

#[tokio::test]
async fn the_server_of_before_changes_nothing_any_more_of_what_the_restored_one_has_worked_on() {
    let vault = Vault::new();
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    vault.backup(&world, "a.backup");
    let (other, _) = vault.restore("a.backup").await;
    other.api.succeeded(&other.api.change("demo", "restart").await).await;
    let containers = other.witness.containers();
    let stopped = world.api.ended(&world.api.change("demo", "stop").await).await;
    assert_eq!(
        (&stopped["state"], &stopped["error"]["code"]),
        (&json!("failed"), &json!("fenced")),
        "{stopped:#}"
    );
    assert_eq!(other.witness.containers(), containers);
    assert_eq!(other.api.workspace("demo").await["state"], "ready");
}

#[tokio::test]
async fn a_process_that_still_runs_in_the_folder_of_before_is_named_and_left_alone() {
    let vault = Vault::new();
    let mut world = World::start().await;
    world.api.create_ready("demo", "local").await;
    vault.backup(&world, "a.backup");
    world.kill();
    let before = world.witness.leaders();
    let (other, _) = vault.restore("a.backup").await;
    let ended = other.api.ended(&other.api.change("demo", "start").await).await;
    assert_eq!(ended["error"]["code"], "foreign_object", "{ended:#}");
    let words = format!("{} {}", ended["error"]["detail"], ended["error"]["action"]);
    assert!(words.contains(&world.data.display().to_string()), "{words}");
    assert_eq!(world.witness.leaders(), before, "it is another's");
    // As it says, word by word.
    let advice = words.split('`').find(|words| words.starts_with("kill ")).unwrap();
    assert!(std::process::Command::new("sh").args(["-c", advice]).status().unwrap().success());
    eventually("its end", Duration::from_secs(20), || async {
        world.witness.leaders().is_empty().then_some(())
    })
    .await;
    other.api.succeeded(&other.api.change("demo", "start").await).await;
    other.api.succeeded(&other.api.delete("demo").await).await;
}

#[tokio::test]
async fn what_was_deleted_after_the_backup_is_told_and_made_again_when_asked_and_what_was_made_after_it_is_told()
 {
    let vault = Vault::new();
    let mut world = World::start_on_docker().await;
    world.api.create_ready("old", "docker").await;
    vault.backup(&world, "a.backup");
    world.api.succeeded(&world.api.delete("old").await).await;
    let new = world.api.create_ready("new", "docker").await;
    world.kill();
    let (other, _) = vault.restore("a.backup").await;
    // The container of `new` is somebody's that no row knows.
    assert_eq!(other.api.get("/v1/workspaces").await["workspaces"].as_array().unwrap().len(), 1);
    eventually("the loss of its home to be told", Duration::from_secs(120), || async {
        (other.api.workspace("old").await["error"]["code"] == "home_gone").then_some(())
    })
    .await;
    other.api.succeeded(&other.api.change("old", "start").await).await;
    assert_eq!(other.witness.containers().len(), 2);
    let checks: Value = serde_json::from_slice(&other.pilot_output(&["--json", "doctor"]).stdout).unwrap();
    let runtime = new["runtimeId"].as_str().unwrap();
    let left =
        checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == "left docker").cloned();
    let left = left.unwrap_or_else(|| panic!("{checks:#}"));
    let detail = left["detail"].as_str().unwrap();
    assert!(left["action"].is_string() && detail.contains(runtime), "{left:#}");
    let names: Vec<_> = checks["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert!(!names.contains(&&json!("left local")), "processes of containers are not its own: {names:?}");
    let known = other.api.workspace("old").await;
    assert!(!detail.contains(known["runtimeId"].as_str().unwrap()), "{left:#}");
}

#[tokio::test]
async fn a_restore_that_is_killed_is_not_served_and_ends_when_asked_again() {
    let vault = Vault::new();
    let world = World::start().await;
    many_states(&world.data, 3_000);
    vault.backup(&world, "a.backup");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("elsewhere");
    let args = [
        "backup".to_owned(),
        "restore".to_owned(),
        vault.file("a.backup"),
        "--key-file".to_owned(),
        vault.key(),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut killed = 0;
    for states in [0, 500, 2_000] {
        let mut command = std::process::Command::new(program("pilot"));
        let mut child = command.arg("--data").arg(&data).args(&args).spawn().unwrap();
        let stacks = data.join("pulumi/state/.pulumi/stacks/pilot");
        eventually("the restore to be so far", Duration::from_secs(60), || async {
            let count = std::fs::read_dir(&stacks).map_or(0, |files| files.count());
            (data.join("restoring").exists() && count >= states).then_some(())
        })
        .await;
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let served = pilot(&data, &["serve"]);
        let words = String::from_utf8_lossy(&served.stderr).into_owned();
        assert!(served.status.code() == Some(4) && words.contains("store_incomplete"), "{words}");
    }
    assert_eq!(killed, 3);
    let output = pilot(&data, &args);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && words.contains("rt-many-2999"), "{words}");
    assert_eq!(std::fs::read_dir(data.join("pulumi/state/.pulumi/stacks/pilot")).unwrap().count(), 3_000);
}

/// The most memory that a command had, in MiB. It has to succeed.
async fn peak(data: &Path, args: &[&str]) -> u64 {
    let mut child =
        std::process::Command::new(program("pilot")).arg("--data").arg(data).args(args).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    eventually("the command to end", Duration::from_secs(120), || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or_default() / 1024);
        let ended = child.try_wait().unwrap();
        async move { ended.map(|status| assert!(status.success())) }
    })
    .await;
    peak
}

#[tokio::test]
async fn a_state_of_any_size_takes_little_memory() {
    const MIB: usize = 128;
    let vault = Vault::new();
    let world = World::start().await;
    many_states(&world.data, 1);
    let big = world.data.join("pulumi/state/.pulumi/stacks/pilot/rt-big.json");
    let text =
        format!("{{\"version\":3,\"checkpoint\":{{\"stack\":\"{}\"}}}}", "x".repeat(MIB * 1024 * 1024));
    std::fs::write(&big, &text).unwrap();
    let (file, key, to) = (vault.file("big.backup"), vault.key(), vault.folder.path().join("to"));
    for (what, data) in [("create", &world.data), ("verify", &to), ("restore", &to)] {
        let most = peak(data, &["backup", what, &file, "--key-file", &key]).await;
        eprintln!("{what}: {most} MiB at most, with a state of {MIB} MiB");
        assert!(0 < most && most < MIB as u64 / 2, "{what} took {most} MiB");
    }
    assert!(
        std::fs::read(to.join("pulumi/state/.pulumi/stacks/pilot/rt-big.json")).unwrap() == text.as_bytes()
    );
}

/// Stacks that no workspace has.
pub fn many_states(data: &Path, count: usize) {
    let folder = data.join("pulumi/state/.pulumi/stacks/pilot");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..count {
        let name = format!("rt-many-{number}");
        let state =
            json!({"version": 3, "checkpoint": {"stack": name, "latest": {"note": "x".repeat(2_000)}}});
        std::fs::write(folder.join(format!("{name}.json")), state.to_string()).unwrap();
    }
}

#[tokio::test]
async fn every_refusal_says_what_happened_and_what_to_do_and_has_its_exit_code() {
    let vault = Vault::new();
    let world = World::start().await;
    vault.backup(&world, "a.backup");
    let good = std::fs::read(vault.file("a.backup")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(vault.file(name), bytes).unwrap();
    write("cut.backup", &good[..good.len() / 2]);
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    write("changed.backup", &changed);
    write("other.key", &[b'x'; 40]);
    write("short.key", b"secret");
    let (key, other, short) = (vault.key(), vault.file("other.key"), vault.file("short.key"));
    let empty = vault.folder.path().join("empty");
    let mine = world.data.clone();
    let verify = |file: &str, key: &str| -> (PathBuf, Vec<String>) {
        let words = ["backup", "verify", &vault.file(file), "--key-file", key];
        (empty.clone(), words.map(str::to_owned).to_vec())
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for ((data, args), exit, code) in [
        (verify("a.backup", &other), 7, "backup_key_rejected"),
        (verify("a.backup", &short), 7, "backup_key_rejected"),
        (verify("cut.backup", &key), 7, "backup_incomplete"),
        (verify("changed.backup", &key), 7, "backup_damaged"),
        (verify("none.backup", &key), 1, "backup_unusable"),
        (
            (mine.clone(), words(&["backup", "create", &vault.file("a.backup"), "--key-file", &key])),
            1,
            "backup_unusable",
        ),
        (
            (empty.clone(), words(&["backup", "create", &vault.file("b.backup"), "--key-file", &key])),
            1,
            "data_folder_unusable",
        ),
        (
            (mine.clone(), words(&["backup", "restore", &vault.file("a.backup"), "--key-file", &key])),
            4,
            "already_running",
        ),
    ] {
        let args: Vec<&str> = std::iter::once("--json").chain(args.iter().map(String::as_str)).collect();
        let output = pilot(&data, &args);
        let problem: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(
            (output.status.code(), &problem["code"]),
            (Some(exit), &json!(code)),
            "{args:?}: {problem:#}"
        );
        assert!(problem["action"].as_str().is_some_and(|action| !action.is_empty()), "{problem:#}");
    }
    assert!(!empty.exists() && world.api.is_ready().await);
    let help = String::from_utf8(pilot(&empty, &["backup", "--help"]).stdout).unwrap();
    assert!(
        help.contains("PILOT_BACKUP_KEY_FILE") && help.contains("Without its key nobody can read one"),
        "{help}"
    );
    assert_eq!(
        pilot(&empty, &["backup", "create", "x"]).status.code(),
        Some(2),
        "without a key there is no backup"
    );
}
