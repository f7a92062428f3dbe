//! Delete: what runs is removed at once, the home is kept for a while. Purge removes all. The row stays as a tombstone until
//! nothing is left outside but what is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::operation::{Phase, Severity};
use contracts::{Code, ErrorCode, Problem};
use provider_api::{OwnedObject, Provider};
use stacks::Stack;

use super::apply::{destroy, destroy_but_home, protect};
use super::run::Run;
use super::start::limited;
use super::{home, remains};
use crate::engine::stack_to_delete;
use crate::lifecycle::state::Event;
use crate::store::Left;

/// `grace`: how long the home is kept; zero removes it as well.
pub async fn run(run: &Arc<Run>, grace: Duration) -> Result<Left, Problem> {
    let row = run.row().await?;
    run.observe(Event::DeleteStarted, None).await?;
    let provider = run.provider(&row).map_err(|problem| problem.with_action(GONE))?;
    let stack = stack_to_delete(&row, provider.as_ref(), &run.parts.installation)?;
    run.reach(Phase::Planned).await?;
    let keep = !grace.is_zero() && home::is_there(run, provider.as_ref(), &stack).await?;
    if keep {
        destroy_but_home(run, &stack).await?;
    } else {
        // From here on a part of it may be gone.
        run.end_grace().await?;
        limited("removal of the home", provider.lifecycle().home_goes(&run.runtime())).await?;
        destroy_all(run, provider.as_ref(), &stack).await?;
    }
    run.reach(Phase::Applied).await?;
    sweep(run, provider.as_ref(), &stack, keep).await?;
    Ok(if keep { Left::Home(grace) } else { Left::Nothing })
}

async fn destroy_all(run: &Arc<Run>, provider: &dyn Provider, stack: &Stack) -> Result<(), Problem> {
    protect(run, stack, false).await?;
    let problem = match destroy(run, stack).await {
        Err(problem) if may_be_held(&problem) => problem,
        destroyed => return destroyed,
    };
    // What the state does not know may hold what it knows, as a machine holds its volume; and what the destroy has taken into
    // the state, from a run that was cut off, is protected still.
    sweep(run, provider, stack, false).await.map_err(|_| problem)?;
    protect(run, stack, false).await?;
    destroy(run, stack).await
}

fn may_be_held(problem: &Problem) -> bool {
    matches!(problem.code, Code::Known(ErrorCode::ProviderFailed | ErrorCode::EngineFailed))
}

const GONE: &str = "Start the server with this provider, then delete again. If the provider is gone for good, `pilot ws rm \
                    --forget NAME` releases the workspace and says what may be left.";

/// Releases the workspace without its provider: its stack is removed, and what it lists is told and stays.
pub async fn forget(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    run.observe(Event::DeleteStarted, None).await?;
    let left = run.parts.engine.forget(row.runtime_id.as_str()).await?;
    let sites: Vec<String> = row.sites.iter().map(ToString::to_string).collect();
    let at = match sites.is_empty() {
        true => row.provider.to_string(),
        false => format!("{} ({})", row.provider, sites.join("; ")),
    };
    let text = match left.is_empty() {
        true => format!("{} lists nothing at {at}.", row.runtime_id),
        false => format!("These may be left at {at}: {}.", left.join(", ")),
    };
    run.say(Severity::Warning, text);
    run.reach(Phase::Applied).await
}

/// A create that was killed can have made objects that Pulumi's state does not know. They are found by
/// their labels and deleted through the same resources, last first, but for the home where that is kept.
async fn sweep(run: &Run, provider: &dyn Provider, stack: &Stack, keep: bool) -> Result<(), Problem> {
    if strays(run, provider, keep).await?.is_empty() {
        return Ok(());
    }
    let kept = if keep { stack.protected() } else { BTreeSet::new() };
    remains::delete(provider, stack, &kept, run.runtime().fence).await?;
    let left = strays(run, provider, keep).await?;
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = left.iter().map(|object| format!("{} {}", object.kind, object.id)).collect();
    Err(Problem::new(
        ErrorCode::ProviderFailed,
        format!("These objects could not be deleted: {}.", names.join(", ")),
    )
    .with_action("Delete the workspace again; if they stay, remove them by hand."))
}

/// What must not be there any more.
async fn strays(run: &Run, provider: &dyn Provider, keep: bool) -> Result<Vec<OwnedObject>, Problem> {
    let owned = home::owned(run, provider).await?;
    Ok(owned.into_iter().filter(|object| !(keep && object.stays_with_home())).collect())
}
