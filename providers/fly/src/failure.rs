//! What a refusal of Fly means. The `status` field decides first, then the HTTP status, then the words,
//! because capacity comes under several statuses.

use contracts::ErrorCode;
use provider_api::ProviderError;
use provider_http::Failure;

const VENDOR: &str = "Fly";

const NO_ROOM: [&str; 5] = [
    "no capacity",
    "insufficient resources",
    "insufficient memory",
    "insufficient cpu",
    "could not reserve resource",
];
const NO_IMAGE: [&str; 2] = ["could not find image", "manifest unknown"];
const QUOTA: [&str; 3] = ["quota", "machine limit", "resource limit"];

/// The error for a failed call. `doing` completes "cannot ...".
pub(crate) fn error(failure: Failure, doing: &str) -> ProviderError {
    let code = code(&failure);
    let action = action(code);
    failure.into_error(code, VENDOR, doing).with_action(action)
}

/// "There is none" as `None`. A page of something before the API is no such answer.
pub(crate) fn optional<T>(answer: Result<T, Failure>, doing: &str) -> Result<Option<T>, ProviderError> {
    Failure::optional(answer).map_err(|failure| error(failure, doing))
}

fn code(failure: &Failure) -> ErrorCode {
    let json = failure.json().unwrap_or_default();
    let words = failure.message.to_lowercase();
    let says = |known: &[&str]| known.iter().any(|known| words.contains(known));
    match (json["status"].as_str(), failure.status().map(|status| status.as_u16())) {
        (Some("insufficient_capacity" | "volume_placement_capacity"), _) => ErrorCode::ProviderCapacity,
        (Some("name_taken"), _) => ErrorCode::ForeignObject,
        (_, Some(400 | 403 | 409 | 412 | 422)) if says(&NO_ROOM) => ErrorCode::ProviderCapacity,
        (_, Some(403 | 422)) if says(&QUOTA) => ErrorCode::ProviderQuota,
        (_, Some(400 | 404 | 422)) if says(&NO_IMAGE) => ErrorCode::ImageMissing,
        (_, Some(409)) if says(&["lease"]) => ErrorCode::OperationInProgress,
        (_, Some(400)) if says(&["region"]) => ErrorCode::UnknownRegion,
        (_, Some(400)) if says(&["machine size", "memory_mb", "cpu_kind", "number of cpus"]) => {
            ErrorCode::UnknownSize
        }
        _ => failure.code(),
    }
}

fn action(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ProviderCapacity => "Try again later, or create the workspace in another region or size.",
        ErrorCode::ProviderQuota => "Delete workspaces that nobody needs, or ask Fly for a higher limit.",
        ErrorCode::CredentialsRejected => {
            "Give a token of the organisation: `fly tokens create org`, then PILOT_FLY_API_TOKEN."
        }
        ErrorCode::ProviderRateLimited => "Wait a moment; Fly takes about one call a second for each object.",
        ErrorCode::OperationInProgress => "Another program is changing the machine; try again in a minute.",
        ErrorCode::UnknownRegion => "Choose a region that `fly platform regions` lists.",
        ErrorCode::UnknownSize => "Choose another size.",
        ErrorCode::ImageMissing => {
            "Push it as registry.fly.io/APP:TAG, with an app of the organisation, and name it so in PILOT_FLY_IMAGE."
        }
        ErrorCode::ForeignObject => "Somebody else has an app of this name; create another workspace.",
        ErrorCode::ProviderTimeout | ErrorCode::ProviderUnreachable | ErrorCode::ProviderUnreadable => {
            "Look at status.flyio.net, and try again."
        }
        _ => "Fly's words say why; its support wants the request id.",
    }
}
