//! The place of this process in the operating system: leader of a session of its own and adopter of
//! every orphan below it, so that a provider can end the whole instance and nothing outlives it.

use rustix::io::Errno;
use rustix::process::{getpid, set_child_subreaper, setsid};

/// Called once, before any thread or child exists.
pub fn lead() {
    match setsid() {
        // Refused to who leads a session or a group already: a provider made us so, or a shell; both
        // work. Who leads now is not asked: a leader outside our PID namespace has no number here.
        Ok(_) | Err(Errno::PERM) => {}
        Err(error) => tracing::debug!(%error, "no session of its own"),
    }
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        tracing::warn!(%error, "orphaned processes will not be adopted");
    }
}
