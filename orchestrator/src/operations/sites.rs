//! Before an operation does anything: whether the runtime is at a place that is reached, so that another one's "there is
//! nothing" is not taken for its end, and nothing is begun there.

use std::sync::Arc;

use contracts::operation::{OperationKind, Severity};
use contracts::{ErrorCode, Problem};
use provider_api::site::{Whereabouts, all, look};
use provider_api::{Provider, Result as Answer, RuntimeRef, Site};
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
    let sites = cancellable(run, steady(deadline, see)).await?.map_err(provider_problem)?;
    if sites == row.sites {
        return Ok(());
    }
    if let ([before], [now]) = (row.sites.as_slice(), sites.as_slice())
        && before.id != now.id
    {
        let text = format!(
            "Its home is there, at what calls itself {} now and was {} before: that is the same place from here on.",
            now.id, before.id
        );
        run.say(Severity::Warning, text);
    }
    run.settle(&sites).await
}

async fn see(
    provider: &dyn Provider,
    runtime: &RuntimeRef,
    row: &WorkspaceRow,
    kind: OperationKind,
) -> Answer<Vec<Site>> {
    let Some(sites) = provider.sites() else { return Ok(row.sites.clone()) };
    Ok(match look(sites.as_ref(), runtime, &row.sites).await? {
        Whereabouts::There(sites) => sites,
        Whereabouts::Nowhere if makes(kind) => {
            let reached = all(sites.as_ref()).await?;
            let other = row.sites.iter().filter(|known| reached.iter().all(|site| site.id != known.id));
            [&reached[..], &other.cloned().collect::<Vec<_>>()].concat()
        }
        Whereabouts::Nowhere => row.sites.clone(),
    })
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
    let (2.., Some(sites)) = (row.sites.len(), run.provider(row)?.sites()) else { return Ok(()) };
    let (runtime, deadline) = (run.runtime(), Instant::now() + PROVIDER_LIMIT);
    let seen = cancellable(run, steady(deadline, || look(sites.as_ref(), &runtime, &row.sites))).await?;
    match seen {
        Whereabouts::There(sites) => run.settle(&sites).await,
        Whereabouts::Nowhere => Ok(()),
    }
}
