//! `pilot ws wait`: looks at a workspace until it is as it is wanted. An operation's events would not do: whatever makes
//! it so may be asked for later, by somebody else, or by the server itself.

use std::time::Duration;

use contracts::workspace::{Observed, Workspace};
use contracts::{ErrorCode, Problem, WorkspaceRef};
use tokio::time::{Instant, sleep, timeout_at};

use crate::Outcome;
use crate::args::{Goal, Wait};
use crate::client::Client;
use crate::progress::Waiting;
use crate::ui::Ui;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

enum Ended {
    Reached(Box<Workspace>),
    Gone,
    /// It was so before anybody looked, or there never was one.
    NotThere,
    /// It will not become so by itself.
    Failed(Problem),
}

pub async fn run(client: &Client, wait: &Wait, ui: &mut Ui) -> Result<Outcome, Problem> {
    let name = super::parse(&wait.slug)?;
    let waiting = Waiting::new(&format!("{name}, to be {}", wait.goal.as_str()), ui);
    let ended = tokio::select! {
        ended = until(client, name, wait, &waiting) => ended,
        _ = tokio::signal::ctrl_c() => return Ok(Outcome::Interrupted),
    };
    drop(waiting);
    match ended? {
        Ended::Reached(workspace) if ui.json => ui.document(&workspace),
        Ended::Reached(workspace) => ui.say(super::summary(&workspace, "")),
        // As after a delete that was waited for: there is nothing left to show.
        Ended::Gone | Ended::NotThere if ui.json => {}
        Ended::NotThere => {
            ui.say(format!("There is no {0}: it is deleted, or there never was one.", wait.slug))
        }
        Ended::Gone => ui.say(format!("{} is deleted.", wait.slug)),
        Ended::Failed(problem) => return Ok(ui.failed(&problem)),
    }
    Ok(Outcome::Done)
}

async fn until(
    client: &Client,
    name: WorkspaceRef,
    wait: &Wait,
    waiting: &Waiting,
) -> Result<Ended, Problem> {
    let deadline = Instant::now() + wait.timeout;
    let (mut name, mut pause) = (name, FIRST_PAUSE);
    let mut seen = None;
    let mut lost = None;
    while let Ok(look) = timeout_at(deadline, client.workspace(&name)).await {
        match look {
            // What is kept of it is no workspace any more.
            Ok(workspace) if workspace.home_until.is_some() && wait.goal == Goal::Deleted => {
                return Ok(Ended::Gone);
            }
            Ok(workspace) => {
                let is_final =
                    is_reached(wait.goal, workspace.state) || has_failed(wait.goal, workspace.state);
                if is_final && is_settled(client, &workspace).await {
                    return Ok(match workspace.state {
                        Observed::Failed => Ended::Failed(failure(workspace)),
                        _ => Ended::Reached(Box::new(workspace)),
                    });
                }
                waiting.say(&format!("{} is {}", workspace.slug, workspace.state.as_str()));
                // A successor of the name is not what is waited for.
                name = WorkspaceRef::Id(workspace.id);
                seen = Some(workspace.state);
                lost = None;
            }
            Err(problem) if problem.code == ErrorCode::WorkspaceNotFound && wait.goal == Goal::Deleted => {
                return Ok(if seen.is_some() { Ended::Gone } else { Ended::NotThere });
            }
            // A server that was there may be away for a while.
            Err(problem) if problem.retryable && seen.is_some() => lost = Some(problem),
            Err(problem) => return Err(problem),
        }
        if Instant::now() >= deadline {
            break;
        }
        sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
    Err(lost.unwrap_or_else(|| timed_out(wait, seen)))
}

fn is_reached(goal: Goal, state: Observed) -> bool {
    match goal {
        Goal::Ready => state == Observed::Ready,
        Goal::Stopped => state == Observed::Stopped,
        Goal::Suspended => state == Observed::Suspended,
        // Then it is not found.
        Goal::Deleted => false,
    }
}

/// A delete goes on from there.
fn has_failed(goal: Goal, state: Observed) -> bool {
    state == Observed::Failed && goal != Goal::Deleted
}

/// Whether it stays so: what was asked for already, such as a restart of what is ready, is still to come.
async fn is_settled(client: &Client, workspace: &Workspace) -> bool {
    let Some(id) = &workspace.operation else { return true };
    match client.operation(id).await {
        Ok(operation) => operation.state.is_final(),
        // One that ended long ago is not kept.
        Err(problem) => problem.code == ErrorCode::OperationNotFound,
    }
}

fn failure(workspace: Workspace) -> Problem {
    let slug = workspace.slug;
    workspace.error.unwrap_or_else(|| {
        Problem::new(ErrorCode::InstanceFailed, format!("{slug} failed, and nothing is under way for it."))
            .with_action(format!("`pilot ws start {slug}` tries again."))
    })
}

fn timed_out(wait: &Wait, seen: Option<Observed>) -> Problem {
    let (slug, goal) = (&wait.slug, wait.goal.as_str());
    let more = |state| if is_reached(wait.goal, state) { ", and an operation is under way" } else { "" };
    let state = seen.map(|state| format!(": it is {}{}", state.as_str(), more(state))).unwrap_or_default();
    Problem::new(ErrorCode::TimedOut, format!("{slug} was not {goal} after {} s{state}.", wait.timeout.as_secs()))
        .with_action(format!(
            "`pilot ws get {slug}` shows more, `pilot op ls --workspace {slug}` what is under way; --timeout waits longer."
        ))
}
