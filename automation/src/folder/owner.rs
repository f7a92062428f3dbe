//! Who holds a lock, and whether that process is known to be dead.
//!
//! A lock file of Pulumi names pid, user and host name, which containers and cloned machines share. Whoever takes
//! locks for us therefore leaves an owner file in `.pulumi/owners`: which process of all machines it is. The engine
//! host does the same, by the same rule; `lock-owners.json` beside this crate's manifest is that rule as a table.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::fs::{FlockOperation, flock, statfs};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// One process among those of all machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    pub pid: i32,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub hostname: String,
    /// New with each start of a kernel; empty where the system tells none.
    #[serde(default)]
    pub boot_id: String,
    /// The one that the pid belongs to.
    #[serde(default)]
    pub pid_namespace: String,
    /// When the process started, in ticks since boot; 0 when that is not known.
    #[serde(default)]
    pub start_ticks: u64,
    /// The process holds the kernel's lock on its owner file as long as it lives.
    #[serde(default)]
    pub flock: bool,
    /// The only stack that it may lock; the file is of no use once that lock is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Alive,
    Dead,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Flock {
    Held,
    Free,
}

/// What can be seen of an owner from here.
#[derive(Debug, Clone, Default)]
pub(super) struct Sighting {
    pub boot_id: String,
    pub pid_namespace: String,
    /// Our process table has the owner's pid, started then (0: not known).
    pub process: Option<u64>,
    /// None where it is not promised, or not asked.
    pub flock: Option<Flock>,
    /// No other machine can have this storage mounted.
    pub local: bool,
}

/// The rule.
pub(super) fn judge(owner: Option<&Owner>, seen: &Sighting) -> Verdict {
    let Some(owner) = owner.filter(|owner| !owner.boot_id.is_empty() && !seen.boot_id.is_empty()) else {
        return Verdict::Unknown;
    };
    if owner.boot_id != seen.boot_id {
        // Another machine, or this one before its last start. Only then nobody of before can live.
        return if seen.local { Verdict::Dead } else { Verdict::Unknown };
    }
    if owner.pid_namespace == seen.pid_namespace {
        return match seen.process {
            None => Verdict::Dead,
            Some(ticks) if ticks == 0 || owner.start_ticks == 0 => Verdict::Unknown,
            Some(ticks) if ticks == owner.start_ticks => Verdict::Alive,
            Some(_) => Verdict::Dead,
        };
    }
    match seen.flock {
        Some(Flock::Held) if seen.local => Verdict::Alive,
        Some(Flock::Free) if seen.local => Verdict::Dead,
        _ => Verdict::Unknown,
    }
}

impl Owner {
    /// The process of this pid, in our own process table.
    pub fn of(pid: i32) -> Self {
        let here = &*HERE;
        Self {
            pid,
            username: here.username.clone(),
            hostname: here.hostname.clone(),
            boot_id: here.boot_id.clone(),
            pid_namespace: here.pid_namespace.clone(),
            start_ticks: start(pid).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Where its owner file is; no other process has the same one.
    pub fn file(&self, backend: &Path) -> PathBuf {
        let boot: String = self.boot_id.chars().filter(|letter| *letter != '-').take(12).collect();
        let namespace = self.pid_namespace.trim_matches(|letter: char| !letter.is_ascii_digit());
        let name = format!("{}-{}-{boot}-{namespace}.json", self.pid, self.start_ticks);
        folder(backend).join(name)
    }

    /// Judges it from here.
    pub fn verdict(&self, backend: &Path, file: &Path) -> Verdict {
        let local = is_local(backend);
        let here = &*HERE;
        let seen = Sighting {
            boot_id: here.boot_id.clone(),
            pid_namespace: here.pid_namespace.clone(),
            process: start(self.pid),
            flock: (self.flock && local).then(|| flock_of(file)).flatten(),
            local,
        };
        judge(Some(self), &seen)
    }
}

/// The folder of the owner files.
pub(super) fn folder(backend: &Path) -> PathBuf {
    backend.join(".pulumi/owners")
}

/// What all processes of this machine share.
static HERE: LazyLock<Owner> = LazyLock::new(|| Owner {
    username: username(),
    hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
    boot_id: read("/proc/sys/kernel/random/boot_id"),
    pid_namespace: std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default(),
    ..Owner::default()
});

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// As the lock file names the user: by the name, or by the number where there is none.
fn username() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = users.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()));
    own.and_then(|line| line.split(':').next()).unwrap_or(&uid).to_owned()
}

/// When a process of our process table started, in ticks since boot (0: not known); none when there is no such process,
/// or only its zombie.
fn start(pid: i32) -> Option<u64> {
    let known = Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH));
    if !known {
        return None;
    }
    // Out of file handles, or a /proc that hides other users' processes: it is there, and not more is known.
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return Some(0) };
    // The fields follow the command, which is in parentheses and may hold anything.
    let Some((_, rest)) = stat.rsplit_once(')') else { return Some(0) };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    Some(fields.get(19).and_then(|ticks| ticks.parse().ok()).unwrap_or_default())
}

/// File systems whose device one kernel mounts, by their magic number in statfs(2): ext, xfs, btrfs, f2fs, zfs, bcachefs,
/// tmpfs, overlayfs.
const LOCAL: [i64; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E, 0x0102_1994, 0x794C_7630];

#[allow(clippy::unnecessary_cast, reason = "its width differs between systems")]
fn is_local(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|about| LOCAL.contains(&(about.f_type as i64 & 0xFFFF_FFFF)))
}

fn flock_of(file: &Path) -> Option<Flock> {
    let file = std::fs::File::open(file).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Some(Flock::Free),
        Err(Errno::WOULDBLOCK) => Some(Flock::Held),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        here: Told,
        cases: Vec<Case>,
    }

    /// As the table has it: without a pid.
    #[derive(Clone, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        boot_id: String,
        pid_namespace: String,
        #[serde(default)]
        start_ticks: u64,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        owner: Option<Told>,
        process: Option<u64>,
        flock: Option<Flock>,
        storage: String,
        verdict: Verdict,
    }

    #[test]
    fn the_owner_of_a_lock_is_dead_exactly_where_the_table_says_so() {
        let table: Table = serde_json::from_str(include_str!("../../lock-owners.json")).unwrap();
        assert!(!table.cases.is_empty());
        for case in table.cases {
            let owner = case.owner.map(|owner| Owner {
                boot_id: owner.boot_id,
                pid_namespace: owner.pid_namespace,
                start_ticks: owner.start_ticks,
                ..Owner::default()
            });
            let seen = Sighting {
                boot_id: table.here.boot_id.clone(),
                pid_namespace: table.here.pid_namespace.clone(),
                process: case.process,
                flock: case.flock,
                local: case.storage == "local",
            };
            assert_eq!(judge(owner.as_ref(), &seen), case.verdict, "{}", case.name);
        }
    }

    #[test]
    fn only_a_process_that_the_kernel_does_not_know_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id() as i32;
        assert!(start(1).is_some(), "init is there, and its owner may be somebody else");
        assert!(start(pid).is_some_and(|ticks| ticks > 0));
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while start(pid).is_some() {
            assert!(std::time::Instant::now() < deadline, "a zombie counts as living");
        }
        child.wait().unwrap();
        assert_eq!((start(pid), start(0)), (None, None));
    }
}
