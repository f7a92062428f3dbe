//! `pilot ws why`: what a workspace is, who wants it so, what was tried, and what comes next.

use contracts::disk::Fill;
use contracts::operation::Operation;
use contracts::why::Asked;
use contracts::workspace::{Desired, Observed, Workspace};
use contracts::{Problem, WorkspaceRef};
use jiff::Timestamp;

use super::{egress, word};
use crate::Outcome;
use crate::client::Client;
use crate::ui::{Ui, duration};

pub async fn run(client: &Client, name: &WorkspaceRef, ui: &mut Ui) -> Result<Outcome, Problem> {
    let why = client.why(name).await?;
    if ui.json {
        ui.document(&why);
        return Ok(Outcome::Done);
    }
    let (workspace, now) = (&why.workspace, Timestamp::now());
    let since = ago(workspace.since, now);
    ui.say(format!(
        "{} is {} (for {since}), and is to be {}.",
        workspace.slug,
        word(&workspace.state),
        word(&workspace.desired)
    ));
    if let Some(problem) = &workspace.error {
        ui.say(format!("  {}", problem.to_string().replace('\n', "\n  ")));
    }
    if let Some(disk) = why.disk.filter(|disk| disk.fill() != Fill::Fine) {
        ui.say(format!("  Its home is {}.", disk.in_words()));
    }
    if let Some(report) = &why.egress {
        // What waits for its boot may wait for what is refused.
        let is_wrong = workspace.error.is_some() || !is_as_desired(workspace);
        egress::in_why(report, name, is_wrong).into_iter().for_each(|line| ui.say(line));
    }
    ui.say("Asked for:");
    why.asked.iter().for_each(|asked| ui.say(wish(asked, now)));
    ui.say("Done:");
    why.operations.iter().for_each(|operation| ui.say(done(operation, now)));
    ui.say(format!("Next: {}", why.next));
    Ok(Outcome::Done)
}

fn is_as_desired(workspace: &Workspace) -> bool {
    matches!(
        (workspace.desired, workspace.state),
        (Desired::Running, Observed::Ready)
            | (Desired::Stopped, Observed::Stopped)
            | (Desired::Suspended, Observed::Suspended)
    )
}

fn wish(asked: &Asked, now: Timestamp) -> String {
    let ago = format!("{} ago", ago(asked.at, now));
    format!("  {ago:<14} {:<10} by {} (request {})", asked.action, asked.principal, asked.request_id)
}

fn done(operation: &Operation, now: Timestamp) -> String {
    let at = operation.phases.finished.or(operation.phases.queued);
    let ago = at.map(|at| format!("{} ago", ago(at, now))).unwrap_or_default();
    // One that was canceled says no more by its code.
    let code = operation.error.as_ref().map(|problem| problem.code.to_string());
    let code = code.filter(|code| code != operation.state.as_str());
    let code = code.map(|code| format!(": {code}")).unwrap_or_default();
    let kind = operation.kind.as_str();
    format!("  {ago:<14} {kind:<10} {}{code} ({})", operation.state.as_str(), operation.id)
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    // Tenths of a second are noise here.
    match (now.as_millisecond() - at.as_millisecond()) / 1000 {
        seconds @ ..60 => format!("{} s", seconds.max(0)),
        seconds => duration(seconds.saturating_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_canceled_says_so_once_and_what_failed_says_why() {
        let shown = |state: &str, code: contracts::ErrorCode| {
            let operation = serde_json::json!({
                "id": "op-1", "kind": "create", "workspaceId": "ws_1", "slug": "demo", "runtimeId": "rt-1", "state": state,
                "phases": {}, "requestId": "req-1", "error": Problem::new(code, "So."),
            });
            done(&serde_json::from_value(operation).unwrap(), Timestamp::now()).trim().to_owned()
        };
        assert_eq!(shown("canceled", contracts::ErrorCode::Canceled), "create     canceled (op-1)");
        assert_eq!(
            shown("failed", contracts::ErrorCode::GitNotFound),
            "create     failed: git_not_found (op-1)"
        );
    }
}
