//! The root `Pulumi.yaml`: the plain CLI installs Pilot itself on the real Docker engine, repairs it, and
//! removes it again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// The helpers below are shared with the crate's own tests, which know it by its public name.
extern crate automation as pulumi_auto;

#[path = "../../automation/tests/support/tools.rs"]
mod tools;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// One installation of a test's own: a name, ports, a stack.
struct Installation {
    name: String,
    gateway: String,
    folder: tempfile::TempDir,
    /// What its workspaces' objects are labelled with, from the first `up` on.
    id: OnceLock<String>,
}

impl Installation {
    fn new() -> Self {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            (listener.local_addr().unwrap().to_string(), listener)
        };
        // Held until all are chosen, so that no two are the same.
        let [(gateway, _a), (orchestrator, _b), (admin, _c)] = [free(), free(), free()];
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        std::fs::copy(root.join("Pulumi.yaml"), folder.path().join("Pulumi.yaml")).unwrap();
        let name = format!("pilot-install-{}", gateway.rsplit(':').next().unwrap());
        let installation = Self { name, gateway, folder, id: OnceLock::new() };
        installation.pulumi(&["stack", "init", "dev"]);
        for (key, value) in [
            ("name", &installation.name),
            ("gateway", &installation.gateway),
            ("orchestrator", &orchestrator),
            ("admin", &admin),
        ] {
            installation.pulumi(&["config", "set", key, value]);
        }
        installation
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let plugin = std::env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_path_buf();
        assert!(plugin.join("pulumi-resource-pilot").exists(), "run `cargo build` first");
        let pulumi = tools::pulumi();
        let before = std::env::var_os("PATH").unwrap();
        let ours: [PathBuf; 2] = [pulumi.parent().unwrap().to_path_buf(), plugin];
        let path = std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&before))).unwrap();
        let folder = self.folder.path();
        let mut command = Command::new(pulumi);
        command
            .args(arguments)
            .args(["--non-interactive", "--color", "never"])
            .current_dir(folder)
            .env("PATH", path)
            .env("PULUMI_HOME", folder.join("home"))
            .env("PULUMI_BACKEND_URL", format!("file://{}", folder.join("state").display()))
            .env("PULUMI_CONFIG_PASSPHRASE", "test")
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true");
        command
    }

    fn pulumi(&self, arguments: &[&str]) -> String {
        said(&mut self.command(arguments), true)
    }

    /// What the CLI said when it failed, as it must.
    fn refused(&self, arguments: &[&str]) -> String {
        said(&mut self.command(arguments), false)
    }

    fn up(&self) -> String {
        let said = self.pulumi(&["up", "--yes", "--skip-preview", "--refresh"]);
        let file = "/var/lib/pilot/secrets/installation";
        self.id.get_or_init(|| docker(&["exec", &self.name, "cat", file]).unwrap());
        said
    }

    /// Containers, networks and volumes of its workspaces, and the command that removes each.
    fn objects(&self) -> Vec<(&'static [&'static str], String)> {
        let Some(id) = self.id.get() else { return Vec::new() };
        let label = format!("label=pilot.installation={id}");
        let kinds: [(&[&str], &'static [&'static str]); 3] = [
            (&["ps", "--all"], &["rm", "--force"]),
            (&["network", "ls"], &["network", "rm"]),
            (&["volume", "ls"], &["volume", "rm"]),
        ];
        let mut found = Vec::new();
        for (list, remove) in kinds {
            let ids = docker(&[list, &["--quiet", "--filter", &label]].concat()).unwrap();
            found.extend(ids.split_whitespace().map(|id| (remove, id.to_owned())));
        }
        found
    }

    /// The command that the stack's output names.
    fn pilot(&self, words: &[&str]) -> String {
        let output = self.pulumi(&["stack", "output", "pilot"]);
        let mut all: Vec<&str> = output.split_whitespace().collect();
        all.extend(words);
        said(Command::new(all[0]).args(&all[1..]), true)
    }

    fn container(&self) -> Option<String> {
        docker(&["container", "inspect", "--format", "{{.Id}} {{.State.Status}}", &self.name])
    }

    fn volume(&self) -> Option<String> {
        docker(&["volume", "inspect", "--format", "{{.Name}}", &self.name])
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
        // The workspaces of a test that failed go with it.
        for (remove, id) in self.objects() {
            docker(&[remove, &[id.as_str()]].concat());
        }
        if let Some(id) = self.id.get() {
            tests::keeper::remove_keepers(id);
        }
        docker(&["volume", "rm", &self.name]);
    }
}

