//! What happens next to a workspace, in words.

use std::time::Duration;

use contracts::operation::{Operation, OperationKind, OperationState, Phase};
use contracts::workspace::{Desired, Observed};
use contracts::{ErrorCode, Problem};

use super::{INTERVAL, Repair, until_next, waits_for_people};
use crate::store::{Store, WorkspaceRow};

/// By what is known; the reconciler may see more at its next look.
pub async fn next(store: &Store, row: &WorkspaceRow, repair: Repair) -> Result<String, Problem> {
    let unfinished = store.unfinished_of(&row.runtime_id).await?;
    if !unfinished.is_empty() {
        return Ok(unfinished.iter().map(under_way).collect::<Vec<_>>().join(" "));
    }
    if let Some(until) = row.home_until {
        return Ok(format!(
            "It is deleted; its home is removed at {until}. `pilot ws restore {}` brings it back.",
            row.id
        ));
    }
    if row.home_is_gone() && row.desired != Desired::Deleted {
        return Ok(format!(
            "Nothing by itself: its home is gone. `pilot ws start {}` makes it anew, with an empty one.",
            row.slug
        ));
    }
    let kind = match (row.desired, row.observed) {
        (Desired::Deleted, _) if waits_for_people(row) => {
            return Ok(format!(
                "Nothing by itself: what its problem names is somebody else's. Do what it says, then `pilot ws rm {0}`; or `pilot ws \
                 rm --forget {0}` releases the workspace.",
                row.slug
            ));
        }
        (Desired::Deleted, _) => OperationKind::Delete,
        (Desired::Running, Observed::Ready)
        | (Desired::Stopped, Observed::Stopped)
        | (Desired::Suspended, Observed::Suspended) => {
            return Ok("Nothing: it is as it is desired.".to_owned());
        }
        (_, Observed::Unknown) if has(row, &[ErrorCode::UnknownProvider]) => {
            return Ok("Nothing by itself: this server does not offer its provider.".to_owned());
        }
        (_, Observed::Unknown) => {
            return Ok(format!("A look finds out what is true, every {INTERVAL:.0?}."));
        }
        // As `decide` has it: a start that nobody asks for does not mend it.
        (Desired::Running, Observed::Degraded)
            if has(row, &[ErrorCode::UpstreamUnreachable, ErrorCode::OpencodeUnavailable]) =>
        {
            return Ok(format!(
                "A look every {INTERVAL:.0?}: it runs and may answer by itself. `pilot ws restart {}` boots it anew.",
                row.slug
            ));
        }
        (Desired::Running, Observed::Failed)
            if row.error.as_ref().is_some_and(|problem| !problem.retryable) =>
        {
            return Ok(format!(
                "Nothing by itself: trying again would not help. Mend what its problem says, then `pilot ws start {}`.",
                row.slug
            ));
        }
        (Desired::Running, _) => OperationKind::Start,
        (Desired::Stopped, _) => OperationKind::Stop,
        (Desired::Suspended, _) => OperationKind::Suspend,
    };
    if repair == Repair::Report && kind != OperationKind::Delete {
        return Ok("Nothing by itself: the server runs with `--repair report`.".to_owned());
    }
    let wait = until_next(store, row, kind, 1).await?;
    Ok(match wait.is_zero() {
        true => {
            format!("A {} with the next look, within {INTERVAL:.0?}, if it is still needed.", kind.as_str())
        }
        false => format!("A {} in about {:.0?}, if it is still needed.", kind.as_str(), whole(wait)),
    })
}

fn has(row: &WorkspaceRow, codes: &[ErrorCode]) -> bool {
    row.error.as_ref().is_some_and(|problem| codes.iter().any(|code| problem.code == *code))
}

fn under_way(operation: &Operation) -> String {
    let (kind, id) = (operation.kind.as_str(), &operation.id);
    let reached = Phase::ALL.into_iter().rev().find(|phase| operation.phases.get(*phase).is_some());
    match (operation.state, reached) {
        (OperationState::Running, Some(phase)) => {
            format!("The {kind} {id} runs; the last phase it has reached is {}.", phase.as_str())
        }
        (OperationState::Running, None) => format!("The {kind} {id} runs."),
        _ => format!("The {kind} {id} waits for its turn."),
    }
}

fn whole(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs().max(1))
}
