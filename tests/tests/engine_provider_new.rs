//! `pilot provider new` for real: in a copy of the repository, from nothing to a workspace that is ready.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const NAME: &str = "two-brooks";
/// Why of the promises some are not about the template.
const WITHOUT: [&str; 4] = [
    "it can reach one place alone",
    "it pulls from no registry of the test",
    "no setting decides what is offered",
    "runtimes share nothing",
];

/// The repository as it is now, without what git ignores. Files keep their times, so that cargo takes what
/// it has built from the original for built from the copy. Outside the target folder: what cargo builds
/// from sources in there it would never build again when the original changes.
struct Copy {
    repository: PathBuf,
    programs: PathBuf,
    _place: tempfile::TempDir,
}

impl Copy {
    fn make() -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |folder| place.path().join(folder);
        let copy = Self { repository: at("repository"), programs: at("target"), _place: place };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = output(Command::new("git").current_dir(source).args(listed));
        let files: BTreeSet<&str> =
            listed.split('\0').filter(|file| !file.is_empty() && source.join(file).exists()).collect();
        for file in &files {
            let (from, to) = (source.join(file), copy.repository.join(file));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if let Ok(target) = fs::read_link(&from) {
                std::os::unix::fs::symlink(target, &to).unwrap();
                continue;
            }
            fs::copy(&from, &to).unwrap();
            let times = fs::FileTimes::new().set_modified(fs::metadata(&from).unwrap().modified().unwrap());
            fs::File::options().append(true).open(&to).unwrap().set_times(times).unwrap();
        }
        copy
    }

    /// Cargo in the copy. What it makes of others' crates is shared with this repository.
    fn cargo(&self, arguments: &[&str]) -> String {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        output(
            cargo
                .current_dir(&self.repository)
                .args(arguments)
                .env("CARGO_BUILD_BUILD_DIR", shared)
                .env("CARGO_TARGET_DIR", &self.programs)
                .env("CARGO_NET_OFFLINE", "true"),
        )
    }

    /// The `pilot` that was built in the copy.
    fn pilot(&self) -> Command {
        Command::new(self.programs.join("debug/pilot"))
    }
}

/// What a command prints; a failure fails the test with all of it.
fn output(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{command:?}: {}\n{}", text(&done.stdout), text(&done.stderr));
    text(&done.stdout)
}

/// The program that `cargo xtask test` has built from this repository.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{} is missing; run `cargo build` first", path.display());
    path
}

/// A server on a data folder of its own; ended when dropped.
struct Server {
    child: Child,
    data: tempfile::TempDir,
}

impl Server {
    fn start(copy: &Copy) -> Self {
        let data = tempfile::tempdir().unwrap();
        let log = fs::File::create(data.path().join("serve.log")).unwrap();
        let any = "127.0.0.1:0";
        let child = copy
            .pilot()
            .arg("--data")
            .arg(data.path())
            .args(["serve", "--providers", NAME, "--gateway", any, "--orchestrator", any, "--admin", any])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, data };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server.data.path().join("endpoints.json").exists() {
            let log = || fs::read_to_string(server.data.path().join("serve.log")).unwrap_or_default();
            assert!(server.child.try_wait().unwrap().is_none() && Instant::now() < deadline, "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_new_provider_compiles_keeps_every_promise_and_makes_a_workspace() {
    let copy = Copy::make();
    let new = ["provider", "new", NAME];
    output(Command::new(built("pilot")).current_dir(&copy.repository).args(new));
    let again = Command::new(built("pilot")).current_dir(&copy.repository).args(new).output().unwrap();
    assert_eq!(again.status.code(), Some(7), "it is there already");

    let tests = copy.cargo(&["test", "--locked", "-p", &format!("provider-{NAME}")]);
    assert!(tests.contains("create_twice_adopts ... ok"), "{tests}");
    copy.cargo(&["fmt", "--all", "--", "--check"]);
    copy.cargo(&["build", "--locked", "-p", "cli", "-p", "orchestrator", "-p", "provider-check"]);

    let report = output(copy.pilot().args(["provider", "check", NAME, "--json"]));
    let counts: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(counts["failed"], 0, "{report}");
    let cases = report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let without = cases.filter(|case| case["verdict"] == "notApplicable");
    let without: BTreeSet<String> = without.map(|case| case["why"].as_str().unwrap().to_owned()).collect();
    // The template has all else.
    assert_eq!(without, WITHOUT.map(str::to_owned).into());
    assert!(counts["passed"].as_u64().unwrap() > 30, "{report}");

    let server = Server::start(&copy);
    let on = |words: &[&str]| output(copy.pilot().arg("--data").arg(server.data.path()).args(words));
    on(&["ws", "create", "demo", "--provider", NAME]);
    let list: Value = serde_json::from_str(&on(&["ws", "ls", "--json"])).unwrap();
    let workspace = &list["workspaces"][0];
    assert_eq!((&workspace["state"], &workspace["provider"]), (&"ready".into(), &NAME.into()), "{list}");
    on(&["ws", "rm", "demo", "--yes"]);
}