fn said(command: &mut Command, succeeds: bool) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), succeeds, "{command:?}:\n{text}");
    match succeeds {
        true => String::from_utf8_lossy(&output.stdout).into_owned(),
        false => text.into_owned(),
    }
}

fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[tokio::test]
async fn pulumi_up_installs_pilot_repairs_it_with_its_workspaces_and_destroy_leaves_nothing() {
    let here = Installation::new();
    let preview = here.pulumi(&["preview"]);
    assert!(preview.contains("3 to create"), "{preview}");
    assert_eq!((here.container(), here.volume()), (None, None), "a preview makes nothing");

    here.up();
    assert!(here.container().unwrap().ends_with("running"));
    let again = here.up();
    assert!(again.contains("3 unchanged"), "{again}");

    here.pilot(&["ws", "create", "demo"]);
    assert_eq!(here.objects().len(), 3, "a container, a network, a home: {:?}", here.objects());
    let link = here.pilot(&["ws", "open", "demo"]);
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let address = here.gateway.parse().unwrap();
    let browser = browser.no_proxy().resolve("demo.localhost", address).build().unwrap();
    let login = browser.get(link.trim()).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = format!("http://demo.localhost:{}/", address.port());
    let opened = browser.get(page).header("cookie", cookie).send().await.unwrap();
    assert_eq!(opened.status(), 200, "a workspace of the installed Pilot answers");

    let killed = here.container().unwrap();
    docker(&["kill", &here.name]).unwrap();
    let repaired = here.up();
    assert!(repaired.contains("1 updated"), "{repaired}");
    assert_eq!(here.container().unwrap(), killed);
    docker(&["rm", "--force", &here.name]).unwrap();
    let anew = here.up();
    assert!(anew.contains("1 created"), "{anew}");
    let list: Value = serde_json::from_str(&here.pilot(&["ws", "ls", "--json"])).unwrap();
    assert_eq!(list["workspaces"][0]["state"], "ready", "the volume has kept all that it knows: {list}");

    let refused = here.refused(&["destroy", "--yes", "--skip-preview"]);
    assert!(refused.contains("provider_in_use") && refused.contains("demo"), "{refused}");
    assert!(here.container().is_some() && here.volume().is_some());

    here.pilot(&["ws", "rm", "demo", "--yes"]);
    let refused = here.refused(&["destroy", "--yes", "--skip-preview"]);
    assert!(refused.contains("--deleted"), "its home would be left behind: {refused}");
    here.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    here.pulumi(&["destroy", "--yes", "--skip-preview"]);
    assert_eq!((here.container(), here.volume()), (None, None));
    assert_eq!(here.objects(), []);
}

#[test]
fn a_container_of_that_name_that_is_somebody_elses_is_refused_and_left_alone() {
    let here = Installation::new();
    let foreign = docker(&["create", "--name", &here.name, "pilot:0.1.0"]).unwrap();
    let refused = here.refused(&["up", "--yes", "--skip-preview"]);
    assert!(refused.contains("foreign_object") && refused.contains(&here.name), "{refused}");
    assert!(here.container().unwrap().starts_with(&foreign));
    here.pulumi(&["destroy", "--yes", "--skip-preview"]);
    assert!(here.container().unwrap().starts_with(&foreign), "neither does a destroy touch it");
}
