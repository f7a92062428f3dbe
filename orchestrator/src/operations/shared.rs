//! What all runtimes of a provider share: a stack of its own, applied before the first runtime needs it, and
//! removed on demand after the last.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use contracts::operation::Severity;
use contracts::{ErrorCode, Problem, ProviderName};
use provider_api::Provider;
use stacks::Stack;
use tokio::sync::Mutex;

use super::Parts;
use super::apply::apply;
use super::run::{Run, canceled};
use crate::engine::{engine_options, shared_stack};
use crate::store::WorkspaceRow;

/// The shared stacks as this process has applied them, each behind a lock of its provider: of many creates one applies it
/// and the others wait.
#[derive(Default)]
pub struct Applied(std::sync::Mutex<HashMap<ProviderName, Arc<Mutex<Option<Stack>>>>>);

impl Applied {
    fn of(&self, provider: &ProviderName) -> Arc<Mutex<Option<Stack>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(provider.clone()).or_default())
    }
}

/// Once in the life of a process, and again when what is declared changes: then it is the same for every
/// runtime, and costs nothing.
pub async fn ensure(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let provider = run.provider(row)?;
    let Some(stack) = shared_stack(provider.as_ref(), &run.parts.installation)? else { return Ok(()) };
    let one = run.parts.shared.of(&row.provider);
    // Who waits for another keeps no place: that other may need one to go on.
    run.only_waits();
    let mut applied = tokio::select! {
        applied = one.lock() => applied,
        () = run.ending.token().cancelled() => return Err(canceled()),
    };
    run.works().await?;
    if applied.as_ref() == Some(&stack) {
        return Ok(());
    }
    run.say(Severity::Info, format!("Making sure of what workspaces on {} share.", row.provider));
    apply(run, &stack, false).await?;
    *applied = Some(stack);
    Ok(())
}

/// Removes it; `false` when the provider's runtimes share nothing. A create that is accepted meanwhile waits,
/// and then makes it again.
pub async fn remove(parts: &Parts, provider: &dyn Provider) -> Result<bool, Problem> {
    let Some(stack) = shared_stack(provider, &parts.installation)? else { return Ok(false) };
    let name = provider.describe().name;
    let one = parts.shared.of(&name);
    let mut applied = one.lock().await;
    let rows = [parts.store.workspaces().await?, parts.store.kept(None).await?].concat();
    let users: Vec<&str> =
        rows.iter().filter(|row| row.provider == name).map(|row| row.slug.as_str()).collect();
    if !users.is_empty() {
        let detail = format!("Workspaces of the provider {name} exist: {}.", users.join(", "));
        return Err(Problem::new(ErrorCode::ProviderInUse, detail)
            .with_action("Delete them with `pilot ws rm --purge NAME`, then try again."));
    }
    // Whatever comes of it, the next create looks again.
    *applied = None;
    parts.engine.destroy(&stack, &engine_options(), None).await?;
    Ok(true)
}
