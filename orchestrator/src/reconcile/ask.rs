//! Whether instances run, asked of each provider for all of them at once. Who answers late keeps nobody else waiting.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use contracts::workspace::Desired;
use contracts::{InstallationId, ProviderName, RuntimeId};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use provider_api::{Provider, Result, RunStatus};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use super::LOOK;
use crate::store::WorkspaceRow;
use crate::wiring::Providers;

/// A workspace as it was when its provider was asked, and what that has said; nothing where it is to be asked by itself.
pub struct Asked {
    pub row: WorkspaceRow,
    pub listed: Option<Result<RunStatus>>,
}

/// Each row once, as soon as its provider has said something of it.
pub fn ask(
    providers: &Providers,
    installation: &InstallationId,
    rows: Vec<WorkspaceRow>,
) -> impl Stream<Item = Asked> + use<> {
    let (tell, told) = unbounded_channel();
    let mut by_provider: HashMap<ProviderName, Vec<WorkspaceRow>> = HashMap::new();
    for row in rows {
        match row.desired {
            // There is nothing to see that would change what follows.
            Desired::Deleted => say(&tell, row, None),
            _ => by_provider.entry(row.provider.clone()).or_default().push(row),
        }
    }
    let mut asking = Vec::new();
    for (name, rows) in by_provider {
        match providers.get(name.as_str()) {
            Ok(provider) => {
                let of_provider = of_provider(Arc::clone(provider), installation.clone(), rows, tell.clone());
                asking.push(AbortOnDropHandle::new(tokio::spawn(of_provider)));
            }
            Err(_) => rows.into_iter().for_each(|row| say(&tell, row, None)),
        }
    }
    // They end with the stream.
    stream::unfold((told, asking), |(mut told, asking)| async {
        told.recv().await.map(|asked| (asked, (told, asking)))
    })
}

/// Nobody listens any more when the round is over.
fn say(tell: &UnboundedSender<Asked>, row: WorkspaceRow, listed: Option<Result<RunStatus>>) {
    let _ = tell.send(Asked { row, listed });
}

async fn of_provider(
    provider: Arc<dyn Provider>,
    installation: InstallationId,
    rows: Vec<WorkspaceRow>,
    tell: UnboundedSender<Asked>,
) {
    let mut rows: HashMap<RuntimeId, WorkspaceRow> =
        rows.into_iter().map(|row| (row.runtime_id.clone(), row)).collect();
    let runtimes = rows.keys().cloned().collect();
    let listen = async {
        let lifecycle = provider.lifecycle();
        let mut statuses = lifecycle.status_many(installation, runtimes);
        while let Some((runtime, status)) = statuses.next().await {
            if let Some(row) = rows.remove(&runtime) {
                say(&tell, row, Some(status));
            }
        }
    };
    match tokio::time::timeout(LOOK, AssertUnwindSafe(listen).catch_unwind()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => {
            tracing::error!(provider = %provider.describe().name, "a panic while it was asked for all")
        }
        Err(_) => {
            tracing::warn!(provider = %provider.describe().name, "not all instances were told of in time")
        }
    }
    // Each has its turn, by itself, whatever the module has done with the others.
    rows.into_values().for_each(|row| say(&tell, row, None));
}

#[cfg(test)]
mod tests;
