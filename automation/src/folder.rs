//! The care that a stack in a folder backend needs before the CLI takes it: locks and side files that a dead process
//! left behind. The engine host cares for that itself.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::{Backend, Place};
use crate::error::{Error, Result};
use crate::patience::patiently;

mod lock;
mod side_files;

/// Runs something that takes the stack's lock. Locks of dead processes are removed before, those of
/// living ones are waited for: also when one appears in between.
pub(crate) async fn locking<T, F>(
    place: &Place,
    stack: &str,
    patience: Duration,
    cancel: &CancellationToken,
    run: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + patience;
    let settled = || async move {
        let Some((folder, locks)) = locks_of(place, stack) else { return Ok(()) };
        tokio::select! {
            settled = lock::settle(&locks, stack, deadline) => settled?,
            () = cancel.cancelled() => return Err(Error::Canceled),
        }
        side_files::heal(&folder, &place.project, stack);
        Ok(())
    };
    patiently(deadline, cancel, settled, run).await
}

/// The backend's folder and that of the stack's lock files, where the backend is a folder.
fn locks_of(place: &Place, stack: &str) -> Option<(PathBuf, PathBuf)> {
    let Backend::Folder(folder) = &place.backend else { return None };
    let stack = stack.rsplit('/').next().unwrap_or(stack);
    let locks = folder.join(".pulumi/locks/organization").join(&place.project).join(stack);
    Some((folder.clone(), locks))
}
