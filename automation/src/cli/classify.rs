//! From a CLI process's end to a typed error: exit code first, then the engine's events, text last.
//! The only place in the crate that matches the CLI's words.

use crate::error::{Diagnostic, Error, FailedOperation};
use crate::event::{EngineEvent, EventKind, plain_text};

/// How the process ended and what it said.
#[derive(Debug, Default)]
pub(crate) struct Ended<'a> {
    pub stack: &'a str,
    pub command: &'a str,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: &'a str,
    pub stderr: &'a str,
    /// The caller asked for the end.
    pub canceled: bool,
    pub program_error: Option<String>,
}

/// The errors that the events of one operation carry.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    pub diagnostics: Vec<Diagnostic>,
    pub failed_operations: Vec<FailedOperation>,
    canceled: bool,
    engine_error: Option<String>,
}

impl Failures {
    pub fn observe(&mut self, event: &EngineEvent) {
        match &event.kind {
            EventKind::Diagnostic(diagnostic) if diagnostic.severity == "error" => {
                let message = plain_text(&diagnostic.message).trim().to_owned();
                self.diagnostics.push(Diagnostic { urn: diagnostic.urn.clone(), message });
            }
            EventKind::ResourceFailed(failure) => self.failed_operations.push(FailedOperation {
                op: failure.metadata.op.clone(),
                urn: failure.metadata.urn.clone(),
                outcome_unknown: failure.status == 2,
            }),
            EventKind::Summary(summary) => self.canceled |= summary.result.as_deref() == Some("canceled"),
            EventKind::Error(message) => self.engine_error = Some(message.clone()),
            _ => {}
        }
    }
}

pub(crate) fn classify(ended: Ended<'_>, failures: Failures) -> Error {
    let text = format!("{}\n{}", ended.stderr, ended.stdout);
    let stack = || ended.stack.to_owned();
    let message = || message(ended.stderr, ended.stdout);
    if ended.canceled || ended.code == Some(8) || failures.canceled {
        return Error::Canceled;
    }
    if let Some(signal) = ended.signal {
        return Error::Interrupted { signal };
    }
    match ended.code {
        Some(3) => return Error::Auth { message: message() },
        Some(7) => return Error::NoChangesExpected,
        _ => {}
    }
    if text.contains("The Pulumi CLI encountered a fatal error") {
        return Error::EngineBug { message: message() };
    }
    if text.contains("the stack is currently locked by") || text.contains("[409] Conflict") {
        return Error::ConcurrentUpdate { stack: stack(), owner: lock_owner(&text) };
    }
    if ended.code == Some(6) || (text.contains("no stack named") && text.contains("found")) {
        return Error::StackNotFound { stack: stack() };
    }
    if text.contains("already exists") && text.contains("stack '") {
        return Error::StackExists { stack: stack() };
    }
    if text.contains("incorrect passphrase") || text.contains("passphrase must be set") {
        return Error::Secrets { message: message() };
    }
    if ["failed to load checkpoint", "could not deserialize deployment", "unmarshalling checkpoint"]
        .iter()
        .any(|needle| text.contains(needle))
    {
        return Error::StateCorrupt { stack: stack(), message: message() };
    }
    // Before the program's own words: the engine cuts the program off when a step fails, and whatever it
    // then says is a consequence.
    if !failures.failed_operations.is_empty() {
        return update_failed(ended.command, failures);
    }
    if let Some(message) = ended.program_error {
        return Error::Program { message };
    }
    if let Some(message) = failures.engine_error {
        return Error::EngineBug { message };
    }
    if !failures.diagnostics.is_empty() {
        return update_failed(ended.command, failures);
    }
    Error::Command { command: ended.command.to_owned(), code: ended.code.unwrap_or(-1), message: message() }
}

fn update_failed(command: &str, failures: Failures) -> Error {
    Error::UpdateFailed {
        operation: command.to_owned(),
        diagnostics: failures.diagnostics,
        failed_operations: failures.failed_operations,
    }
}

