//! What really exists outside, seen without any of Pilot's code: processes by their environment,
//! containers, networks and volumes by their labels, files by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::keeper::{keepers, remove_keepers};

#[derive(Debug, Default, Clone)]
pub struct Witness {
    installation: String,
    data: PathBuf,
}

impl Witness {
    pub fn of(data: &Path) -> Self {
        let installation = std::fs::read_to_string(data.join("secrets/installation")).unwrap_or_default();
        Self { installation: installation.trim().to_owned(), data: data.to_owned() }
    }

    /// Pids whose environment names this installation: instances and all that they started.
    pub fn processes(&self) -> Vec<u32> {
        let label = format!("PILOT_INSTALLATION={}", self.installation);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == label.as_bytes())
        })
        .collect()
    }

    /// The instances' leaders: one for each running runtime.
    pub fn leaders(&self) -> Vec<u32> {
        let is_leader = |pid: &u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program = command.split(|byte| *byte == 0).next().unwrap_or_default().to_owned();
            String::from_utf8_lossy(&program).ends_with("pilot-instance")
        };
        self.processes().into_iter().filter(is_leader).collect()
    }

    /// OpenCode processes of this installation, in containers as well.
    pub fn opencode(&self) -> Vec<u32> {
        let is_opencode = |pid: &u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let program = command.split(|byte| *byte == 0).next().unwrap_or_default().to_owned();
            String::from_utf8_lossy(&program).ends_with("opencode")
        };
        self.processes().into_iter().filter(is_opencode).collect()
    }

    /// Docker objects with this installation's label, as `kind id`.
    pub fn docker_objects(&self) -> Vec<String> {
        let filter = format!("label=pilot.installation={}", self.installation);
        let list = |kind: &str, args: &[&str]| {
            let output = Command::new("docker").args(args).args(["--filter", &filter]).output().unwrap();
            let ids = String::from_utf8_lossy(&output.stdout).into_owned();
            ids.lines().map(|id| format!("{kind} {id}")).collect::<Vec<_>>()
        };
        let mut objects = list("container", &["ps", "--all", "--quiet"]);
        objects.extend(list("network", &["network", "ls", "--quiet"]));
        objects.extend(list("volume", &["volume", "ls", "--quiet"]));
        objects
    }

    pub fn containers(&self) -> Vec<String> {
        self.docker_objects().into_iter().filter(|object| object.starts_with("container")).collect()
    }

    /// Files and folders of the data folder whose path names the runtime, logs of the server aside.
    pub fn traces(&self, runtime: &str) -> Vec<String> {
        let mut found = Vec::new();
        visit(&self.data, &mut |path| {
            if path.to_string_lossy().contains(runtime) {
                found.push(path.display().to_string());
            }
        });
        found
    }

    /// True when a file of the data folder, outside `secrets` and instances' own homes, holds the text.
    pub fn state_holds(&self, text: &str) -> bool {
        let mut found = false;
        visit(&self.data.join("pulumi"), &mut |path| {
            let content = std::fs::read(path).unwrap_or_default();
            found |= String::from_utf8_lossy(&content).contains(text);
        });
        found
    }

    pub fn nothing_is_left(&self, runtime: &str) {
        assert_eq!(self.processes(), Vec::<u32>::new());
        assert_eq!(self.docker_objects(), Vec::<String>::new());
        assert_eq!(keepers(&self.installation), Vec::<String>::new());
        assert_eq!(self.traces(runtime), Vec::<String>::new());
    }

    pub fn remove_everything(&self) {
        if self.installation.is_empty() {
            return;
        }
        for pid in self.processes() {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
        // Containers come first in the list: networks and volumes are free after them.
        for object in self.docker_objects() {
            let (kind, id) = object.split_once(' ').unwrap();
            let args: &[&str] =
                if kind == "container" { &["rm", "--force", "--volumes"] } else { &[kind, "rm"] };
            let _ = Command::new("docker").args(args).arg(id).output();
        }
        remove_keepers(&self.installation);
    }
}

fn visit(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        see(&entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path(), see);
        }
    }
}
