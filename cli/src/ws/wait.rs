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
        Ended::Gone if ui.json => {}
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
    let deadline = Instant::now() + Duration::from_secs(wait.timeout);
    let (mut name, mut pause) = (name, FIRST_PAUSE);
    let mut seen = None;
    let mut lost = None;
    while let Ok(look) = timeout_at(deadline, client.workspace(&name)).await {
        match look {
            Ok(workspace) if is_reached(wait.goal, workspace.state) => {
                return Ok(Ended::Reached(Box::new(workspace)));
            }
            Ok(workspace) => {
                if let Some(problem) = hopeless(client, &workspace, wait.goal).await {
                    return Ok(Ended::Failed(problem));
                }
                waiting.say(&format!("{} is {}", workspace.slug, workspace.state.as_str()));
                // A successor of the name is not what is waited for.
                name = WorkspaceRef::Id(workspace.id);
                seen = Some(workspace.state);
                lost = None;
            }
            Err(problem) if problem.code == ErrorCode::WorkspaceNotFound && wait.goal == Goal::Deleted => {
                return Ok(Ended::Gone);
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

/// Why it stays as it is: it failed, and nothing is under way for it.
async fn hopeless(client: &Client, workspace: &Workspace, goal: Goal) -> Option<Problem> {
    if workspace.state != Observed::Failed || goal == Goal::Deleted {
        return None;
    }
    if let Some(id) = &workspace.operation {
        // What cannot be seen may be under way.
        if !client.operation(id).await.is_ok_and(|operation| operation.state.is_final()) {
            return None;
        }
    }
    let slug = &workspace.slug;
    Some(workspace.error.clone().unwrap_or_else(|| {
        Problem::new(ErrorCode::InstanceFailed, format!("{slug} failed, and nothing is under way for it."))
            .with_action(format!("`pilot ws start {slug}` tries again."))
    }))
}

fn timed_out(wait: &Wait, seen: Option<Observed>) -> Problem {
    let (slug, goal) = (&wait.slug, wait.goal.as_str());
    let state = seen.map(|state| format!(": it is {}", state.as_str())).unwrap_or_default();
    Problem::new(ErrorCode::TimedOut, format!("{slug} was not {goal} after {} s{state}.", wait.timeout))
        .with_action(format!(
            "`pilot ws get {slug}` shows more, `pilot op ls --workspace {slug}` what is under way; --timeout waits longer."
        ))
}
