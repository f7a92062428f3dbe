//! From the end of a run to a typed error.

use super::request::Outcome;
use super::wire::{Fault, FaultKind};
use crate::classify::{Ended, Failures, classify};
use crate::error::Error;

/// What is known of a run that did not end well.
pub(super) struct Failed<'a> {
    pub stack: &'a str,
    pub command: &'a str,
    pub outcome: Outcome,
    pub failures: Failures,
    pub program_error: Option<String>,
}

impl Failed<'_> {
    pub fn into_error(self) -> Error {
        let Self { stack, command, outcome, failures, program_error } = self;
        let Outcome { ended, stdout, mut stderr, canceled } = outcome;
        let stack = || stack.to_owned();
        let Fault { kind, message, owner, unproven, storage_full } = ended.fault.unwrap_or_default();
        // A cancel does not hide that what was done is not in the state, nor that the stack is another's now.
        if canceled && !matches!(kind, FaultKind::LockLost | FaultKind::StateUnwritten) {
            return Error::Canceled;
        }
        match kind {
            FaultKind::Auth => Error::Auth { message },
            FaultKind::Canceled => Error::Canceled,
            FaultKind::ConcurrentUpdate => Error::ConcurrentUpdate {
                stack: stack(),
                owner: owner.unwrap_or_else(|| "another update".to_owned()),
                unproven,
            },
            FaultKind::EngineBug => Error::EngineBug { message },
            FaultKind::Invalid => Error::Invalid { command: command.to_owned(), message },
            FaultKind::LockLost => Error::LockLost { stack: stack(), message },
            FaultKind::NeedsCli => Error::NeedsCli { command: command.to_owned(), reason: message },
            FaultKind::NoChangesExpected => Error::NoChangesExpected,
            FaultKind::Secrets => Error::Secrets { message },
            FaultKind::StackExists => Error::StackExists { stack: stack() },
            FaultKind::StackNotFound => Error::StackNotFound { stack: stack() },
            FaultKind::StateCorrupt => Error::StateCorrupt { stack: stack(), message },
            FaultKind::StateNewer => Error::StateNewer { stack: stack(), message },
            FaultKind::StateUnwritten => Error::StateUnwritten { stack: stack(), message, storage_full },
            FaultKind::Failed if storage_full => Error::StorageFull { message },
            FaultKind::Failed => {
                // The CLI prints its reason; the host may tell it in the fault alone.
                if !message.is_empty() && !stderr.contains(message.trim()) {
                    stderr.push_str(&format!("\nerror: {message}\n"));
                }
                classify(
                    Ended {
                        stack: &stack(),
                        command,
                        code: Some(ended.code),
                        signal: None,
                        stdout: &stdout,
                        stderr: &stderr,
                        canceled,
                        program_error,
                    },
                    failures,
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    fn error(kind: FaultKind, code: i32, stderr: &str) -> Error {
        let owner = (kind == FaultKind::ConcurrentUpdate).then(|| "me@here (pid 12)".to_owned());
        let fault =
            Some(Fault { kind, message: "why".to_owned(), owner, unproven: true, storage_full: false });
        let outcome =
            Outcome { ended: wire::Ended { code, fault }, stderr: stderr.to_owned(), ..Outcome::default() };
        let (failures, program_error) = (Failures::default(), None);
        Failed { stack: "dev", command: "up", outcome, failures, program_error }.into_error()
    }

    #[test]
    fn a_kind_decides_and_the_rest_is_read_as_the_clis() {
        let error = |kind| error(kind, 255, "");
        assert!(matches!(error(FaultKind::Auth), Error::Auth { message } if message == "why"));
        assert!(matches!(error(FaultKind::Canceled), Error::Canceled));
        let locked = error(FaultKind::ConcurrentUpdate);
        assert!(
            matches!(&locked, Error::ConcurrentUpdate { stack, owner, unproven: true } if stack == "dev" && owner == "me@here (pid 12)")
        );
        assert!(matches!(error(FaultKind::EngineBug), Error::EngineBug { .. }));
        assert!(matches!(error(FaultKind::Invalid), Error::Invalid { command, .. } if command == "up"));
        assert!(
            matches!(error(FaultKind::LockLost), Error::LockLost { stack, message } if stack == "dev" && message == "why")
        );
        assert!(matches!(error(FaultKind::NeedsCli), Error::NeedsCli { command, .. } if command == "up"));
        assert!(matches!(error(FaultKind::NoChangesExpected), Error::NoChangesExpected));
        assert!(matches!(error(FaultKind::Secrets), Error::Secrets { .. }));
        assert!(matches!(error(FaultKind::StackExists), Error::StackExists { .. }));
        assert!(matches!(error(FaultKind::StackNotFound), Error::StackNotFound { .. }));
        assert!(matches!(error(FaultKind::StateCorrupt), Error::StateCorrupt { .. }));
        assert!(
            matches!(error(FaultKind::StateNewer), Error::StateNewer { message, .. } if message == "why")
        );
        assert!(matches!(error(FaultKind::StateUnwritten), Error::StateUnwritten { .. }));
        let told = error(FaultKind::Failed);
        assert!(matches!(&told, Error::Command { code: 255, message, .. } if message == "why"), "{told:?}");
    }

    #[test]
    fn a_cancel_does_not_hide_a_state_that_was_not_written() {
        let ended = |kind| {
            let fault =
                Some(Fault { kind, message: "disk full".to_owned(), storage_full: true, ..Fault::default() });
            let outcome =
                Outcome { ended: wire::Ended { code: 255, fault }, canceled: true, ..Outcome::default() };
            let (failures, program_error) = (Failures::default(), None);
            Failed { stack: "dev", command: "up", outcome, failures, program_error }.into_error()
        };
        let told = ended(FaultKind::StateUnwritten);
        assert!(
            matches!(&told, Error::StateUnwritten { stack, message, storage_full: true } if stack == "dev" && message == "disk full"),
            "{told:?}"
        );
        assert!(matches!(ended(FaultKind::Failed), Error::Canceled));
    }

    #[test]
    fn a_lock_that_was_taken_away_is_told_whatever_else_happened() {
        for canceled in [false, true] {
            let fault =
                Some(Fault { kind: FaultKind::LockLost, message: "gone".to_owned(), ..Fault::default() });
            let outcome = Outcome { ended: wire::Ended { code: 255, fault }, canceled, ..Outcome::default() };
            let (failures, program_error) = (Failures::default(), Some("enough".to_owned()));
            let told = Failed { stack: "dev", command: "up", outcome, failures, program_error }.into_error();
            assert!(
                matches!(&told, Error::LockLost { stack, message } if stack == "dev" && message == "gone"),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_failure_without_a_kind_has_the_codes_and_words_of_the_cli() {
        assert!(matches!(error(FaultKind::Failed, 7, ""), Error::NoChangesExpected));
        let unread = error(FaultKind::Failed, 255, "error: failed to load checkpoint: x\n");
        assert!(matches!(unread, Error::StateCorrupt { .. }), "{unread:?}");
    }
}
