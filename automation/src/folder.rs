//! The care that a stack in a folder backend needs before the CLI takes it: locks and side files that a dead process
//! left behind, and a change of the engine host that was cut off. The engine host cares for all that itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::deadline;
use crate::engine::{Backend, Place};
use crate::error::{Error, Result};
use crate::retry::until_unlocked;

mod announce;
mod lock;
mod owner;
mod side_files;

pub(crate) use announce::Announcement;

/// Runs something that takes the stack's lock. Locks of dead processes are removed before, those of
/// others are waited for: also when one appears in between. What the engine host has begun and not brought into the
/// state is [`Error::UnfinishedUpdate`]: the CLI would run past it.
pub(crate) async fn locking<T, F>(
    place: &Place,
    stack: &str,
    timeout: Duration,
    cancel: &CancellationToken,
    run: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = deadline::after(Some(timeout));
    let settled = || async move {
        let Some(files) = Files::of(place, stack) else { return Ok(()) };
        tokio::select! {
            settled = lock::settle(&files.backend, &files.locks, stack, deadline) => settled?,
            () = cancel.cancelled() => return Err(Error::Canceled),
        }
        if files.is_unfinished() {
            return Err(Error::UnfinishedUpdate { stack: stack.to_owned(), journal: files.journal });
        }
        side_files::heal(&files.backend, &place.project, &files.stack);
        Ok(())
    };
    until_unlocked(deadline, cancel, settled, run).await
}

/// False only when it is known that no change by the engine host was cut off.
pub(crate) fn may_be_unfinished(place: &Place, stack: &str) -> bool {
    Files::of(place, stack).is_none_or(|files| files.is_unfinished())
}

/// The files of one stack, where the backend is a folder.
struct Files {
    backend: PathBuf,
    stack: String,
    locks: PathBuf,
    journal: PathBuf,
}

impl Files {
    fn of(place: &Place, stack: &str) -> Option<Self> {
        let backend = folder_of(&place.backend)?;
        let stack = stack.rsplit('/').next().unwrap_or(stack).to_owned();
        let of_project = |kind: &str| backend.join(".pulumi").join(kind).join(&place.project);
        Some(Self {
            locks: of_project("locks/organization").join(&stack),
            journal: of_project("journals").join(format!("{stack}.ndjson")),
            stack,
            backend,
        })
    }

    fn is_unfinished(&self) -> bool {
        std::fs::metadata(&self.journal).is_ok_and(|about| about.len() > 0)
    }
}

/// The folder of a backend, also where it is given as a URL.
fn folder_of(backend: &Backend) -> Option<PathBuf> {
    match backend {
        Backend::Folder(folder) => Some(folder.clone()),
        Backend::Url(url) => {
            let path = url.strip_prefix("file://")?.split(['?', '#']).next().unwrap_or_default();
            Path::new(path).is_absolute().then(|| unescaped(path).into())
        }
    }
}

/// A URL's path without its escapes.
fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn a_folder_of_any_name_is_the_same_one_as_a_url() {
        for name in ["/srv/a b", "/srv/100%", "/srv/h#x", "/srv/q?y", "/srv/\u{fc}", "/srv/p%41"] {
            let url = Backend::Folder(name.into()).url();
            assert!(!url.contains(['?', '#', ' ']), "{url}");
            assert_eq!(folder_of(&Backend::Url(url)), Some(name.into()));
        }
        assert_eq!(folder_of(&Backend::Url("file://relative".to_owned())), None);
    }

    #[tokio::test]
    async fn nothing_runs_past_a_change_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Recorder::default().workspace().place().clone();
        let journals = folder.path().join(".pulumi/journals").join(&place.project);
        std::fs::create_dir_all(&journals).unwrap();
        let url = format!("file://{}?metadata=skip", folder.path().display());
        for backend in [Backend::Folder(folder.path().into()), Backend::Url(url)] {
            place.backend = backend;
            let journal = journals.join("dev.ndjson");
            let run = |stack: &'static str| {
                let place = &place;
                async move {
                    let never = CancellationToken::new();
                    locking(place, stack, Duration::ZERO, &never, || async { Ok(()) }).await
                }
            };
            std::fs::write(&journal, "").unwrap();
            run("dev").await.unwrap();
            std::fs::write(&journal, "begun\n").unwrap();
            for name in ["dev", "organization/p/dev"] {
                let error = run(name).await.unwrap_err();
                assert!(
                    matches!(&error, Error::UnfinishedUpdate { journal: told, .. } if *told == journal),
                    "{error}"
                );
            }
            run("dev.eu").await.unwrap();
            std::fs::remove_file(journal).unwrap();
        }
    }
}
