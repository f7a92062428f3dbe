//! From the engine's and the providers' errors to problems. One exhaustive match each.

use automation::Error;
use contracts::{ErrorCode, Problem};
use provider_api::ProviderError;

/// Where states are, as the operator has it.
const STATES: &str = "the disk that has the states: that of the data folder, or of the database's server";

/// A provider's error as the API shows it.
pub fn provider_problem(error: ProviderError) -> Problem {
    let mut problem = Problem::new(error.code, error.message);
    if let Some(id) = &error.request_id {
        problem.detail = format!("{} (the provider's request {id})", problem.detail);
    }
    if let Some(wait) = error.retry_after {
        problem = problem.with_retry_after(wait);
    }
    match error.action {
        Some(action) => problem.with_action(action),
        None => problem,
    }
}

/// `typed` finds the provider's own error behind a failed step.
pub fn problem(error: Error, typed: impl Fn(&str) -> Option<ProviderError>) -> Problem {
    let words = error.to_string();
    match error {
        Error::UpdateFailed { failed_operations, .. } => {
            // All are taken, so that none is left behind; the first is the one to show.
            let own: Vec<_> = failed_operations.iter().filter_map(|failed| typed(&failed.urn)).collect();
            own.into_iter()
                .next()
                .map(|error| provider_problem(of_the_stack(error)))
                .unwrap_or_else(|| Problem::new(ErrorCode::EngineFailed, words))
        }
        Error::ConcurrentUpdate { owner, unproven, .. } => {
            let action = if unproven {
                "Whether that process still runs cannot be told from here. Wait for its end; if it surely is dead, \
                 `pulumi cancel` frees the stack."
            } else {
                "Wait for that run to end."
            };
            Problem::new(ErrorCode::StackLocked, format!("The stack is locked by {owner}.")).with_action(action)
        }
        Error::LockLost { .. } => Problem::new(ErrorCode::Fenced, words)
            .with_action("Another process has taken this operation over and goes on with it."),
        Error::StateCorrupt { .. } => Problem::new(ErrorCode::StateCorrupt, words).with_action(
            "Nothing was changed. `pilot stack repair NAME` shows the good copies of the state.",
        ),
        Error::StateNewer { .. } => Problem::new(ErrorCode::StateNewer, words)
            .with_action("Nothing was changed. Use a Pilot with that version of Pulumi, or a newer one."),
        Error::UnfinishedUpdate { .. } => Problem::new(ErrorCode::StackUnfinished, words)
            .with_action("Build the engine host with `cargo xtask tools`, and start the server again."),
        Error::StorageFull { .. } | Error::StateUnwritten { storage_full: true, .. } => {
            crate::data::full("There is no space left for Pulumi's state.", STATES)
        }
        // What was done is in the stack's journal, and whoever comes next goes on from it.
        Error::StateUnwritten { .. } => Problem::new(ErrorCode::EngineInterrupted, words).with_action(
            "What was done is kept in the stack's journal. Mend what keeps the state from being written, then \
             try again.",
        ),
        Error::Canceled => Problem::new(ErrorCode::Canceled, "The operation was canceled."),
        Error::TimedOut { .. } => Problem::new(ErrorCode::ProviderTimeout, words)
            .with_action("What was made is kept and owned. Look at the provider, then try again or delete."),
        Error::Interrupted { .. } | Error::HostDown { .. } => {
            Problem::new(ErrorCode::EngineInterrupted, words)
        }
        Error::CliMissing { .. }
        | Error::CliVersion { .. }
        | Error::NeedsCli { .. }
        | Error::NeedsHost { .. } => Problem::new(ErrorCode::PulumiMissing, words)
            .with_action("Run `cargo xtask tools`, and start the server again."),
        Error::Io { action, source } if source.kind() == std::io::ErrorKind::StorageFull => {
            let detail = format!("Pilot could not {action}: there is no space left.");
            crate::data::full(&detail, "the disk of the data folder, or that of temporary files (TMPDIR)")
        }
        Error::Io { action, source } => {
            Problem::new(ErrorCode::DataFolderUnusable, format!("Pilot could not {action}: {source}."))
        }
        // The rest, and what is new to us, is the engine's to tell.
        _ => Problem::new(ErrorCode::EngineFailed, words),
    }
}

/// What a module cannot use in a step is what the stack says, and nothing that somebody asked for.
fn of_the_stack(error: ProviderError) -> ProviderError {
    match error.code {
        ErrorCode::BadRequest => ProviderError { code: ErrorCode::EngineFailed, ..error },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use automation::FailedOperation;

    use super::*;

    fn failed(urn: &str) -> Error {
        let failed = FailedOperation::new("create", urn);
        Error::UpdateFailed {
            operation: "up".to_owned(),
            diagnostics: vec![],
            failed_operations: vec![failed],
        }
    }

    #[test]
    fn a_failed_step_shows_the_providers_own_code_and_action() {
        let own = ProviderError::new(ErrorCode::ImageMissing, "no image").with_action("build it");
        let problem = problem(failed("urn"), |urn| (urn == "urn").then(|| own.clone()));
        assert_eq!(
            (problem.code, problem.action.as_deref()),
            (ErrorCode::ImageMissing.into(), Some("build it"))
        );
    }

    #[test]
    fn a_step_that_a_module_cannot_use_is_no_request_of_the_users() {
        let own = ProviderError::new(ErrorCode::BadRequest, "unusable properties: missing field `directory`");
        let problem = problem(failed("urn"), |_| Some(own.clone()));
        assert_eq!(problem.code, ErrorCode::EngineFailed);
        assert!(problem.detail.contains("missing field"), "{problem}");
    }

    #[test]
    fn a_stack_that_another_process_has_taken_over_is_fenced() {
        let lost = Error::LockLost { stack: "demo".to_owned(), message: "gone".to_owned() };
        assert_eq!(problem(lost, |_| None).code, ErrorCode::Fenced);
    }

    #[test]
    fn a_full_disk_is_told_from_any_other_failure() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::Io { action: "write", source: full };
        assert_eq!(problem(error, |_| None).code, ErrorCode::StoreFull);
        let message = || "write x: no space left on device".to_owned();
        let full = Error::StorageFull { message: message() };
        assert_eq!(problem(full, |_| None).code, ErrorCode::StoreFull);
        let unwritten =
            Error::StateUnwritten { stack: "demo".to_owned(), message: message(), storage_full: true };
        assert_eq!(problem(unwritten, |_| None).code, ErrorCode::StoreFull);
        // The disk of a provider is not that of the state.
        let diagnostics = vec![automation::Diagnostic::new("urn", message())];
        let failed =
            Error::UpdateFailed { operation: "up".to_owned(), diagnostics, failed_operations: vec![] };
        assert_eq!(problem(failed, |_| None).code, ErrorCode::EngineFailed);
    }
}
