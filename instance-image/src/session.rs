//! The place of this process in the operating system: leader of a session of its own and adopter of
//! every orphan below it, so that a provider can end the whole instance and nothing outlives it.

use rustix::process::{getpid, getsid, set_child_subreaper, setsid};

/// Called once, before any thread or child exists.
pub fn lead() {
    let me = getpid();
    if getsid(None).ok() != Some(me)
        && let Err(error) = setsid()
    {
        // The leader of a process group may not leave it; the instance works without.
        tracing::debug!(%error, "no session of its own");
    }
    if let Err(error) = set_child_subreaper(Some(me)) {
        tracing::warn!(%error, "orphaned processes will not be adopted");
    }
}
