//! What a failure of the API or of the Worker means: Cloudflare's numbers and our own codes.

use std::time::Duration;

use contracts::ErrorCode;
use provider_api::{Outcome, ProviderError};
use provider_http::Failure;
use serde_json::Value;

pub(crate) const VENDOR: &str = "Cloudflare";

/// There is no such script; depending on the path, Cloudflare says it with one of these.
const NO_SCRIPT: [u64; 3] = [10007, 10090, 10092];
const IDENTICAL_RECORD: [u64; 2] = [81057, 81058];
const WRONG_TOKEN: [u64; 6] = [1000, 6003, 6111, 9109, 10000, 10001];

/// The number of the first error in the envelope.
pub(crate) fn number(failure: &Failure) -> u64 {
    let json = failure.json().unwrap_or_default();
    json.pointer("/errors/0/code").and_then(Value::as_u64).unwrap_or_default()
}

pub(crate) fn is_no_script(failure: &Failure) -> bool {
    failure.is_absent() && NO_SCRIPT.contains(&number(failure))
}

pub(crate) fn is_identical_record(failure: &Failure) -> bool {
    IDENTICAL_RECORD.contains(&number(failure))
}

/// A failed call of the API. `doing` completes "cannot ...".
pub(crate) fn of_api(failure: Failure, doing: &str) -> ProviderError {
    // Some containers' paths answer 400 with 1000 for a wrong input, so the status counts as well.
    let is_refused = failure.status().is_some_and(|status| matches!(status.as_u16(), 400 | 401 | 403));
    let is_token = WRONG_TOKEN.contains(&number(&failure)) && !failure.message.contains("VALIDATE_INPUT");
    let code = match failure.code() {
        ErrorCode::CredentialsRejected => ErrorCode::CredentialsRejected,
        ErrorCode::ProviderFailed if is_refused && is_token => ErrorCode::CredentialsRejected,
        code => code,
    };
    advised(failure.into_error(code, VENDOR, doing))
}

/// A failed control call: the Worker's problem document, or what stands before the Worker.
pub(crate) fn of_worker(failure: Failure, doing: &str) -> ProviderError {
    let problem = failure.json().unwrap_or_default();
    let told = problem["code"].as_str().and_then(|code| code.parse::<ErrorCode>().ok());
    let Some(told) = told else { return not_by_the_worker(failure, doing) };
    let request_id = failure.request_id.clone();
    let detail = problem["detail"].as_str().unwrap_or("without a reason");
    let (is_skew, is_provisioning) = (problem["reason"] == "clock_skew", is_provisioning(&failure));
    let code = match told {
        ErrorCode::Unauthorized => ErrorCode::CredentialsRejected,
        ErrorCode::NotFound => ErrorCode::WorkspaceNotFound,
        other => other,
    };
    let why = match is_provisioning {
        true => format!("there is no place for a first container yet, which takes some minutes: {detail}"),
        false => detail.to_owned(),
    };
    let mut error = ProviderError::new(code, format!("cannot {doing}: {why}")).with_request_id(request_id);
    // A refusal changed nothing. What the platform refused after that left the object as it was made.
    error.outcome = match told {
        ErrorCode::Internal | ErrorCode::ProviderFailed if problem["exists"].is_null() => Outcome::Unknown,
        _ => Outcome::NothingHappened,
    };
    if is_skew {
        let action =
            format!("Set this machine's clock: it tells {}, Cloudflare {}.", problem["time"], problem["now"]);
        return error.with_action(action);
    }
    if is_provisioning {
        error.retry_after = Some(PROVISIONING);
        return error.with_action(
            "Wait: the first containers of an account, or of a new image, take Cloudflare some minutes.",
        );
    }
    advised(error)
}

/// How long Cloudflare may take a little more to have a place for a container.
const PROVISIONING: Duration = Duration::from_secs(20);

/// True when Cloudflare has no place for the container yet: what is new at an account takes it minutes.
pub(crate) fn is_provisioning(failure: &Failure) -> bool {
    failure.json().is_some_and(|problem| problem["reason"] == "provisioning")
}

/// True for the answer of whoever stands where the Worker is not known yet: it is told by no word of its own.
pub(crate) fn is_nobody(failure: &Failure) -> bool {
    failure.status().is_some_and(|status| status.as_u16() == 404) && !is_word(failure)
}

/// True for a problem document, which only the Worker writes.
pub(crate) fn is_word(failure: &Failure) -> bool {
    failure.json().is_some_and(|problem| problem["code"].is_string())
}

/// True when the Worker says that the runtime is remembered although the call failed.
pub(crate) fn left_it(failure: &Failure) -> bool {
    failure.json().is_some_and(|problem| problem["exists"] == true)
}

fn not_by_the_worker(failure: Failure, doing: &str) -> ProviderError {
    let is_nobody = is_nobody(&failure);
    let code = if is_nobody { ErrorCode::ProviderUnreachable } else { failure.code() };
    let error = failure.into_error(code, VENDOR, doing);
    if is_nobody { error.with_action(NEW_NAME) } else { advised(error) }
}

const NEW_NAME: &str = "Wait: a new host name is known everywhere after some minutes. If it stays so, the Worker was never made, \
                        or somebody has removed it: start Pilot again, and its next create makes it.";

/// Of a Worker that was just made and that nobody reaches: its name comes by itself. Until then somebody else answers there, or,
/// without a record and a certificate, nobody does.
pub(crate) fn not_known_yet(mut error: ProviderError) -> ProviderError {
    if matches!(error.code, ErrorCode::ProviderUnreachable | ErrorCode::ProviderTimeout) {
        error.code = ErrorCode::ProviderUnreachable;
        error.retry_after.get_or_insert(PROVISIONING);
        return error.with_action(NEW_NAME);
    }
    error
}

fn advised(error: ProviderError) -> ProviderError {
    let action = match error.code {
        ErrorCode::CredentialsRejected => {
            "Check the setting apiToken of cloudflare, or apply its shared stack again if the keys have changed."
        }
        ErrorCode::ForeignObject => "Use the installation that owns it, or another account.",
        ErrorCode::Fenced => "Nothing to do: the newer operation goes on. `pilot ws get NAME` shows it.",
        ErrorCode::ProviderCapacity => {
            "Stop other workspaces, or raise the setting maxInstances of cloudflare."
        }
        ErrorCode::ProviderRateLimited => "Wait five minutes: Cloudflare blocks an account for so long.",
        ErrorCode::ImageMissing => "Push the instance image to the registry that the setting image names.",
        ErrorCode::SnapshotNotFound => {
            "`pilot ws start NAME` begins with the files that were saved last. If Cloudflare has those no more, `pilot ws snapshot ls NAME` \
             lists others, and `pilot ws snapshot restore NAME ID` begins with one."
        }
        ErrorCode::WorkspaceNotFound => "Create the workspace again; its runtime is gone at Cloudflare.",
        ErrorCode::ProviderTimeout | ErrorCode::ProviderUnreachable | ErrorCode::ProviderUnreadable => {
            "Try again later; https://www.cloudflarestatus.com tells whether it is Cloudflare."
        }
        _ => return error,
    };
    error.with_action(action)
}
