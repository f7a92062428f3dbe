//! The processes of one runtime: finding its leader, ending all of it.
//!
//! Only processes that carry the runtime's labels or have its home for their own, and their descendants, are ever signalled, and
//! each is checked again at the moment of the signal.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::{ProviderError, Result, RuntimeRef};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::layout::HOME;
use crate::procfs::{self, Identity, Label, Process};

const PAUSE: Duration = Duration::from_millis(5);
/// A killed process that is still there after this waits for the kernel (a dead network disk).
const KILL_LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Tree<'a> {
    runtime: &'a RuntimeRef,
    /// The runtime's own.
    folder: PathBuf,
    /// The init's file name; the leader is the labelled process that runs it.
    leader_program: &'a [u8],
    /// All that was ever seen, so that a child that lost its labels and then its parent is still known.
    seen: BTreeSet<Identity>,
}

impl<'a> Tree<'a> {
    pub fn new(runtime: &'a RuntimeRef, folder: PathBuf, leader_program: &'a [u8]) -> Self {
        Self { runtime, folder, leader_program, seen: BTreeSet::new() }
    }

    /// A process of the same runtime in another folder, which is of another copy of the installation.
    pub fn elsewhere(&self) -> Option<(i32, PathBuf)> {
        procfs::scan().into_iter().find_map(|process| {
            let label = process.label.filter(|label| self.names(label) && !label.is_in(&self.folder))?;
            Some((process.identity.pid, label.folder?))
        })
    }

    /// The leader, if one runs. Should there ever be two, the older stays and the others are killed.
    pub fn leader(&mut self) -> Option<Identity> {
        let table = procfs::scan();
        let leaders = self.leaders(&table);
        for &extra in leaders.iter().skip(1) {
            tracing::warn!(runtime = %self.runtime.runtime_id, pid = extra.pid, "a second instance of one runtime is ended");
            for member in with_descendants(&table, [extra].into()) {
                send(member, Signal::KILL);
            }
        }
        leaders.first().copied()
    }

    /// Asks the leader to end and gives it `grace`, then ends every process of the runtime.
    pub fn stop(&mut self, grace: Duration) -> Result<()> {
        let table = procfs::scan();
        self.members(&table);
        let leaders = self.leaders(&table);
        for &leader in &leaders {
            send(leader, Signal::TERM);
        }
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline && leaders.iter().any(|&leader| procfs::is_alive(leader)) {
            std::thread::sleep(PAUSE);
        }
        self.kill()
    }

