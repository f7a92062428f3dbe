//! Every process below this one: the children we start, and the orphans we adopt.
//!
//! Tools that the agent starts detach themselves from OpenCode. As their adopter (`session`) we must
//! collect those that end, and end those that are left when the instance stops.

use std::collections::HashSet;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, waitpid};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::proc_table;

const POLL: Duration = Duration::from_millis(20);

/// Which of our direct children have an owner who waits for them.
#[derive(Debug, Clone, Default)]
pub struct Children {
    owned: Arc<Mutex<HashSet<i32>>>,
}

impl Children {
    /// Starts `command` as the leader of a process group of its own. It is killed when dropped.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Owned> {
        // `reap` takes the same lock, so that it never collects a child before it is known as owned.
        let mut owned = self.lock();
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else {
            return Err(io::Error::other("the child has no process id"));
        };
        owned.insert(pid.as_raw_nonzero().get());
        Ok(Owned { child, pid, children: self.clone() })
    }

    /// Collects adopted orphans that have ended. Children with an owner are left to it.
    pub fn reap(&self) {
        let owned = self.lock();
        let me = getpid().as_raw_nonzero().get();
        for process in proc_table::read() {
            if process.zombie
                && process.parent == me
                && !owned.contains(&process.pid)
                && let Some(pid) = Pid::from_raw(process.pid)
            {
                // Gone already is as good.
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    /// Asks everything below us to end, then ends it. True when nothing is left.
    pub async fn end_all(&self, polite: Duration, forced: Duration) -> bool {
        self.signal_until_gone(Signal::TERM, polite).await
            || self.signal_until_gone(Signal::KILL, forced).await
    }

    async fn signal_until_gone(&self, signal: Signal, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut told = HashSet::new();
        loop {
            self.reap();
            let left = living_descendants();
            if left.is_empty() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            for pid in left {
                // A new child of something that is ending is told as well.
                if told.insert(pid) {
                    let _ = kill_process(pid, signal);
                }
            }
            sleep(POLL).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn living_descendants() -> Vec<Pid> {
    let me = getpid().as_raw_nonzero().get();
    proc_table::descendants(&proc_table::read(), me)
        .iter()
        .filter(|process| !process.zombie)
        .filter_map(|process| Pid::from_raw(process.pid))
        .collect()
}

/// A child that someone waits for.
#[derive(Debug)]
pub struct Owned {
    pub child: Child,
    pid: Pid,
    children: Children,
}

impl Owned {
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Sends a signal to the child alone.
    pub fn signal(&self, signal: Signal) {
        if self.is_running() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Ends what is left of the child's process group, the child included.
    pub fn kill_group(&self) {
        // The group's number stays taken as long as a member lives; an empty group is an error.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    /// False once the exit status was collected: then the number may belong to another process.
    fn is_running(&self) -> bool {
        self.child.id().is_some()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill_group();
        }
        self.children.lock().remove(&self.pid.as_raw_nonzero().get());
    }
}

#[cfg(test)]
mod tests {
    // `reap` is tested on the real process: here it would take the children of other tests.
    use super::*;

    #[tokio::test]
    async fn the_whole_group_ends_with_its_leader() {
        let children = Children::default();
        let mut owned = children.spawn(Command::new("sh").args(["-c", "sleep 60 & wait"])).unwrap();
        owned.kill_group();
        assert!(!owned.wait().await.unwrap().success());
    }
}
