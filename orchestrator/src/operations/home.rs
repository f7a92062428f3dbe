//! The home of a runtime: whether it is there, and that none is begun anew, empty, without a user's word.

use std::sync::Arc;

use contracts::operation::Severity;
use contracts::{ErrorCode, Problem};
use provider_api::{OwnedObject, Provider, RunStatus};
use stacks::Stack;

use super::apply::protect;
use super::run::Run;
use super::start;
use crate::engine::provider_problem;
use crate::store::WorkspaceRow;

/// Whether there is a home: outside, where that can be seen, else by the stack's state. It is protected then.
pub async fn is_there(run: &Arc<Run>, provider: &dyn Provider, stack: &Stack) -> Result<bool, Problem> {
    let is_known = protect(run, stack, true).await?;
    match provider.inventory() {
        Some(_) => Ok(owned(run, provider).await?.iter().any(OwnedObject::is_home)),
        None => Ok(is_known),
    }
}

/// Passes where what is made next has its home: it is there, or nothing ran in it yet. One that is gone is begun anew only for
/// a person who was told before and asks for a start since.
pub async fn must_be_there(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let provider = run.provider(row)?;
    // A fork that still has its source has no home of its own yet, however often it was started.
    if !provider.describe().persistent_home || row.source.is_some() || !run.has_run().await? {
        return Ok(());
    }
    // What is there in any way has its home.
    if start::status(run, row).await? != RunStatus::Absent
        || is_there(run, provider.as_ref(), &run.compile(row)?).await?
    {
        return Ok(());
    }
    if !run.begins_anew().await? {
        return Err(gone(row));
    }
    run.say(Severity::Warning, "Its home is gone, with all files: it gets a new one, which is empty.");
    Ok(())
}

/// What its user is told of a workspace whose instance and home are both gone.
pub fn gone(row: &WorkspaceRow) -> Problem {
    let detail = format!("The instance is gone, and so is its home: {} has neither.", row.provider);
    let action = format!(
        "If they are at another place, let it look where they are: nothing is lost there. If they are gone, `pilot ws start {}` \
         makes the workspace anew, with an empty home.",
        row.slug
    );
    Problem::new(ErrorCode::HomeGone, detail).with_action(action)
}

/// All that is outside of the runtime.
pub async fn owned(run: &Run, provider: &dyn Provider) -> Result<Vec<OwnedObject>, Problem> {
    let Some(inventory) = provider.inventory() else { return Ok(Vec::new()) };
    inventory.list_runtime(&run.runtime()).await.map_err(provider_problem)
}
