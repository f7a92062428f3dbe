//! Errors that every module has, in the same words: with a code, what happened, and what a person can do.

use contracts::ErrorCode;
use provider_api::{ProviderError, RuntimeRef};

/// The runtime has none of these, so there is nothing to start or to look at. `what` says where as well: `machine at Fly`.
pub fn has_no(runtime: &RuntimeRef, what: &str) -> ProviderError {
    let message = format!("{} has no {what}", runtime.runtime_id);
    ProviderError::new(ErrorCode::ProviderFailed, message)
        .with_action("`pilot ws start NAME` makes it again from its stack.")
}

/// Something that only a running instance can do. `why` is what is known of its state, or how it ended.
pub fn does_not_run((kind, name): (&str, &str), why: Option<&str>) -> ProviderError {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    ProviderError::new(ErrorCode::WorkspaceNotReady, format!("the {kind} {name} does not run{why}"))
        .with_action("Start the workspace.")
}

/// An instance that was started and ended before it could work. `log` is the end of what it said.
pub fn ended_at_once(why: &str, log: &str) -> ProviderError {
    let message = format!("the instance ended at once ({why}); its log ends with:\n{}", log.trim_end());
    ProviderError::new(ErrorCode::InstanceFailed, message)
        .with_action("Read the log above; start the workspace again when the cause is gone.")
}

/// An instance that is there and does not run, though nobody has stopped it: what a read tells of it.
pub fn is_not_well((kind, name): (&str, &str), why: &str) -> ProviderError {
    let message = format!(
        "the {kind} {name} is there, and its instance does not run although nobody has stopped it: {why}"
    );
    ProviderError::new(ErrorCode::InstanceFailed, message)
        .with_action("The next `pulumi up` or `pilot stack apply NAME` starts it; its log says why it ended.")
}

/// A command whose instance ended while it ran.
pub fn ended_meanwhile((kind, name): (&str, &str)) -> ProviderError {
    let message = format!("the {kind} {name} ended while the command ran, and the command with it");
    ProviderError::unknown(ErrorCode::WorkspaceStopped, message)
        .with_action("`pilot ws start NAME` starts it.")
}

/// A command that could not be begun in an instance that runs. `why` is what the system said.
pub fn not_begun(program: &str, why: &str) -> ProviderError {
    let message = format!("{program} could not be begun in the instance: {why}");
    let action = if why.contains("not found") {
        "Commands need `sh` and `timeout` (coreutils), and on Fly `setpriv` (util-linux), in the instance's image: add them, and `pilot ws update NAME --image IMAGE` takes it."
    } else {
        "The instance may have as many processes as it is allowed, or no memory left: `pilot ws restart NAME` ends what runs in it."
    };
    ProviderError::new(ErrorCode::InstanceFailed, message).with_action(action)
}

/// An object that other programs change faster than this one can look.
pub fn keeps_changing((kind, name): (&str, &str)) -> ProviderError {
    ProviderError::new(ErrorCode::ProviderFailed, format!("the {kind} {name} keeps changing"))
        .with_action("Look for another program that works on this workspace.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_it_is_about_and_what_to_do() {
        let runtime = RuntimeRef::new("rt-1".parse().unwrap(), "in-1".parse().unwrap());
        let machine = ("machine", "pilot-rt-1");
        for (error, code, message) in [
            (has_no(&runtime, "machine at Fly"), ErrorCode::ProviderFailed, "rt-1 has no machine at Fly"),
            (
                does_not_run(machine, Some("exit code 7")),
                ErrorCode::WorkspaceNotReady,
                "the machine pilot-rt-1 does not run: exit code 7",
            ),
            (
                does_not_run(machine, None),
                ErrorCode::WorkspaceNotReady,
                "the machine pilot-rt-1 does not run",
            ),
            (
                ended_at_once("exit code 7", "one\ntwo\n\n"),
                ErrorCode::InstanceFailed,
                "the instance ended at once (exit code 7); its log ends with:\none\ntwo",
            ),
            (
                is_not_well(machine, "exit code 7"),
                ErrorCode::InstanceFailed,
                "the machine pilot-rt-1 is there, and its instance does not run although nobody has stopped it: exit code 7",
            ),
            (
                ended_meanwhile(machine),
                ErrorCode::WorkspaceStopped,
                "the machine pilot-rt-1 ended while the command ran, and the command with it",
            ),
            (
                not_begun("make", "Cannot fork"),
                ErrorCode::InstanceFailed,
                "make could not be begun in the instance: Cannot fork",
            ),
            (keeps_changing(machine), ErrorCode::ProviderFailed, "the machine pilot-rt-1 keeps changing"),
        ] {
            assert_eq!((error.code, error.message.as_str()), (code, message));
            assert!(error.action.is_some(), "{message}");
        }
    }
}
