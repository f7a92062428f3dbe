//! The exit code of every ending. Scripts depend on it: `pilot --help` and `docs/cli.md` have the same table.

use contracts::{ErrorCode, Problem};

use crate::Outcome;

pub const DONE: u8 = 0;
/// Done, but it failed, or the answer is no.
pub const FAILED: u8 = 1;
pub const NOT_FOUND: u8 = 3;
/// Something else is in the way: a conflict, or another operation.
pub const CONFLICT: u8 = 4;
/// No token, or one that may not do this.
pub const UNAUTHORIZED: u8 = 5;
/// Out of reach, or not in time: the same command may succeed later.
pub const UNREACHABLE: u8 = 6;
/// The request itself is at fault.
pub const REFUSED: u8 = 7;
pub const INTERRUPTED: u8 = 130;
/// As a shell has it of what was asked to end by SIGTERM.
pub const TERMINATED: u8 = 143;
/// OpenSSH's own for all that keeps it from a command.
pub const NO_CONNECTION: u8 = 255;

/// How a whole command ended.
pub fn of(result: &Result<Outcome, Problem>) -> u8 {
    match result {
        Ok(Outcome::Done) => DONE,
        Ok(Outcome::Negative | Outcome::Failed) => FAILED,
        Ok(Outcome::Told(code)) => *code,
        Ok(Outcome::Interrupted) => INTERRUPTED,
        Err(problem) => of_problem(problem),
    }
}

/// What was done, but could not be told to whom it was for, is not done for them.
pub fn told(code: u8, is_lost: bool) -> u8 {
    if code == DONE && is_lost { FAILED } else { code }
}

/// By what the problem says of itself, so that a code of a newer server has one as well.
fn of_problem(problem: &Problem) -> u8 {
    if problem.code == ErrorCode::CertificateUntrusted {
        return UNREACHABLE;
    }
    match (problem.status, problem.retryable) {
        (404 | 410, _) => NOT_FOUND,
        (409 | 412 | 423, _) => CONFLICT,
        (401 | 403, _) => UNAUTHORIZED,
        (408 | 429 | 502..=504, true) => UNREACHABLE,
        (400..=499 | 501, _) => REFUSED,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All codes of one exit code.
    const TABLE: [(u8, &str); 6] = [
        (
            FAILED,
            "rollout_failed opencode_unexpected instance_failed engine_failed state_corrupt provider_failed egress_open \
             provider_not_configured \
             credentials_rejected opencode_missing pulumi_missing instance_binary_missing port_in_use \
             data_folder_unusable secrets_missing store_full store_newer record_unreadable internal \
             backup_unusable",
        ),
        (
            NOT_FOUND,
            "not_found workspace_not_found operation_not_found home_gone snapshot_not_found rollout_not_found",
        ),
        (
            CONFLICT,
            "slug_taken name_ambiguous provider_in_use home_doubled snapshot_limit workspace_stopped operation_in_progress idempotency_conflict \
             precondition_failed stack_locked stack_unfinished state_newer foreign_object fenced canceled already_running \
             store_moved store_incomplete installation_exists backup_newer",
        ),
        (UNAUTHORIZED, "unauthorized forbidden login_link_invalid provider_quota"),
        (
            UNREACHABLE,
            "workspace_not_ready orchestrator_unreachable upstream_unreachable opencode_unavailable \
             instance_not_ready git_unreachable engine_interrupted provider_timeout provider_unreachable \
             runtime_elsewhere provider_unreadable provider_rate_limited provider_capacity docker_unavailable store_unavailable \
             timed_out certificate_untrusted",
        ),
        (
            REFUSED,
            "bad_request too_large unknown_field invalid_slug unknown_provider unknown_size unknown_region \
             invalid_git_url method_not_allowed capability_unsupported git_not_found image_missing image_unusable insecure_listen \
             backup_key_rejected backup_incomplete backup_damaged",
        ),
    ];

    #[test]
    fn every_code_has_the_exit_code_of_its_kind() {
        for (exit, _) in TABLE {
            let of_it = |code: &&ErrorCode| of(&Err(Problem::new(**code, "so"))) == exit;
            let names: Vec<_> = ErrorCode::ALL.iter().filter(of_it).map(|code| code.as_str()).collect();
            let expected: Vec<_> =
                TABLE.iter().filter(|line| line.0 == exit).flat_map(|line| line.1.split(' ')).collect();
            assert_eq!(names, expected, "exit code {exit}");
        }
        let counted: usize = TABLE.iter().map(|line| line.1.split(' ').count()).sum();
        assert_eq!(counted, ErrorCode::ALL.len(), "no code is left out");
    }

    #[test]
    fn a_code_of_a_newer_server_has_that_of_its_status() {
        let newer = |status: u16, retryable: bool| {
            let mut problem = Problem::new(ErrorCode::Internal, "so");
            (problem.status, problem.retryable) = (status, retryable);
            problem.code = contracts::Code::Other("newer".into());
            of(&Err(problem))
        };
        let codes =
            [newer(404, false), newer(409, true), newer(403, false), newer(503, true), newer(422, false)];
        assert_eq!(codes, [NOT_FOUND, CONFLICT, UNAUTHORIZED, UNREACHABLE, REFUSED]);
        assert_eq!((newer(503, false), newer(500, true)), (FAILED, FAILED));
    }

    #[test]
    fn the_help_and_the_page_have_the_same_table() {
        let help = <crate::args::Args as clap::CommandFactory>::command().render_help().to_string();
        let page = include_str!("../../docs/cli.md");
        let codes = [DONE, FAILED, 2, NOT_FOUND, CONFLICT, UNAUTHORIZED, UNREACHABLE, REFUSED, INTERRUPTED];
        for code in codes {
            assert!(help.lines().any(|line| line.starts_with(&format!("  {code:<4} "))), "{code} in {help}");
            assert!(page.contains(&format!("\n| {code} | ")), "{code} in docs/cli.md");
        }
    }
}
