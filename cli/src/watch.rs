//! Follows an operation to its end. The operation runs in the server: a lost connection or a server
//! that restarts interrupts the view, not the work, so the stream is opened again where it broke off.

use std::time::{Duration, Instant};

use contracts::operation::{Operation, OperationEvent, OperationEventBody, OperationKind, OperationState};
use contracts::{ErrorCode, OperationId, Problem};
use futures_util::StreamExt;

use crate::client::Client;
use crate::progress::Progress;
use crate::sse::Parser;
use crate::ui::Ui;

/// How long a server may be away before its absence is the answer.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// How long nothing may be told before it is asked why.
const QUIET: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(30) };

/// What became of a watched operation.
#[derive(Debug, PartialEq, Eq)]
pub enum Watched {
    /// It succeeded, after so long.
    Succeeded(Option<String>),
    /// It ended otherwise, for this reason.
    Failed(Problem),
    /// The person pressed Ctrl-C; the operation goes on.
    Interrupted,
}

/// Shows the operation's events until the last one.
pub async fn watch(client: &Client, operation: &Operation, ui: &mut Ui) -> Result<Watched, Problem> {
    let mut progress = Progress::new(operation.kind, ui);
    let followed = tokio::select! {
        followed = follow(client, &operation.id, &mut progress, ui) => followed,
        _ = tokio::signal::ctrl_c() => {
            progress.end();
            ui.note(format!("The operation goes on; `pilot op watch {}` shows it again.", operation.id));
            return Ok(Watched::Interrupted);
        }
    };
    progress.end();
    match followed? {
        (OperationState::Succeeded, _) => Ok(Watched::Succeeded(progress.total())),
        (_, Some(problem)) => Ok(Watched::Failed(with_way_on(problem, operation))),
        (state, None) => Ok(Watched::Failed(without_reason(operation, state))),
    }
}

