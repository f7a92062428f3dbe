//! A child process that leads a group of its own: its end, and with it that of all that it has left behind.
//!
//! The number of a group is that of its leader, and is free for others as soon as the leader was waited for. The
//! group is therefore signalled before that, while a zombie still holds the number.

use std::process::ExitStatus;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for the end of the leader, kills what is left of its group, and only then collects its status. May be
/// cancelled and called again.
pub(crate) async fn wait(leader: &mut Child) -> std::io::Result<ExitStatus> {
    wait_and(leader, kill).await
}

/// As [`wait`], with something else that is done to the group.
pub(crate) async fn wait_and(leader: &mut Child, end: impl FnOnce(Pid)) -> std::io::Result<ExitStatus> {
    // None when its status was collected already.
    if let Some(group) = of(leader) {
        exited(group).await?;
        end(group);
    }
    leader.wait().await
}

/// The group of a leader whose status was not collected.
pub(crate) fn of(leader: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(leader.id()?).ok()?)
}

/// SIGKILL for all of it.
pub(crate) fn kill(group: Pid) {
    // Nobody is left in it, most of the time.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
}

/// Until it has ended, without collecting its status.
async fn exited(pid: Pid) -> std::io::Result<()> {
    // Before the first look, so that no end is missed.
    let mut ends = signal(SignalKind::child())?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while rustix::process::waitid(WaitId::Pid(pid), options)?.is_none() {
        ends.recv().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn leader(script: &str) -> Child {
        let mut command = tokio::process::Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).process_group(0).spawn().unwrap()
    }

    /// `Z` for a zombie.
    fn state(pid: i32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.trim().chars().next()
    }

    #[tokio::test]
    async fn a_group_is_ended_while_its_leader_still_holds_its_number() {
        let mut child = leader("exit 3");
        let pid = child.id().unwrap() as i32;
        let mut seen = None;
        let status =
            wait_and(&mut child, |group| seen = Some((group.as_raw_pid(), state(pid)))).await.unwrap();
        assert_eq!((status.code(), seen), (Some(3), Some((pid, Some('Z')))));
        assert_eq!(state(pid), None, "its status was collected after that");
        let again = wait_and(&mut child, |_| panic!("the number may be another's by now")).await.unwrap();
        assert_eq!(again.code(), Some(3));
    }

    #[tokio::test]
    async fn what_a_leader_leaves_behind_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let mut child = leader(&format!("sleep 600 & echo $! > {}", file.display()));
        assert!(wait(&mut child).await.unwrap().success());
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        while !matches!(state(pid), None | Some('Z')) {
            assert!(tokio::time::Instant::now() < deadline, "it lives on");
            tokio::task::yield_now().await;
        }
    }
}
