//! Every stable error code: its HTTP status, whether a retry can help, and the page that explains it.
//!
//! Adding a code means adding a line here and a page in `docs/errors/`: the page is compiled in, so a
//! missing one does not build.

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($variant:ident $code:literal $status:literal $retryable:ident $title:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $(#[serde(rename = $code)] $variant,)*
        }

        impl ErrorCode {
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The stable name, as in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code,)* }
            }

            pub fn status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status,)* }
            }

            /// True when the same request may succeed later without a change.
            pub fn retryable(self) -> bool {
                match self { $(ErrorCode::$variant => error_codes!(@retryable $retryable),)* }
            }

            /// A short phrase for people; the same for every occurrence of the code.
            pub fn title(self) -> &'static str {
                match self { $(ErrorCode::$variant => $title,)* }
            }

            /// The page of `docs/errors/` in Markdown.
            pub fn page(self) -> &'static str {
                match self { $(
                    ErrorCode::$variant => include_str!(concat!("../../docs/errors/", $code, ".md")),
                )* }
            }
        }
    };
    (@retryable retry) => { true };
    (@retryable final) => { false };
}

error_codes! {
    // The request.
    BadRequest "bad_request" 400 final "The request is malformed";
    TooLarge "too_large" 413 final "The request is too large";
    UnknownField "unknown_field" 400 final "The request has a field that does not exist";
    InvalidSlug "invalid_slug" 400 final "The slug is not a valid name";
    SlugTaken "slug_taken" 409 final "Another workspace has this slug";
    NameAmbiguous "name_ambiguous" 409 final "Several deleted workspaces had this name";
    UnknownProvider "unknown_provider" 400 final "There is no such provider";
    ProviderInUse "provider_in_use" 409 final "Workspaces still exist";
    UnknownSize "unknown_size" 400 final "The provider has no such size";
    UnknownRegion "unknown_region" 400 final "The provider has no such region";
    InvalidGitUrl "invalid_git_url" 400 final "The git source is not usable";
    NotFound "not_found" 404 final "There is nothing at this address";
    MethodNotAllowed "method_not_allowed" 405 final "The address does not take this method";
    WorkspaceNotFound "workspace_not_found" 404 final "There is no such workspace";
    OperationNotFound "operation_not_found" 404 final "There is no such operation";
    HomeGone "home_gone" 410 final "The home of the workspace is gone";
    HomeDoubled "home_doubled" 409 final "The home of the workspace is there more than once";
    SnapshotNotFound "snapshot_not_found" 404 final "There is no such snapshot";
    SnapshotLimit "snapshot_limit" 409 final "The workspace has as many snapshots as it may have";
    RolloutNotFound "rollout_not_found" 404 final "There is no such rollout";
    RolloutFailed "rollout_failed" 500 final "The rollout stopped at a workspace that could not be updated";
    WorkspaceStopped "workspace_stopped" 409 final "The workspace is stopped";
    OperationInProgress "operation_in_progress" 409 retry "The workspace is busy with another operation";
    IdempotencyConflict "idempotency_conflict" 409 final "The idempotency key was used for another request";
    PreconditionFailed "precondition_failed" 412 final "The workspace has changed since";
    Unauthorized "unauthorized" 401 final "A login is needed";
    Forbidden "forbidden" 403 final "This caller may not do this";
    LoginLinkInvalid "login_link_invalid" 401 final "The login link is used up or expired";

    // The way to the instance.
    WorkspaceNotReady "workspace_not_ready" 503 retry "The workspace is not ready";
    OrchestratorUnreachable "orchestrator_unreachable" 503 retry "The orchestrator does not answer";
    UpstreamUnreachable "upstream_unreachable" 502 retry "The instance does not answer";
    CapabilityUnsupported "capability_unsupported" 501 final "The instance does not offer this";
    OpencodeUnavailable "opencode_unavailable" 503 retry "OpenCode is starting or restarting";
    OpencodeUnexpected "opencode_unexpected" 502 final "OpenCode has no such route";

    // The boot of an instance.
    InstanceNotReady "instance_not_ready" 504 retry "The instance did not become ready in time";
    InstanceFailed "instance_failed" 502 final "The instance stopped while booting";
    GitUnreachable "git_unreachable" 502 retry "The git repository cannot be reached";
    GitNotFound "git_not_found" 422 final "The git repository or ref does not exist";

    // The engine and the providers.
    EngineFailed "engine_failed" 500 final "Pulumi could not apply the stack";
    EngineInterrupted "engine_interrupted" 503 retry "The Pulumi run was interrupted";
    StackLocked "stack_locked" 409 retry "Another Pulumi run holds the stack";
    StackUnfinished "stack_unfinished" 409 final "A change of the stack was cut off";
    StateCorrupt "state_corrupt" 500 final "The stack's state cannot be read";
    StateNewer "state_newer" 409 final "A newer Pulumi wrote the stack's state";
    ProviderFailed "provider_failed" 502 final "The provider refused or failed";
    ProviderTimeout "provider_timeout" 504 retry "The provider did not answer in time";
    ProviderUnreachable "provider_unreachable" 503 retry "The provider cannot be reached";
    EgressOpen "egress_open" 503 final "What instances reach cannot be limited as it should be";
    RuntimeElsewhere "runtime_elsewhere" 503 retry "The runtime is at another place than the one that is reached";
    ProviderUnreadable "provider_unreadable" 502 retry "The provider's answer cannot be read";
    ProviderRateLimited "provider_rate_limited" 503 retry "The provider asks for fewer calls";
    ProviderQuota "provider_quota" 403 final "The account's quota at the provider is used up";
    ProviderNotConfigured "provider_not_configured" 503 final "The provider is not configured";
    CredentialsRejected "credentials_rejected" 502 final "The provider refuses the credentials";
    ForeignObject "foreign_object" 409 final "The object belongs to somebody else";
    Fenced "fenced" 409 final "A newer operation owns the object";
    ProviderCapacity "provider_capacity" 503 retry "The provider has no room for the instance";
    Canceled "canceled" 409 final "The operation was canceled";

    // This machine.
    OpencodeMissing "opencode_missing" 503 final "OpenCode is not installed";
    PulumiMissing "pulumi_missing" 503 final "A suitable Pulumi CLI is not installed";
    InstanceBinaryMissing "instance_binary_missing" 503 final "The instance program is not installed";
    DockerUnavailable "docker_unavailable" 503 retry "No Docker engine answers";
    ImageMissing "image_missing" 422 final "The provider does not have the instance image";
    ImageUnusable "image_unusable" 422 final "The image cannot run there";
    PortInUse "port_in_use" 503 final "A port that Pilot needs is taken";
    AlreadyRunning "already_running" 409 final "Another Pilot uses this data folder";
    InsecureListen "insecure_listen" 400 final "Listening there would expose unisolated workspaces";
    DataFolderUnusable "data_folder_unusable" 500 final "The data folder cannot be used";
    SecretsMissing "secrets_missing" 503 final "A secret of this installation is missing or another one";
    StoreFull "store_full" 507 retry "A disk has no room";
    StoreUnavailable "store_unavailable" 503 retry "The store does not answer";
    StoreNewer "store_newer" 503 final "A newer Pilot wrote the store";
    StoreMoved "store_moved" 409 final "The installation is in use elsewhere";
    StoreIncomplete "store_incomplete" 409 final "Not all of the installation is here";
    RecordUnreadable "record_unreadable" 500 final "A stored record cannot be read";
    Internal "internal" 500 retry "Something went wrong inside Pilot";

    // Backups.
    InstallationExists "installation_exists" 409 final "There is an installation already";
    BackupKeyRejected "backup_key_rejected" 422 final "The key is not that of the backup";
    BackupIncomplete "backup_incomplete" 422 final "The backup has no end";
    BackupDamaged "backup_damaged" 422 final "The backup has been changed";
    BackupNewer "backup_newer" 409 final "A newer Pilot made the backup";
    BackupUnusable "backup_unusable" 500 final "The backup's file cannot be used";

    // The way from a command to the server.
    TimedOut "timed_out" 504 retry "It did not happen in time";
    CertificateUntrusted "certificate_untrusted" 502 final "The server's certificate is not trusted";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code as a document has it: one of ours, or one that only a newer Pilot knows. Servers make the former alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Code {
    Known(ErrorCode),
    Other(Box<str>),
}

impl Code {
    /// One of ours.
    pub fn known(&self) -> Option<ErrorCode> {
        match self {
            Code::Known(code) => Some(*code),
            Code::Other(_) => None,
        }
    }

    /// As JSON has it.
    pub fn as_str(&self) -> &str {
        match self {
            Code::Known(code) => code.as_str(),
            Code::Other(name) => name,
        }
    }
}

impl From<ErrorCode> for Code {
    fn from(code: ErrorCode) -> Self {
        Code::Known(code)
    }
}

impl PartialEq<ErrorCode> for Code {
    fn eq(&self, other: &ErrorCode) -> bool {
        matches!(self, Code::Known(code) if code == other)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ErrorCode {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        ErrorCode::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_names_its_code_and_says_what_to_do() {
        for code in ErrorCode::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}: the title is the code");
            for section in ["## What happened", "## Why", "## What to do"] {
                assert!(page.contains(section), "{code}: no section {section}");
            }
        }
    }

    #[test]
    fn a_code_of_a_newer_version_is_kept_as_it_was_written() {
        for (text, code) in [
            ("\"internal\"", Code::Known(ErrorCode::Internal)),
            ("\"out_of_cheese\"", Code::Other("out_of_cheese".into())),
        ] {
            let read: Code = serde_json::from_str(text).unwrap();
            assert_eq!((&read, serde_json::to_string(&read).unwrap().as_str()), (&code, text));
        }
    }

    #[test]
    fn codes_are_unique_and_their_status_is_an_error() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert!((400..600).contains(&code.status()), "{code}");
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }
}
