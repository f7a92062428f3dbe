//! The care that a stack in a folder backend needs before an engine takes it, whatever engine that is:
//! locks and side files that a dead process left behind.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::{Backend, Place};
use crate::error::{Error, Result};

mod lock;
mod side_files;

/// Runs something that takes the stack's lock. Locks of dead processes are removed before, those of
/// living ones are waited for: also when one appears in between.
pub(crate) async fn locking<T, F>(
    place: &Place,
    stack: &str,
    patience: Duration,
    cancel: &CancellationToken,
    mut run: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some((folder, locks)) = locks_of(place, stack) {
            tokio::select! {
                settled = lock::settle(&locks, stack, deadline) => settled?,
                () = cancel.cancelled() => return Err(Error::Canceled),
            }
            side_files::heal(&folder, &place.project, stack);
        }
        match run().await {
            Err(Error::ConcurrentUpdate { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            result => return result,
        }
    }
}

/// The backend's folder and that of the stack's lock files, where the backend is a folder.
fn locks_of(place: &Place, stack: &str) -> Option<(PathBuf, PathBuf)> {
    let Backend::Folder(folder) = &place.backend else { return None };
    let stack = stack.rsplit('/').next().unwrap_or(stack);
    let locks = folder.join(".pulumi/locks/organization").join(&place.project).join(stack);
    Some((folder.clone(), locks))
}
