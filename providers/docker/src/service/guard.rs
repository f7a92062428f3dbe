//! The service's own word on whether it may be deleted, asked in its container.

use std::time::Duration;

use contracts::ErrorCode;
use provider_api::{ProviderError, Result, RunStatus};

use super::spec::Inputs;
use crate::engine::Engine;
use crate::exec;

/// A command that asks a server on the same machine is quick.
const LIMIT: Duration = Duration::from_secs(30);

/// Passes when the service has no guard, or its guard succeeds. One that cannot be asked is not passed:
/// what the service looks after would be orphaned.
pub(super) async fn must_agree(
    engine: &Engine,
    inputs: &Inputs,
    (id, status): (&str, RunStatus),
) -> Result<()> {
    let name = &inputs.name;
    let Some(command) = &inputs.delete_guard else { return Ok(()) };
    if status != RunStatus::Running {
        let message =
            format!("the service {name} was left alone: it does not run, so its guard cannot be asked");
        return Err(refused(
            message,
            &format!(
                "Let it run with `pulumi up --refresh` and try again, or remove the container yourself: \
             `docker rm {name}`."
            ),
        ));
    }
    let said = exec::run(engine, id, command, LIMIT, None).await?;
    if said.exit_code == 0 {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let message = format!(
        "the service {name} was left alone: its guard `{}` ended with {} and said:\n{}\n{}",
        command.join(" "),
        said.exit_code,
        text(&said.stdout),
        text(&said.stderr),
    );
    Err(refused(
        message.trim_end().to_owned(),
        &format!("Do what it says, with `docker exec {name} ...`, and try again."),
    ))
}

fn refused(message: String, action: &str) -> ProviderError {
    ProviderError::new(ErrorCode::ProviderInUse, message).with_action(action)
}
