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
        interval(&query)?;
        let workspace = match workspace {
            Some(name) => Some(self.id_of(name).await?),
            None => None,
        };
        let page = self.store.usage(&UsageQuery { workspace, ..query.clone() }).await?;
        let usage = page.rows.into_iter().map(shown).collect();
        Ok(UsageList { from: query.from, to: page.to, usage, next: page.next })
    }
}

/// Where both ends are given there is some time between them.
fn interval(query: &UsageQuery) -> Result<(), Problem> {
    let (Some(from), Some(to)) = (query.from, query.to) else { return Ok(()) };
    if from < to {
        return Ok(());
    }
    let detail = format!("There is no time from {from} until {to}: the end does not belong to the interval.");
    let action = "Give a later end. One day is `pilot usage --from 2026-11-28 --to 2026-11-29`.";
    Err(Problem::new(ErrorCode::BadRequest, detail).with_action(action))
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_interval_without_any_time_is_refused_and_it_is_said_what_to_give() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let (earlier, later) = (at("2026-11-28T00:00:00Z"), at("2026-11-29T00:00:00Z"));
        for (from, to) in [(later, later), (later, earlier)] {
            let problem = interval(&UsageQuery { from, to, ..UsageQuery::default() }).unwrap_err();
            assert_eq!(problem.code, ErrorCode::BadRequest);
            assert!(problem.detail.contains("2026-11-29T00:00:00Z"), "{}", problem.detail);
            assert!(problem.action.is_some());
        }
        for (from, to) in [(earlier, later), (None, earlier), (later, None), (None, None)] {
            assert_eq!(interval(&UsageQuery { from, to, ..UsageQuery::default() }), Ok(()));
        }
    }
}
