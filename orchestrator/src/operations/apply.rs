//! One stack made true outside, tried again where that is safe.

use std::sync::Arc;
use std::time::Duration;

use contracts::operation::Severity;
use contracts::{ErrorCode, Problem};
use stacks::Stack;

use super::run::Run;

/// How often an apply is tried when it was interrupted or its outcome is unknown.
const ATTEMPTS: u32 = 3;

/// Applies the stack; `refresh` looks first at what is really there.
pub async fn apply(run: &Arc<Run>, stack: &Stack, refresh: bool) -> Result<(), Problem> {
    let mut attempt = 1;
    loop {
        let options = run.engine_options().refresh(refresh);
        let result = run.parts.engine.apply(stack, &options, None).await;
        match result {
            Ok(_) => return Ok(()),
            Err(problem) if attempt < ATTEMPTS && worth_repeating(&problem) => {
                run.check_cancelled()?;
                run.say(Severity::Warning, format!("{} Trying again.", problem.detail));
                tokio::time::sleep(Duration::from_millis(200) * 2u32.pow(attempt)).await;
                attempt += 1;
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// Creates are find-or-create, so repeating one that may have happened makes no second object.
fn worth_repeating(problem: &Problem) -> bool {
    matches!(problem.code, ErrorCode::EngineInterrupted | ErrorCode::ProviderTimeout)
}