    /// Ends every process of the runtime at once. Children may be born meanwhile, so it looks until it
    /// twice finds none.
    pub fn kill(&mut self) -> Result<()> {
        let deadline = Instant::now() + KILL_LIMIT;
        let mut quiet = 0;
        while quiet < 2 {
            let members = self.members(&procfs::scan());
            quiet = if members.is_empty() { quiet + 1 } else { 0 };
            for &member in &members {
                send(member, Signal::KILL);
            }
            if let Some(stuck) = members.first().filter(|_| Instant::now() > deadline) {
                let message = format!(
                    "process {} of {} was killed {KILL_LIMIT:?} ago and is still there",
                    stuck.pid, self.runtime.runtime_id
                );
                return Err(ProviderError::unknown(ErrorCode::ProviderTimeout, message).with_action(
                    "It waits for the kernel, often for a disk or network file system; try again later.",
                ));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Stops every process of the runtime by a signal that none can refuse. Children may be born meanwhile, so it looks until
    /// it twice finds none that moves.
    pub fn freeze(&mut self) -> Result<()> {
        let deadline = Instant::now() + KILL_LIMIT;
        let mut quiet = 0;
        while quiet < 2 {
            let mut members = self.members(&procfs::scan());
            members.retain(|member| !procfs::stands_still(*member));
            quiet = if members.is_empty() { quiet + 1 } else { 0 };
            for &member in &members {
                send(member, Signal::STOP);
            }
            if let Some(moving) = members.first().filter(|_| Instant::now() > deadline) {
                self.thaw();
                let message =
                    format!("process {} of {} does not stand still", moving.pid, self.runtime.runtime_id);
                return Err(ProviderError::new(ErrorCode::ProviderTimeout, message).with_action(
                    "It waits for the kernel, often for a disk or network file system; try again later.",
                ));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Lets every process of the runtime go on.
    pub fn thaw(&mut self) {
        for member in self.members(&procfs::scan()) {
            send(member, Signal::CONT);
        }
    }

    fn is_labelled(&self, process: &Process) -> bool {
        process.label.as_ref().is_some_and(|label| self.names(label) && label.is_in(&self.folder))
    }

    /// A tool may have cleaned the environment of what it starts; that one stays when its leader is killed.
    fn lives_there(&self, process: &Process) -> bool {
        process.home.as_deref().is_some_and(|home| home == self.folder.join(HOME))
    }

    fn names(&self, label: &Label) -> bool {
        label.runtime == self.runtime.runtime_id && label.installation == self.runtime.installation
    }

    fn leaders(&self, table: &[Process]) -> Vec<Identity> {
        let running: Vec<&Process> = table
            .iter()
            .filter(|process| self.is_labelled(process) && process.program == self.leader_program)
            .collect();
        // Between fork and exec a child still looks like the leader, and a person may run the program
        // in a terminal of the instance: what is below a leader is none.
        let below: BTreeSet<Identity> = running
            .iter()
            .flat_map(|process| {
                let mut below = with_descendants(table, [process.identity].into());
                below.retain(|member| *member != process.identity);
                below
            })
            .collect();
        let mut leaders: Vec<_> = running.iter().map(|process| process.identity).collect();
        leaders.retain(|leader| !below.contains(leader));
        leaders.sort();
        leaders
    }

    /// Labelled processes and all their descendants that run now.
    fn members(&mut self, table: &[Process]) -> Vec<Identity> {
        let known = |process: &&Process| {
            self.is_labelled(process) || self.lives_there(process) || self.seen.contains(&process.identity)
        };
        let roots = table.iter().filter(known).map(|process| process.identity).collect();
        let members = with_descendants(table, roots);
        self.seen.extend(&members);
        members
    }
}

/// Ends what one command has begun, wherever it is by now.
pub(crate) fn kill_marked(word: &str) {
    for member in procfs::marked(word) {
        send(member, Signal::KILL);
    }
}

/// These processes and everything below them, without the one that asks.
fn with_descendants(table: &[Process], mut members: BTreeSet<Identity>) -> Vec<Identity> {
    loop {
        let parents: BTreeSet<i32> = members.iter().map(|member| member.pid).collect();
        let before = members.len();
        let children = table.iter().filter(|process| parents.contains(&process.parent));
        members.extend(children.map(|process| process.identity));
        if members.len() == before {
            break;
        }
    }
    let own = std::process::id() as i32;
    members.into_iter().filter(|member| member.pid != own).collect()
}

/// Signals exactly this process: the descriptor pins whoever has the id now, and only then is it
/// compared. A process that has gone is no error.
fn send(identity: Identity, signal: Signal) {
    let Some(pid) = Pid::from_raw(identity.pid) else { return };
    let result = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) if procfs::is_alive(identity) => {
            rustix::process::pidfd_send_signal(descriptor, signal)
        }
        // A kernel without process descriptors: the window between check and signal stays.
        Err(Errno::NOSYS | Errno::PERM) if procfs::is_alive(identity) => {
            rustix::process::kill_process(pid, signal)
        }
        _ => Ok(()),
    };
    if let Err(error) = result
        && error != Errno::SRCH
    {
        tracing::warn!(pid = identity.pid, %error, "a process could not be signalled");
    }
}

/// Labelled processes of one installation: runtime and leader or not, for the inventory.
pub(crate) fn labelled(installation: &contracts::InstallationId) -> Vec<Process> {
    let mut processes = procfs::scan();
    processes
        .retain(|process| process.label.as_ref().is_some_and(|label| label.installation == *installation));
    processes
}
