//! Locks of a file backend whose owner is proven dead on this host. Any other lock is left alone.
//!
//! The engine's lock file names pid, user, host and time, and never expires: a CLI that was killed
//! leaves it for ever. Breaking one that a living process holds would make two writers, so proof comes
//! first: same host name, and no process with that pid that is older than the lock.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::Deserialize;

use crate::error::{Error, Result};

/// How long the writing of a lock may take: it is a hundred bytes.
const WRITING: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
struct LockFile {
    pid: i32,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
}

/// Removes dead locks and waits until `deadline` for living ones to be released.
pub(crate) async fn settle(locks: &Path, stack: &str, deadline: tokio::time::Instant) -> Result<()> {
    loop {
        match first_living(locks) {
            None => return Ok(()),
            Some(owner) if tokio::time::Instant::now() >= deadline => {
                return Err(Error::ConcurrentUpdate { stack: stack.to_owned(), owner });
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The owner of a lock that may be alive; dead ones are removed on the way.
fn first_living(locks: &Path) -> Option<String> {
    let entries = std::fs::read_dir(locks).ok()?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json") || is_unfinished(path));
    let mut living = None;
    for path in paths {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(lock) = serde_json::from_str::<LockFile>(&text) else {
            if is_unfinished(&path) && is_older(&path, WRITING) {
                tracing::warn!(lock = %path.display(), "removing a lock that was never finished");
                let _ = std::fs::remove_file(&path);
                continue;
            }
            // Half-written by a process that is in the act, or by one that died in it: not provable.
            living = Some(format!("an unreadable lock file {}", path.display()));
            continue;
        };
        let taken = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        if lock.hostname == this_host() && !is_alive(lock.pid, taken) {
            tracing::warn!(lock = %path.display(), pid = lock.pid, "removing the lock of a dead process");
            let _ = std::fs::remove_file(&path);
            // The file backend keeps a side file with each of its files.
            let _ = std::fs::remove_file(path.with_extension("json.attrs"));
        } else {
            living = Some(format!("{}@{} (pid {})", lock.username, lock.hostname, lock.pid));
        }
    }
    living
}

/// Written under this name and then renamed: who is killed in between leaves it, and the engine takes
/// every file of the folder for a lock. Without it the renaming fails, so that its removal can only keep
/// its writer, if that lives, from having the lock.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains(".json.") && name.ends_with(".tmp")
}

fn is_older(path: &Path, age: Duration) -> bool {
    let written = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    written.and_then(|written| written.elapsed().ok()).is_some_and(|since| since > age)
}

fn this_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// True unless no process has this pid, it is a zombie, or it began after the lock was taken (the pid
/// was used again).
fn is_alive(pid: i32, lock_taken: Option<SystemTime>) -> bool {
    let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        // Out of file handles, or a /proc that hides other users' processes: the kernel still knows.
        Err(_) => return exists(pid),
    };
    // The fields follow the command, which is in parentheses and may hold anything.
    let Some((_, rest)) = stat.rsplit_once(')') else { return true };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return false;
    }
    let ticks = fields.get(19).and_then(|ticks| ticks.parse::<u64>().ok());
    match (ticks.and_then(started_at), lock_taken) {
        // A stepped clock moves the time of boot as well, so a Pulumi is never judged by times alone.
        (Some(began), Some(taken)) => began <= taken + CLOCK_SLACK || is_engine(&stat),
        _ => true,
    }
}

/// The CLI or the host, by the command in `/proc/PID/stat`.
fn is_engine(stat: &str) -> bool {
    stat.contains("(pulumi") || stat.contains("(pilot-engine")
}

/// False only when the kernel says that there is no such process.
fn exists(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Boot time is known to the second only, and file systems keep times more coarsely than the kernel.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

fn started_at(ticks_since_boot: u64) -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let seconds = ticks_since_boot / rustix::param::clock_ticks_per_second();
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(boot + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_lock(folder: &Path, name: &str, pid: i32, host: &str) -> PathBuf {
        let path = folder.join(name);
        let lock = serde_json::json!({"pid": pid, "username": "me", "hostname": host, "timestamp": "x"});
        std::fs::write(&path, lock.to_string()).unwrap();
        path
    }

    fn now() -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    /// A pid that surely is not running: a child that has been waited for.
    fn dead_pid() -> i32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id() as i32
    }

    #[tokio::test]
    async fn the_lock_of_a_dead_process_of_this_host_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = write_lock(folder.path(), "a.json", dead_pid(), &this_host());
        settle(folder.path(), "s", now()).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_lock_of_a_living_process_is_kept_and_its_owner_named() {
        let folder = tempfile::tempdir().unwrap();
        let pid = std::process::id() as i32;
        let path = write_lock(folder.path(), "a.json", pid, &this_host());
        let error = settle(folder.path(), "s", now()).await.unwrap_err();
        assert!(path.exists());
        assert!(error.to_string().contains(&format!("(pid {pid})")), "{error}");
    }

    #[test]
    fn only_a_process_that_the_kernel_does_not_know_is_gone() {
        assert!(exists(1), "init is there, and its owner may be somebody else");
        assert!(!exists(dead_pid()));
        assert!(!exists(0));
    }

    #[tokio::test]
    async fn the_lock_of_another_host_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = write_lock(folder.path(), "a.json", dead_pid(), "elsewhere");
        assert!(settle(folder.path(), "s", now()).await.is_err());
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_lock_that_was_never_finished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        // Whole, but for its name.
        let whole = write_lock(folder.path(), "a.json.18f.tmp", dead_pid(), &this_host());
        let empty = folder.path().join("b.json.18f.tmp");
        std::fs::write(&empty, "").unwrap();
        let error = settle(folder.path(), "s", now()).await.unwrap_err();
        assert!(error.to_string().contains("b.json.18f.tmp"), "it may still be written: {error}");
        assert!(!whole.exists() && empty.exists());
        let before = SystemTime::now() - 2 * WRITING;
        std::fs::File::options().write(true).open(&empty).unwrap().set_modified(before).unwrap();
        settle(folder.path(), "s", now()).await.unwrap();
        assert!(!empty.exists());
    }

    #[tokio::test]
    async fn no_lock_folder_means_no_lock() {
        settle(Path::new("/nonexistent"), "s", now()).await.unwrap();
    }
}
