//! How full the disk of a home is: asked of the instance itself when somebody wants to know it.

use std::time::Duration;

use contracts::disk::{Disk, HomeDisk};
use contracts::workspace::Observed;
use contracts::{Problem, WorkspaceRef};
use provider_api::RuntimeRef;

use super::Lifecycle;
use crate::readiness;
use crate::store::WorkspaceRow;

/// Somebody waits for the answer, and it is worth no more.
const LIMIT: Duration = Duration::from_secs(3);

impl Lifecycle {
    pub async fn home_disk(&self, name: &WorkspaceRef) -> Result<HomeDisk, Problem> {
        let row = self.row(name).await?;
        Ok(HomeDisk { disk: self.disk(&row).await })
    }

    /// `None` where nothing runs, and where that does not tell.
    pub(super) async fn disk(&self, row: &WorkspaceRow) -> Option<Disk> {
        tokio::time::timeout(LIMIT, self.told_disk(row)).await.ok().flatten()
    }

    async fn told_disk(&self, row: &WorkspaceRow) -> Option<Disk> {
        if !may_run(row.observed) {
            return None;
        }
        let endpoint = match &row.endpoint {
            Some(endpoint) => endpoint.clone(),
            // One that does not come to its boot's end has no route, and is asked about the more.
            None => {
                let runtime = RuntimeRef::new(row.runtime_id.clone(), self.installation.clone());
                self.providers.serving(row).ok()?.lifecycle().endpoint(&runtime).await.ok()?
            }
        };
        let health = readiness::probe(self.runner.probe(), &endpoint).await?;
        health.disk.filter(|_| health.identity.runtime_id == row.runtime_id)
    }
}

fn may_run(observed: Observed) -> bool {
    matches!(
        observed,
        Observed::Booting | Observed::Ready | Observed::Degraded | Observed::Unknown | Observed::Failed
    )
}
