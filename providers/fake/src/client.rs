//! The connection to the vendor: with the credential, a limit on every call, and its errors in Pilot's
//! words. Other modules use `provider-http` here.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, BootSource, Outcome, ProviderError, Result};
use provider_kit::boot;

use crate::cloud::{CloudError, Session};

/// Nothing healthy takes longer. Short, because this cloud is in memory.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Client {
    session: Session,
    boot: Arc<dyn BootSource>,
}

impl Client {
    pub fn new(session: Session, boot: Arc<dyn BootSource>) -> Self {
        Self { session, boot }
    }

    /// The vendor's API. Every call of it goes through `ask` or `look`.
    pub fn cloud(&self) -> &Session {
        &self.session
    }

    pub async fn boot_files(&self, runtime: &RuntimeId) -> Result<Vec<BootFile>> {
        boot::files(&*self.boot, runtime).await
    }

    /// One call. `doing` completes "cannot ...".
    pub async fn ask<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, CloudError>>,
    ) -> Result<T> {
        self.attempt(call).await.map_err(|error| as_provider_error(doing, &error))
    }

    /// A call that finds an object; `None` when the vendor itself says that there is none.
    pub async fn look<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, CloudError>>,
    ) -> Result<Option<T>> {
        match self.attempt(call).await {
            Err(CloudError::NotFound(_)) => Ok(None),
            other => other.map(Some).map_err(|error| as_provider_error(doing, &error)),
        }
    }

    /// A change that another program may have been faster with; `None` means: look again.
    pub async fn change<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, CloudError>>,
    ) -> Result<Option<T>> {
        match self.attempt(call).await {
            Err(CloudError::NotFound(_) | CloudError::Conflict(_)) => Ok(None),
            other => other.map(Some).map_err(|error| as_provider_error(doing, &error)),
        }
    }

    /// A change of an object that is there; `None` when it is of another version by now.
    pub async fn unless_changed<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, CloudError>>,
    ) -> Result<Option<T>> {
        match self.attempt(call).await {
            Err(CloudError::Conflict(_)) => Ok(None),
            other => other.map(Some).map_err(|error| as_provider_error(doing, &error)),
        }
    }

    async fn attempt<T>(
        &self,
        call: impl Future<Output = std::result::Result<T, CloudError>>,
    ) -> std::result::Result<T, CloudError> {
        tokio::time::timeout(PATIENCE, call).await.unwrap_or(Err(CloudError::NoAnswer))
    }
}

fn as_provider_error(doing: &str, error: &CloudError) -> ProviderError {
    let (code, outcome, action) = match error {
        CloudError::Unreachable => (
            ErrorCode::ProviderUnreachable,
            Outcome::NothingHappened,
            "See whether this machine reaches the cloud, and try again.",
        ),
        // It may have been done all the same.
        CloudError::NoAnswer => (ErrorCode::ProviderTimeout, Outcome::Unknown, "Try again later."),
        CloudError::BadToken => (
            ErrorCode::CredentialsRejected,
            Outcome::NothingHappened,
            "Set PILOT_FAKE_API_TOKEN to a token that the cloud knows.",
        ),
        CloudError::Busy { .. } => {
            (ErrorCode::ProviderRateLimited, Outcome::NothingHappened, "Nothing to do: it is tried again.")
        }
        CloudError::NotFound(_) | CloudError::Conflict(_) | CloudError::Refused(_) => (
            ErrorCode::ProviderFailed,
            Outcome::NothingHappened,
            "`pilot ws start NAME` makes what is missing from the workspace's stack.",
        ),
    };
    let retry_after = match error {
        CloudError::Busy { retry_after } => Some(*retry_after),
        _ => None,
    };
    let error = ProviderError::new(code, format!("cannot {doing}: {error}")).with_action(action);
    ProviderError { outcome, retry_after, ..error }
}