/// The CLI's own reason: its `error:` lines, else the end of what it wrote.
fn message(stderr: &str, stdout: &str) -> String {
    let source = if stderr.trim().is_empty() { stdout } else { stderr };
    let plain = plain_text(source);
    let errors: Vec<&str> =
        plain.lines().filter_map(|line| line.trim().strip_prefix("error:")).map(str::trim).collect();
    if !errors.is_empty() {
        return errors.join("; ");
    }
    let lines: Vec<&str> = plain.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

/// The CLI lists lock files as `<url>: created by user@host (pid N) at TIME`.
fn lock_owner(text: &str) -> String {
    text.lines()
        .find_map(|line| line.split_once("created by ").map(|(_, owner)| owner.trim().to_owned()))
        .unwrap_or_else(|| "another update".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: i32, stderr: &str) -> Error {
        let ended = Ended { stack: "rt-1", command: "up", code: Some(code), stderr, ..Ended::default() };
        classify(ended, Failures::default())
    }

    #[test]
    fn a_lock_conflict_names_its_owner() {
        let stderr = "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) \
                      to end or delete the lock file with `pulumi cancel`.\n  \
                      file:///s/.pulumi/locks/organization/pilot/rt-1/6e.json: created by me@box (pid 42) at \
                      2026-11-23T10:00:00Z\n";
        let Error::ConcurrentUpdate { owner, .. } = check(1, stderr) else { panic!() };
        assert_eq!(owner, "me@box (pid 42) at 2026-11-23T10:00:00Z");
    }

    #[test]
    fn exit_codes_decide_before_words() {
        assert!(matches!(check(6, ""), Error::StackNotFound { .. }));
        assert!(matches!(check(7, ""), Error::NoChangesExpected));
        assert!(matches!(check(8, ""), Error::Canceled));
        assert!(matches!(check(3, "error: log in"), Error::Auth { .. }));
    }

    #[test]
    fn existing_stacks_and_wrong_passphrases_are_told_apart() {
        assert!(matches!(
            check(1, "error: stack 'organization/p/s' already exists"),
            Error::StackExists { .. }
        ));
        assert!(matches!(check(255, "error: incorrect passphrase"), Error::Secrets { .. }));
    }

    #[test]
    fn a_failed_update_carries_the_providers_words_and_the_step() {
        let mut failures = Failures::default();
        failures.observe(&EngineEvent::parse(
            r#"{"diagnosticEvent":{"urn":"u","message":"<{%fg 1%}>quota used up\n","severity":"error"}}"#,
        ));
        failures.observe(&EngineEvent::parse(
            r#"{"resOpFailedEvent":{"metadata":{"op":"create","urn":"u","type":"t"},"status":2}}"#,
        ));
        let ended = Ended { command: "up", code: Some(1), ..Ended::default() };
        let error = classify(ended, failures);
        assert_eq!(error.to_string(), "up failed: quota used up");
        let Error::UpdateFailed { failed_operations, .. } = error else { panic!() };
        assert!(failed_operations[0].outcome_unknown);
    }

    #[test]
    fn a_failed_step_counts_before_what_the_cut_off_program_says() {
        let mut failures = Failures::default();
        failures.observe(&EngineEvent::parse(
            r#"{"resOpFailedEvent":{"metadata":{"op":"create","urn":"u","type":"t"},"status":0}}"#,
        ));
        let program_error = Some("transport error".to_owned());
        let ended = Ended { command: "up", code: Some(1), program_error, ..Ended::default() };
        assert!(matches!(classify(ended, failures), Error::UpdateFailed { .. }));
    }

    #[test]
    fn any_other_failure_keeps_the_code_and_the_error_line() {
        let Error::Command { code, message, .. } = check(2, "noise\nerror: unknown flag: --x\n") else {
            panic!()
        };
        assert_eq!((code, message.as_str()), (2, "unknown flag: --x"));
    }
}
