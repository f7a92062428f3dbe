//! What all runtimes of a provider share: a stack of its own, applied before the first runtime needs it.

use std::collections::HashMap;
use std::sync::Arc;

use contracts::operation::Severity;
use contracts::{Problem, ProviderName};
use stacks::Stack;
use tokio::sync::Mutex;

use super::create::apply;
use super::run::Run;
use crate::engine::shared_stack;
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