async fn follow(
    client: &Client,
    id: &OperationId,
    progress: &mut Progress,
    ui: &mut Ui,
) -> Result<(OperationState, Option<Problem>), Problem> {
    let mut seen = 0;
    let mut heard = Instant::now();
    // Since when nothing is told; none once that was said.
    let mut quiet = Some(heard);
    loop {
        let lost = match client.events(id, seen).await {
            Ok(response) => {
                let mut bytes = response.bytes_stream();
                let mut parser = Parser::default();
                loop {
                    let chunk = tokio::select! {
                        chunk = bytes.next() => chunk,
                        since = over(quiet) => {
                            quiet = None;
                            progress.quiet(since, client.ready().await.err().as_ref(), ui);
                            continue;
                        }
                    };
                    let Some(Ok(chunk)) = chunk else { break };
                    heard = Instant::now();
                    for raw in parser.push(&chunk) {
                        // An event of a newer server is not for us.
                        let Ok(event) = serde_json::from_str::<OperationEvent>(&raw.data) else { continue };
                        if event.sequence <= seen {
                            continue;
                        }
                        seen = event.sequence;
                        quiet = Some(heard);
                        progress.show(&event, &raw.data, ui);
                        if let OperationEventBody::Done { state, error } = event.body {
                            return Ok((state, error));
                        }
                    }
                }
                None
            }
            Err(problem) if problem.code == ErrorCode::OrchestratorUnreachable => {
                if quiet.is_some_and(|since| since.elapsed() > QUIET) {
                    quiet = None;
                    progress.quiet(heard.elapsed(), Some(&problem), ui);
                }
                Some(problem)
            }
            Err(problem) => return Err(problem),
        };
        if heard.elapsed() > TIMEOUT {
            return Err(lost.map_or_else(|| silent(id), |lost| with_operation(lost, id)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends when nothing was told for too long, with how long that is.
async fn over(quiet: Option<Instant>) -> Duration {
    match quiet {
        Some(since) => tokio::time::sleep(QUIET.saturating_sub(since.elapsed())).await,
        None => std::future::pending().await,
    }
    quiet.map(|since| since.elapsed()).unwrap_or_default()
}

/// What was accepted goes on with the server, and whoever asked needs its id then.
fn with_operation(problem: Problem, id: &OperationId) -> Problem {
    let action = problem.action.as_ref().map(|action| format!("{action}\n")).unwrap_or_default();
    problem.with_action(format!(
        "{action}The operation was accepted, and goes on when the server does: `pilot op watch {id}` shows it."
    ))
}

/// Says that what a failed operation leaves can be used or removed, unless the server said what to do.
fn with_way_on(problem: Problem, operation: &Operation) -> Problem {
    let slug = operation.subject();
    match operation.kind {
        _ if problem.action.is_some() => problem,
        // A delete took over: nothing stays.
        _ if problem.code == ErrorCode::Canceled => problem,
        OperationKind::Create | OperationKind::Restore | OperationKind::Start | OperationKind::Resume | OperationKind::Restart => problem
            .with_action(format!(
                "The workspace stays. When the cause is mended, `pilot ws start {slug}` tries again; `pilot ws rm \
                 {slug}` deletes it."
            )),
        OperationKind::Update => problem.with_action(format!(
            "The workspace stays. When the cause is mended, `pilot ws start {slug}` goes on with the new {}.",
            changed(operation)
        )),
        OperationKind::Apply => problem.with_action(format!(
            "The workspace stays. When the cause is mended, `pilot stack apply {slug}` tries again."
        )),
        OperationKind::Snapshot => problem.with_action("Nothing of the snapshot is kept, and the workspace is as it was."),
        OperationKind::Rewind => problem.with_action(format!(
            "`pilot ws get {slug}` shows it. Its files are those of before or those of the snapshot, and never a part of both."
        )),
        OperationKind::Discard => problem.with_action(format!(
            "`pilot ws snapshot ls {slug}` shows what is there; the same command tries again."
        )),
        OperationKind::Teardown => problem.with_action(
            "What is left is kept and owned: `pilot provider teardown` with the same name tries again.",
        ),
        OperationKind::Stop | OperationKind::Suspend | OperationKind::Hibernate | OperationKind::Delete | OperationKind::Purge | OperationKind::Forget => problem,
    }
}

/// What was asked of an update.
fn changed(operation: &Operation) -> String {
    let Some(update) = &operation.update else { return "image and size".to_owned() };
    let parts = [
        (update.image.is_some(), "image"),
        (update.size.is_some(), "size"),
        (update.egress.is_some(), "list of destinations"),
    ];
    let parts: Vec<_> = parts.into_iter().filter_map(|(is_there, part)| is_there.then_some(part)).collect();
    parts.join(" and ")
}

fn silent(id: &OperationId) -> Problem {
    Problem::new(ErrorCode::OrchestratorUnreachable, "The server stopped telling about the operation.")
        .with_action(format!("`pilot op get {id}` shows whether it goes on."))
}

fn without_reason(operation: &Operation, state: OperationState) -> Problem {
    let code = match state {
        OperationState::Canceled => ErrorCode::Canceled,
        _ => ErrorCode::Internal,
    };
    Problem::new(
        code,
        format!("The operation on {} ended as {} without a reason.", operation.subject(), state.as_str()),
    )
    .with_action(format!("`pilot op get {}` shows it.", operation.id))
}

#[cfg(test)]
mod tests {
    use contracts::workspace::Image;

    use super::*;

    #[test]
    fn a_server_that_stays_away_leaves_the_id_of_what_it_has_accepted() {
        let away =
            Problem::new(ErrorCode::OrchestratorUnreachable, "Nothing answers.").with_action("Start it.");
        let id = OperationId::random();
        let action = with_operation(away, &id).action.unwrap();
        assert!(
            action.starts_with("Start it.\n") && action.contains(&format!("`pilot op watch {id}`")),
            "{action}"
        );
    }

    #[test]
    fn a_failed_update_goes_on_with_what_it_was_to_change() {
        let (image, size) = (serde_json::json!(Image::named("x:2")), serde_json::json!("large"));
        for (update, words) in [
            (serde_json::json!({ "image": image }), "the new image."),
            (serde_json::json!({ "size": size }), "the new size."),
            (serde_json::json!({ "image": image, "size": size }), "the new image and size."),
        ] {
            let operation = serde_json::json!({
                "id": OperationId::random(), "kind": "update", "workspaceId": contracts::WorkspaceId::random(),
                "slug": "demo", "runtimeId": "rt-1", "state": "failed", "phases": {}, "update": update,
                "requestId": "req-1",
            });
            let operation: Operation = serde_json::from_value(operation).unwrap();
            let advised = with_way_on(Problem::new(ErrorCode::ProviderFailed, "so"), &operation);
            let action = advised.action.unwrap();
            assert!(action.ends_with(words), "{action}");
        }
    }
}
