//! Commands in a workspace's instance, through its provider: neither backend nor OpenCode have to work for it.
//!
//! A command is no operation and changes nothing that is known of the workspace. It is not idempotent, so nobody repeats
//! it: an error after which it may have run says so, and is not `retryable`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::exec::{self, Exec, Executed};
use contracts::workspace::Desired;
use contracts::{ErrorCode, Problem, WorkspaceRef};
use provider_api::{Captured, Outcome, ProviderError, RunStatus, RuntimeRef};
use tokio::time::Instant;

use super::service::{Caller, Lifecycle};
use crate::engine::provider_problem;
use crate::store::WorkspaceRow;

/// How often an instance that is to run, and stands still, is looked at.
const STANDS_STILL: Duration = Duration::from_millis(250);

impl Lifecycle {
    /// Runs a command in an instance that runs, and waits for its end.
    pub async fn exec(
        &self,
        name: &WorkspaceRef,
        wanted: Exec,
        caller: &Caller,
    ) -> Result<Executed, Problem> {
        if caller.idempotency_key.is_some() || caller.if_match.is_some() {
            let detail = "A command is run as often as it is asked for, and whatever version the workspace has: it takes no \
                          Idempotency-Key and no If-Match.";
            return Err(Problem::new(ErrorCode::BadRequest, detail).with_action("Send it without them."));
        }
        let limit = checked(&wanted)?;
        let row = self.row(name).await?;
        let provider = self.providers.serving(&row)?;
        let Some(exec) = provider.exec() else {
            let detail = format!("The provider {} cannot run commands in its instances.", row.provider);
            return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(
                "`pilot provider ls` shows which can. The agent can run it, and its terminal in the workspace's page.",
            ));
        };
        self.must_be_seen(&row).await?;
        let runtime = RuntimeRef::new(row.runtime_id.clone(), self.installation.clone());
        let lifecycle = provider.lifecycle();
        let deadline = Instant::now() + limit;
        let mut status = lifecycle.status(&runtime).await.map_err(provider_problem)?;
        // It stands still while its home is copied, and goes on.
        while status == RunStatus::Suspended && row.desired == Desired::Running && Instant::now() < deadline {
            tokio::time::sleep(STANDS_STILL).await;
            status = lifecycle.status(&runtime).await.map_err(provider_problem)?;
        }
        must_run(&row, &status)?;
        let done = exec.exec(&runtime, &wanted.command, limit).await.map_err(failed)?;
        let (stdout, stdout_base64, stdout_dropped) = told(&done.stdout);
        let (stderr, stderr_base64, stderr_dropped) = told(&done.stderr);
        let (exit_code, timed_out) = (done.exit_code, done.timed_out);
        Ok(Executed {
            exit_code,
            timed_out,
            stdout,
            stdout_base64,
            stdout_dropped,
            stderr,
            stderr_base64,
            stderr_dropped,
        })
    }
}

/// How long it may take.
fn checked(wanted: &Exec) -> Result<Duration, Problem> {
    let refuse = |detail: &str| {
        let action = "Name a program and its arguments, each as a text of its own.";
        Err(Problem::new(ErrorCode::BadRequest, detail).with_action(action))
    };
    match wanted.command.first() {
        None => return refuse("`command` is empty."),
        Some(program) if program.is_empty() => {
            return refuse("The program, the first of `command`, is empty.");
        }
        Some(_) => {}
    }
    if wanted.command.iter().any(|word| word.contains('\0')) {
        return refuse("A word of `command` has a NUL, which no program can be given.");
    }
    let bytes: usize = wanted.command.iter().map(|word| word.len() + 1).sum();
    if bytes > exec::LONGEST_COMMAND {
        let detail =
            format!("`command` has {bytes} bytes, and at most {} can be given.", exec::LONGEST_COMMAND);
        return Err(Problem::new(ErrorCode::TooLarge, detail)
            .with_action("Put what is long into a file of the workspace, and name that."));
    }
    let seconds = wanted.timeout_seconds.unwrap_or(exec::USUAL_TIMEOUT_SECONDS);
    if !(1..=exec::LONGEST_TIMEOUT_SECONDS).contains(&seconds) {
        let detail = format!("`timeoutSeconds` is 1 to {}, not {seconds}.", exec::LONGEST_TIMEOUT_SECONDS);
        return Err(Problem::new(ErrorCode::BadRequest, detail).with_action(
            "Let a longer command go on in the background, and ask again for what it has done.",
        ));
    }
    Ok(Duration::from_secs(seconds))
}

