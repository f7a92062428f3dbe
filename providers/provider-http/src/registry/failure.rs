//! What a registry's refusal means to who has asked.

use contracts::ErrorCode;
use oci_client::errors::{OciDistributionError, OciErrorCode};
use provider_api::ProviderError;
use provider_kit::image::NO_IMAGE;

/// What was asked, for words.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub reference: &'a str,
    pub has_login: bool,
    pub pushes: bool,
}

impl Asked<'_> {
    pub fn unreadable(&self, what: &str) -> ProviderError {
        let message = format!("{what} at {} cannot be read", self.reference);
        ProviderError::new(ErrorCode::ProviderUnreadable, message)
    }

    pub fn no_image(&self) -> ProviderError {
        let (why, action) = NO_IMAGE;
        self.error(ErrorCode::ImageUnusable, why).with_action(action)
    }

    /// It was waited for long enough.
    pub fn silent(&self) -> ProviderError {
        self.error(ErrorCode::ProviderUnreachable, "its registry does not answer")
    }

    /// A push that failed has changed no tag: its manifest comes last.
    pub fn failed(&self, error: &OciDistributionError) -> ProviderError {
        use OciDistributionError as Error;
        match error {
            Error::AuthenticationFailure(_) | Error::UnauthorizedError { .. } => self.refused(),
            Error::ImageManifestNotFoundError(_) => self.missing(),
            Error::RegistryError { envelope, .. } => {
                let has = |code: OciErrorCode| envelope.errors.iter().any(|one| one.code == code);
                if has(OciErrorCode::Unauthorized) || has(OciErrorCode::Denied) {
                    self.refused()
                } else if has(OciErrorCode::Toomanyrequests) {
                    self.error(ErrorCode::ProviderRateLimited, "its registry asks for fewer calls")
                } else if !self.pushes
                    && [OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]
                        .into_iter()
                        .any(has)
                {
                    self.missing()
                } else {
                    self.error(ErrorCode::ProviderFailed, &envelope.to_string())
                }
            }
            Error::ServerError { code, .. } => self.status(*code),
            Error::RequestError(error) => match error.status() {
                Some(status) => self.status(status.as_u16()),
                // Its address may have what is not for logs.
                None => self.error(
                    ErrorCode::ProviderUnreachable,
                    if error.is_connect() {
                        "no connection to its registry"
                    } else {
                        "its registry does not answer"
                    },
                ),
            },
            Error::IoError(error) => {
                self.error(ErrorCode::ProviderUnreachable, &format!("the transfer broke: {error}"))
            }
            other => self.error(ErrorCode::ProviderUnreadable, &other.to_string()),
        }
    }

    fn status(&self, status: u16) -> ProviderError {
        match status {
            401 | 403 => self.refused(),
            404 if !self.pushes => self.missing(),
            429 => self.error(ErrorCode::ProviderRateLimited, "its registry asks for fewer calls"),
            500.. => self
                .error(ErrorCode::ProviderUnreachable, &format!("its registry answers with status {status}")),
            _ => self.error(ErrorCode::ProviderFailed, &format!("its registry answers with status {status}")),
        }
    }

    fn refused(&self) -> ProviderError {
        match (self.has_login, self.pushes) {
            (false, false) => self
                .error(ErrorCode::ImageMissing, "its registry has none for those without a login")
                .with_action("Correct the name, or give a login for the registry."),
            _ => self
                .error(ErrorCode::CredentialsRejected, "its registry refuses the login")
                .with_action("Use a login that may do this with this image."),
        }
    }

    fn missing(&self) -> ProviderError {
        self.error(ErrorCode::ImageMissing, "its registry has none of this name")
            .with_action("Correct the name, or push the image.")
    }

    fn error(&self, code: ErrorCode, why: &str) -> ProviderError {
        let what = if self.pushes { "pushed to" } else { "found at" };
        ProviderError::new(code, format!("the image cannot be {what} {}: {why}", self.reference))
    }
}
