//! What ran for whom.

use contracts::usage::{Usage, UsageList};
use contracts::{ErrorCode, Problem, WorkspaceRef};

use super::service::Lifecycle;
use crate::store::{UsageQuery, UsageRow};

impl Lifecycle {
    /// Of one workspace, also one that is deleted, by its id; else of all.
    pub async fn usage(
        &self,
        workspace: Option<&WorkspaceRef>,
        query: UsageQuery,
    ) -> Result<UsageList, Problem> {
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from > to
        {
            let detail = format!("The interval ends before it begins: {from} is after {to}.");
            return Err(Problem::new(ErrorCode::BadRequest, detail));
        }
        let workspace = match workspace {
            Some(name) => Some(self.id_of(name).await?),
            None => None,
        };
        let page = self.store.usage(&UsageQuery { workspace, ..query.clone() }).await?;
        let usage = page.rows.into_iter().map(shown).collect();
        Ok(UsageList { from: query.from, to: page.to, usage, next: page.next })
    }
}

fn shown(row: UsageRow) -> Usage {
    Usage {
        workspace_id: row.workspace,
        slug: row.slug,
        owner: Some(row.owner).filter(|owner| !owner.is_empty()),
        provider: row.provider,
        size: row.size,
        // Half a second counts as one.
        seconds: (row.ran.as_millis() as u64 + 500) / 1000,
    }
}
