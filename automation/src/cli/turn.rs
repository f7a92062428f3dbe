//! Turns at a stack's settings file. The CLI writes it in place: whoever reads it meanwhile finds half of it or nothing,
//! and an operation then keeps that.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

use crate::engine::{Command, Place};

/// An operation has read its settings when its engine begins, which it tells; one that tells nothing is not waited for.
pub(super) const AT_MOST: Duration = Duration::from_secs(10);

/// The commands of which each reads or writes the settings of the stack that it is about.
const OF_SETTINGS: [&[&str]; 5] = [
    &["config"],
    &["stack", "init"],
    &["stack", "rename"],
    &["stack", "rm"],
    &["stack", "change-secrets-provider"],
];

/// By project folder and stack.
type Files = HashMap<(PathBuf, String), Weak<Turns<()>>>;

/// Of this process: others are not known here.
static FILES: LazyLock<Mutex<Files>> = LazyLock::new(Mutex::default);

/// The turn of a command, if it needs one.
pub(super) async fn of_command(place: &Place, command: &Command) -> Option<OwnedMutexGuard<()>> {
    let needed = OF_SETTINGS.iter().any(|words| words.iter().eq(command.words.iter().take(words.len())));
    if needed { Some(of_stack(place, command.about()).await) } else { None }
}

/// Waits for a turn; it lasts as long as what is returned.
pub(super) async fn of_stack(place: &Place, stack: &str) -> OwnedMutexGuard<()> {
    let name = stack.rsplit('/').next().unwrap_or(stack).to_owned();
    let turns = {
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|_, turns| turns.strong_count() > 0);
        let turns = files.entry((place.directory.clone(), name)).or_default();
        turns.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Turns::new(()));
            *turns = Arc::downgrade(&new);
            new
        })
    };
    turns.lock_owned().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn one_at_a_time_has_the_settings_of_a_stack() {
        let workspace = Recorder::default().workspace();
        let place = workspace.place();
        let command = |words: [&str; 2], stack: &str| Command::new(words).stack(stack);
        let first = of_stack(place, "organization/shop/dev").await;
        for (free, command) in [
            (false, command(["config", "set"], "dev")),
            (false, command(["stack", "rm"], "dev")),
            (true, command(["config", "set"], "prod")),
            (true, command(["stack", "export"], "dev")),
        ] {
            let turn = tokio::time::timeout(Duration::from_millis(20), of_command(place, &command)).await;
            assert_eq!(turn.is_ok(), free, "{command:?}");
        }
        drop(first);
        assert!(of_command(place, &command(["config", "rm"], "dev")).await.is_some());
    }
}
