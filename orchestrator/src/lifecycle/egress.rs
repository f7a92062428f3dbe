//! What became of a workspace's list of destinations: whether it is in force, and what was refused lately. A look, and no operation.

use std::time::Duration;

use contracts::egress::EgressAllow;
use contracts::egress::report::EgressReport;
use contracts::{ErrorCode, Problem, WorkspaceRef};
use provider_api::{Refusals, RuntimeRef};

use super::service::Lifecycle;
use crate::engine::provider_problem;
use crate::store::WorkspaceRow;

/// Who asks why a workspace is as it is does not wait longer for this part of the answer.
const LONGEST: Duration = Duration::from_secs(5);

impl Lifecycle {
    /// What it reaches, whether that is so, and what was refused. Also of one without a list, as far as somebody remembers.
    pub async fn egress(&self, name: &WorkspaceRef) -> Result<EgressReport, Problem> {
        self.report(&self.row(name).await?).await
    }

    async fn report(&self, row: &WorkspaceRow) -> Result<EgressReport, Problem> {
        let provider = self.providers.serving(row)?;
        let Some(refuses) = provider.refuses() else {
            let detail =
                format!("The provider {} does not tell what it refuses to its instances.", row.provider);
            return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(
                "Lists of destinations, and what they refuse, are there with the provider docker.",
            ));
        };
        self.must_be_seen(row).await?;
        let runtime = RuntimeRef::new(row.runtime_id.clone(), self.installation.clone());
        let told = refuses.refusals(&runtime).await.map_err(provider_problem)?;
        Ok(of(row.egress.clone(), told))
    }

    /// The same for one that has a list. Where nobody can be asked, the reason is the answer.
    pub(super) async fn report_of_listed(&self, row: &WorkspaceRow) -> Option<EgressReport> {
        let list = row.egress.clone().filter(|_| row.home_until.is_none())?;
        let unknown = |reason: String| EgressReport {
            in_force: None,
            reason: Some(reason),
            ..of(Some(list.clone()), Refusals::default())
        };
        Some(match tokio::time::timeout(LONGEST, self.report(row)).await {
            Ok(Ok(report)) => report,
            Ok(Err(problem)) => unknown(problem.detail),
            Err(_) => unknown(format!("its provider did not say so within {LONGEST:?}")),
        })
    }
}

fn of(list: Option<EgressAllow>, told: Refusals) -> EgressReport {
    let proposed = list.as_ref().and_then(|list| list.with_refused(&told.refused));
    EgressReport {
        in_force: list.is_some().then_some(told.not_in_force.is_none()),
        reason: told.not_in_force.filter(|_| list.is_some()),
        egress_allow: list,
        refused: told.refused,
        more_refused: told.more,
        proposed,
    }
}
