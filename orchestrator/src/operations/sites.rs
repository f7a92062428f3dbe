//! Before an operation does anything: whether the runtime is at a place that is reached, so that another one's "there is
//! nothing" is not taken for its end, and nothing is begun there.

use std::sync::Arc;

use contracts::operation::{OperationKind, Severity};
use contracts::{ErrorCode, Problem};
use provider_api::site::{all, must_be_reached};
use provider_api::{Held, Provider, Result as Answer, RuntimeRef, Site};
use tokio::time::Instant;

use super::run::Run;
use super::start::{PROVIDER_LIMIT, cancellable};
use super::steady::steady;
use crate::engine::provider_problem;
use crate::store::WorkspaceRow;

/// Passes where the runtime can be seen, or is surely gone. What is made next may be at any place that is reached now, and
/// that is on record before it is.
pub async fn check(run: &Arc<Run>) -> Result<(), Problem> {
    if matches!(run.kind(), OperationKind::Forget | OperationKind::Teardown) {
        return Ok(());
    }
    let row = run.row().await?;
    // A provider that is not there is told by what needs it.
    let Ok(provider) = run.provider(&row) else { return Ok(()) };
    let (provider, runtime, deadline) = (provider.as_ref(), run.runtime(), Instant::now() + PROVIDER_LIMIT);
    // Another place stays another, however often it is asked.
    let see = || async {
        match see(provider, &runtime, &row, run.kind()).await {
            Err(error) if error.code == ErrorCode::RuntimeElsewhere => Ok(Err(error)),
            seen => seen.map(Ok),
        }
    };
    let Some(sites) = cancellable(run, steady(deadline, see)).await?.map_err(provider_problem)? else {
        return Ok(());
    };
    if let ([before], [now]) = (row.sites.as_slice(), sites.as_slice()) {
        let text = format!(
            "Its home is there, at what calls itself {} now and was {} before: that is the same place from here on.",
            now.id, before.id
        );
        run.say(Severity::Warning, text);
    }
    run.settle(&sites).await
}

/// What is to be kept from here on, where that is something else.
async fn see(
    provider: &dyn Provider,
    runtime: &RuntimeRef,
    row: &WorkspaceRow,
    kind: OperationKind,
) -> Answer<Option<Vec<Site>>> {
    let Some(sites) = provider.sites() else { return Ok(None) };
    if row.sites.is_empty() {
        return match kind {
            OperationKind::Create => all(sites.as_ref()).await.map(Some),
            // Of one from before this was kept. What cannot be told now is for the reconciler to learn.
            _ => Ok(sites.holding(runtime).await.ok().flatten().and_then(known)),
        };
    }
    if let Some(site) = must_be_reached(sites.as_ref(), runtime, &row.sites).await? {
        return Ok(Some(vec![site]));
    }
    if !makes(kind) {
        return Ok(None);
    }
    let reached = all(sites.as_ref()).await?;
    if reached.len() < 2 || sites.holding(runtime).await?.is_some() {
        return Ok(None);
    }
    let others = row.sites.iter().filter(|known| reached.iter().all(|site| site.id != known.id));
    Ok(Some([&reached[..], &others.cloned().collect::<Vec<_>>()].concat()))
}

fn known(held: Held) -> Option<Vec<Site>> {
    Some(vec![held.site]).filter(|sites| !sites[0].id.is_empty())
}

/// What is gone is made anew by it.
fn makes(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Create
        | OperationKind::Start
        | OperationKind::Resume
        | OperationKind::Restart
        | OperationKind::Apply
        | OperationKind::Update
        | OperationKind::Restore => true,
        OperationKind::Stop
        | OperationKind::Suspend
        | OperationKind::Delete
        | OperationKind::Purge
        | OperationKind::Forget
        | OperationKind::Teardown => false,
    }
}

/// Where it was made, of the places at which that could happen.
pub async fn narrow(run: &Run, row: &WorkspaceRow) -> Result<(), Problem> {
    let Some(sites) = run.provider(row)?.sites() else { return Ok(()) };
    if row.sites.len() == 1 {
        return Ok(());
    }
    let (runtime, deadline) = (run.runtime(), Instant::now() + PROVIDER_LIMIT);
    let held = cancellable(run, steady(deadline, || sites.holding(&runtime))).await?;
    match held.and_then(known) {
        Some(sites) => run.settle(&sites).await,
        None => Ok(()),
    }
}
