//! What all runtimes of a provider share: a stack of its own, applied before the first runtime needs it, and
//! removed on demand after the last.

use std::collections::HashMap;
use std::sync::Arc;

use contracts::operation::Severity;
use contracts::{ErrorCode, Problem, ProviderName};
use provider_api::Provider;
use stacks::Stack;
use tokio::sync::Mutex;

use super::Parts;
use super::apply::apply;
use super::run::Run;
use crate::engine::{engine_options, shared_stack};
use crate::store::WorkspaceRow;

/// The shared stacks as this process has applied them. Held while one is applied, so that of many
/// creates one does it and the others wait.
#[derive(Default)]
pub struct Applied(Mutex<HashMap<ProviderName, Stack>>);

/// Once in the life of a process, and again when what is declared changes: then it is the same for every
/// runtime, and costs nothing.
pub async fn ensure(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let provider = run.provider(row)?;
    let Some(stack) = shared_stack(provider.as_ref(), &run.parts.installation)? else { return Ok(()) };
    let mut applied = run.parts.shared.0.lock().await;
    if applied.get(&row.provider) == Some(&stack) {
        return Ok(());
    }
    run.say(Severity::Info, format!("Making sure of what workspaces on {} share.", row.provider));
    apply(run, &stack, false).await?;
    applied.insert(row.provider.clone(), stack);
    Ok(())
}

/// Removes it; `false` when the provider's runtimes share nothing. A create that is accepted meanwhile waits,
/// and then makes it again.
pub async fn remove(parts: &Parts, provider: &dyn Provider) -> Result<bool, Problem> {
    let Some(stack) = shared_stack(provider, &parts.installation)? else { return Ok(false) };
    let name = provider.describe().name;
    let mut applied = parts.shared.0.lock().await;
    let rows = parts.store.workspaces().await?;
    let users: Vec<&str> =
        rows.iter().filter(|row| row.provider == name).map(|row| row.slug.as_str()).collect();
    if !users.is_empty() {
        let detail = format!("Workspaces of the provider {name} exist: {}.", users.join(", "));
        return Err(Problem::new(ErrorCode::ProviderInUse, detail)
            .with_action("Delete them with `pilot ws rm`, then try again."));
    }
    // Whatever comes of it, the next create looks again.
    applied.remove(&name);
    parts.engine.destroy(&stack, &engine_options(), None).await?;
    Ok(true)
}