fn must_run(row: &WorkspaceRow, status: &RunStatus) -> Result<(), Problem> {
    let slug = &row.slug;
    let start = format!("Start it with `pilot ws start {slug}`, and then run the command again.");
    let resume = format!("Go on with `pilot ws resume {slug}`, and then run the command again.");
    let wait = format!("Wait for it with `pilot ws wait {slug}`, and then run the command again.");
    let (code, what, action) = match status {
        RunStatus::Running => return Ok(()),
        RunStatus::Pending { .. } => (ErrorCode::WorkspaceNotReady, "cannot run yet", wait),
        RunStatus::Suspended if row.desired == Desired::Running => {
            (ErrorCode::WorkspaceNotReady, "stands still while its files are copied", wait)
        }
        RunStatus::Stopped { .. } if row.desired == Desired::Suspended => {
            (ErrorCode::WorkspaceNotReady, "is suspended", resume)
        }
        RunStatus::Suspended => (ErrorCode::WorkspaceNotReady, "is suspended", resume),
        RunStatus::Stopped { .. } => (ErrorCode::WorkspaceStopped, "is stopped", start),
        RunStatus::Absent => (ErrorCode::WorkspaceNotReady, "has no instance now", start),
    };
    let detail = format!("The workspace {slug} {what}, so no command can run in it.");
    Err(Problem::new(code, detail).with_action(action))
}

fn failed(error: ProviderError) -> Problem {
    let is_known = error.outcome == Outcome::NothingHappened;
    // With its instance the command has ended.
    let may = match error.code {
        ErrorCode::WorkspaceStopped => "The command may have run.",
        _ => "The command may have run, or may still run.",
    };
    let mut problem = provider_problem(error);
    if !is_known {
        problem.retryable = false;
        problem.detail = format!("{} {may}", sentence(&problem.detail));
        let action = problem.action.unwrap_or_default();
        let action = format!("{action} Look what it has done before you run it again.");
        problem.action = Some(action.trim_start().to_owned());
    }
    problem
}

fn sentence(words: &str) -> String {
    if words.ends_with(['.', '!', '?']) { words.to_owned() } else { format!("{words}.") }
}

/// As text, in base64 where that is not exact, and how much is lost.
fn told(captured: &Captured) -> (String, Option<String>, u64) {
    match std::str::from_utf8(captured) {
        Ok(text) => (text.to_owned(), None, captured.dropped()),
        // Cut within a character, all that is missing is lost anyway; but the bytes are those that were kept.
        Err(_) => {
            let text = String::from_utf8_lossy(captured).into_owned();
            (text, Some(STANDARD.encode(&**captured)), captured.dropped())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &[&str], timeout_seconds: Option<u64>) -> Exec {
        Exec { command: words.iter().map(|word| word.to_string()).collect(), timeout_seconds }
    }

    #[test]
    fn what_no_program_can_be_given_is_refused_before_anybody_is_asked() {
        let long = "x".repeat(exec::LONGEST_COMMAND);
        for (words, seconds, code) in [
            (vec![], None, ErrorCode::BadRequest),
            (vec!["", "x"], None, ErrorCode::BadRequest),
            (vec!["a", "b\0c"], None, ErrorCode::BadRequest),
            (vec![long.as_str()], None, ErrorCode::TooLarge),
            (vec!["true"], Some(0), ErrorCode::BadRequest),
            (vec!["true"], Some(301), ErrorCode::BadRequest),
        ] {
            let problem = checked(&wanted(&words, seconds)).unwrap_err();
            assert!(problem.code == code && problem.action.is_some(), "{problem}");
        }
        assert_eq!(checked(&wanted(&["a", ""], None)).unwrap(), Duration::from_secs(30));
        assert_eq!(checked(&wanted(&["a"], Some(300))).unwrap(), Duration::from_secs(300));
    }

    #[test]
    fn bytes_that_are_no_text_are_exact_beside_it() {
        assert_eq!(told(&"grün".into()), ("grün".to_owned(), None, 0));
        assert_eq!(told(&b"a\xff\0".into()), ("a\u{fffd}\0".to_owned(), Some("Yf8A".to_owned()), 0));
    }

    #[test]
    fn an_error_after_which_it_may_have_run_says_so_and_is_for_nobody_to_repeat() {
        let late =
            || ProviderError::unknown(ErrorCode::ProviderTimeout, "it was too slow").with_action("Wait.");
        let problem = failed(late());
        assert!(
            !problem.retryable
                && problem.detail.ends_with("slow. The command may have run, or may still run.")
        );
        assert_eq!(problem.action.unwrap(), "Wait. Look what it has done before you run it again.");
        let ended = failed(ProviderError::unknown(ErrorCode::WorkspaceStopped, "the container ended"));
        assert_eq!(ended.detail, "the container ended. The command may have run.");
        let refused = failed(ProviderError { outcome: Outcome::NothingHappened, ..late() });
        assert!(refused.retryable && refused.detail == "it was too slow");
    }
}
