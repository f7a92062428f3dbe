//! A world of its own for each case: a temporary root, its own installation and its own ports. The
//! process table is read here once more, so that the provider is not its own witness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use async_trait::async_trait;
use contracts::network::PortRange;
use contracts::{InstallationId, RuntimeId};
use provider_api::RuntimeRef;
use provider_api::conformance::{Backdoor, CanaryBootFiles, Fixture};

use crate::{LocalConfig, LocalProvider};

/// A machine's part that belongs to one case.
pub struct World {
    /// Its folder, gone with it.
    pub root: tempfile::TempDir,
    /// What stands or is for the instance's init.
    instance: PathBuf,
    opencode: PathBuf,
    /// Normally the root's path; another world's in a program that works on an order.
    at: PathBuf,
    /// Where its instances' boot files come from.
    pub boot: Arc<CanaryBootFiles>,
    /// Nobody else's.
    pub ports: PortRange,
    /// Owns everything in it.
    pub installation: InstallationId,
}

impl World {
    /// An empty one, whose instances are started with these programs.
    pub fn new(instance: impl Into<PathBuf>, opencode: impl Into<PathBuf>) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            instance: instance.into(),
            opencode: opencode.into(),
            at: root.path().to_owned(),
            root,
            boot: CanaryBootFiles::new(),
            ports: next_ports(),
            installation: InstallationId::random(),
        }
    }

    /// This world in words, for another program that shall work in it.
    pub fn order(&self) -> String {
        format!(
            "{} {} {} {}",
            self.installation,
            self.ports.first,
            self.ports.last,
            self.root.path().display()
        )
    }

    /// Verb and runtime of an order, and this world made the one that it names.
    pub fn ordered(mut self, order: &str) -> (String, Self, RuntimeId) {
        let words: Vec<&str> = order.split(' ').collect();
        let [verb, runtime, installation, first, last, root] = words[..] else { panic!("no order: {order}") };
        self.installation = installation.parse().unwrap();
        self.ports = PortRange { first: first.parse().unwrap(), last: last.parse().unwrap() };
        self.at = root.into();
        (verb.to_owned(), self, runtime.parse().unwrap())
    }

    /// How a module works in it.
    pub fn config(&self) -> LocalConfig {
        LocalConfig {
            root: self.at.join("runtimes"),
            instance_binary: self.instance.clone(),
            opencode_binary: self.opencode.clone(),
            ports: self.ports,
            boot: self.boot.clone(),
        }
    }

    /// A module that works in it.
    pub fn provider(&self) -> Arc<LocalProvider> {
        Arc::new(LocalProvider::new(self.config()))
    }

    /// What the suite needs of it.
    pub fn fixture(self) -> Fixture {
        let (first, second) = (self.provider(), self.provider());
        let (installation, boot) = (self.installation.clone(), self.boot.clone());
        Fixture::new(first, second, installation, boot, Arc::new(self))
    }

    /// Of one runtime.
    pub fn folder(&self, runtime: &RuntimeId) -> PathBuf {
        self.at.join("runtimes").join(runtime.as_str())
    }

    /// Of one runtime.
    pub fn home(&self, runtime: &RuntimeId) -> PathBuf {
        self.folder(runtime).join("home")
    }
}

/// Ranges that tests of this program and of others running beside it do not share: chosen by process
/// id, below the kernel's ephemeral ports.
fn next_ports() -> PortRange {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let slot = (std::process::id() % 16) as u16 * 32 + NEXT.fetch_add(1, Ordering::SeqCst) % 32;
    let first = 16_000 + slot * 24;
    PortRange { first, last: first + 23 }
}

/// Process ids whose environment names the installation (and runtime), leaders first in `argv` alone.
pub fn labelled(installation: &InstallationId, runtime: Option<&RuntimeId>) -> Vec<(i32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let has = |wanted: String| environ.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes());
        let of_runtime = runtime.is_none_or(|runtime| has(format!("PILOT_RUNTIME={runtime}")));
        if of_runtime && has(format!("PILOT_INSTALLATION={installation}")) && !environ.is_empty() {
            found.push((pid, fs::read(entry.path().join("cmdline")).unwrap_or_default()));
        }
    }
    found
}

/// Processes under the init's own name; a stand-in's children have another, unless told otherwise.
pub fn named(program: &Path, runtime: &RuntimeRef) -> Vec<i32> {
    let program = program.file_name().unwrap().as_encoded_bytes();
    let is_named = |cmdline: &[u8]| {
        let first = cmdline.split(|&byte| byte == 0).next().unwrap_or_default();
        first.rsplit(|&byte| byte == b'/').next() == Some(program)
    };
    let all = labelled(&runtime.installation, Some(&runtime.runtime_id));
    all.into_iter().filter(|(_, cmdline)| is_named(cmdline)).map(|(pid, _)| pid).collect()
}

/// Those that are nobody's child among them: a child has its parent's name until it is itself.
pub fn leaders(program: &Path, runtime: &RuntimeRef) -> Vec<i32> {
    let named = named(program, runtime);
    let is_child = |pid: i32| parent(pid).is_some_and(|parent| named.contains(&parent));
    named.iter().copied().filter(|pid| !is_child(*pid)).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<i32>().ok())
}

/// At once, as a crash would.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn kill_all(installation: &InstallationId, runtime: Option<&RuntimeId>) {
    for _ in 0..400 {
        let all = labelled(installation, runtime);
        if all.is_empty() {
            return;
        }
        all.into_iter().for_each(|(pid, _)| kill(pid));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[async_trait]
impl Backdoor for World {
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String> {
        let mut objects: Vec<_> =
            leaders(&self.instance, runtime).into_iter().map(|pid| format!("process {pid}")).collect();
        let folder = self.folder(&runtime.runtime_id);
        if folder.exists() {
            objects.push(folder.display().to_string());
        }
        objects
    }

    async fn runs(&self, runtime: &RuntimeRef) -> bool {
        !leaders(&self.instance, runtime).is_empty()
    }

    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str) {
        let path = self.home(&runtime.runtime_id).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String> {
        fs::read_to_string(self.home(&runtime.runtime_id).join(Path::new(path))).ok()
    }

    async fn remove(&self, runtime: &RuntimeRef, resource: &str) {
        kill_all(&runtime.installation, Some(&runtime.runtime_id));
        match resource {
            "process" => fs::remove_file(self.folder(&runtime.runtime_id).join("process.json")).unwrap(),
            "home" => fs::remove_dir_all(self.home(&runtime.runtime_id)).unwrap(),
            other => panic!("no resource {other}"),
        }
    }

    async fn sweep(&self, installation: &InstallationId) {
        kill_all(installation, None);
    }
}
