//! The connection to the vendor, and its failures in Pilot's words. How a call goes over HTTP, with the credential, the rate
//! and a deadline, is in `cloud/remote.rs`.

use std::future::Future;
use std::sync::Arc;

use contracts::{ErrorCode, RuntimeId};
use http::StatusCode;
use provider_api::{BootFile, BootSource, ProviderError, Result};
use provider_http::Failure;
use provider_kit::boot;

use crate::cloud::{Reply, Session};

/// As it is called in sentences.
const VENDOR: &str = "the cloud";

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
    pub async fn ask<T>(&self, doing: &str, call: impl Future<Output = Reply<T>>) -> Result<T> {
        call.await.map_err(|failure| as_provider_error(doing, failure))
    }

    /// A call that finds an object; `None` when the vendor itself says that there is none.
    pub async fn look<T>(&self, doing: &str, call: impl Future<Output = Reply<T>>) -> Result<Option<T>> {
        Failure::optional(call.await).map_err(|failure| as_provider_error(doing, failure))
    }

    /// A change that another program may have been faster with; `None` means: look again.
    pub async fn change<T>(&self, doing: &str, call: impl Future<Output = Reply<T>>) -> Result<Option<T>> {
        match call.await {
            Err(failure) if failure.is_absent() || is_conflict(&failure) => Ok(None),
            other => other.map(Some).map_err(|failure| as_provider_error(doing, failure)),
        }
    }

    /// A change of an object that is there; `None` when it is of another version by now.
    pub async fn unless_changed<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Reply<T>>,
    ) -> Result<Option<T>> {
        match call.await {
            Err(failure) if is_conflict(&failure) => Ok(None),
            other => other.map(Some).map_err(|failure| as_provider_error(doing, failure)),
        }
    }
}

/// The name is taken, or the object has changed since it was looked at.
fn is_conflict(failure: &Failure) -> bool {
    failure.status() == Some(StatusCode::CONFLICT)
}

/// The error for a call that failed. `doing` completes "cannot ...".
fn as_provider_error(doing: &str, failure: Failure) -> ProviderError {
    // Where a vendor's own words say more than its status, they decide first.
    let code = failure.code();
    failure.into_error(code, VENDOR, doing).with_action(action(code))
}

fn action(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ProviderUnreachable => "See whether this machine reaches the cloud, and try again.",
        // It may have been done all the same.
        ErrorCode::ProviderTimeout | ErrorCode::ProviderUnreadable => "Try again later.",
        ErrorCode::CredentialsRejected => "Set PILOT_FAKE_API_TOKEN to a token that the cloud knows.",
        ErrorCode::ProviderRateLimited => "Nothing to do: it is tried again.",
        _ => "`pilot ws start NAME` makes what is missing from the workspace's stack.",
    }
}
