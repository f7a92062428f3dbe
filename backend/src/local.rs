//! The adapter of a real instance: OpenCode on the instance's own loopback.
//!
//! It adds OpenCode's login, holds requests for a moment while OpenCode starts, and says plainly when
//! it is not there. Starting and stopping OpenCode is the init's part, told through [`Status`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contracts::disk::Disk;
use contracts::identity::{HealthStatus, RuntimeCapabilities, RuntimeHealth, RuntimeIdentity};
use contracts::{ErrorCode, Problem};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use proxy::{Body, ForwardError, Forwarder, Target};
use tokio::sync::watch;

use crate::adapter::RuntimeAdapter;
use crate::ssh::SshServer;
use crate::status::Status;

/// How long a request waits for OpenCode before it is told to come again.
const HOLD: Duration = Duration::from_secs(6);

const USER: &str = "opencode";

/// Where OpenCode listens and how to log in. `Debug` hides the password.
#[derive(Clone)]
pub struct OpenCodeTarget {
    authority: String,
    login: HeaderValue,
}

impl OpenCodeTarget {
    /// OpenCode on this loopback port. `None` when the password cannot stand in a header.
    pub fn loopback(port: u16, password: &str) -> Option<Self> {
        let encoded = STANDARD.encode(format!("{USER}:{password}"));
        let mut login = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        login.set_sensitive(true);
        Some(Self { authority: format!("127.0.0.1:{port}"), login })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The value of the `Authorization` header.
    pub fn login(&self) -> &HeaderValue {
        &self.login
    }
}

impl std::fmt::Debug for OpenCodeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCodeTarget").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// Proxies to the OpenCode of this instance.
pub struct LocalAdapter {
    identity: RuntimeIdentity,
    target: OpenCodeTarget,
    status: watch::Receiver<Status>,
    forwarder: Forwarder,
    hold: Duration,
    landing: Option<String>,
    ssh: Option<Arc<dyn SshServer>>,
    home: Option<PathBuf>,
}

impl LocalAdapter {
    pub fn new(identity: RuntimeIdentity, target: OpenCodeTarget, status: watch::Receiver<Status>) -> Self {
        let forwarder = Forwarder::new();
        Self { identity, target, status, forwarder, hold: HOLD, landing: None, ssh: None, home: None }
    }

    /// Another limit for how long a request waits for OpenCode.
    pub fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// The UI opens on this folder. OpenCode's UI names a project by its path in base64url.
    pub fn with_workspace(mut self, folder: &Path) -> Self {
        let name = URL_SAFE_NO_PAD.encode(folder.as_os_str().as_encoded_bytes());
        self.landing = Some(format!("/{name}/session"));
        self
    }

    /// SSH is served by this.
    pub fn with_ssh(mut self, ssh: Arc<dyn SshServer>) -> Self {
        self.ssh = Some(ssh);
        self
    }

    /// It tells how full the disk of this folder is.
    pub fn with_home(mut self, home: &Path) -> Self {
        self.home = Some(home.to_owned());
        self
    }

    async fn wait_until_ready(&self) -> Result<(), Problem> {
        let mut status = self.status.clone();
        let settled =
            status.wait_for(|status| matches!(status.health, HealthStatus::Ok | HealthStatus::Failed));
        match tokio::time::timeout(self.hold, settled).await {
            Ok(Ok(status)) if status.health == HealthStatus::Ok => Ok(()),
            Ok(Ok(status)) => Err(failed(&status)),
            // Out of time, or the supervisor is gone because the instance is stopping.
            Ok(Err(_)) | Err(_) => Err(unavailable(&self.status.borrow())),
        }
    }

    fn prepare(&self, mut request: Request<Body>) -> Request<Body> {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.target.login.clone());
        headers.remove(contracts::headers::ASSERTION);
        // On the way here an address that several instances share may have needed a host of its own.
        if let Some(host) = headers.get(contracts::headers::FORWARDED_HOST).cloned() {
            headers.insert(HOST, host);
        }
        // Compression would hold back events and helps nobody on loopback.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request
    }
}

#[async_trait]
impl RuntimeAdapter for LocalAdapter {
    fn identity(&self) -> RuntimeIdentity {
        self.identity.clone()
    }

    fn landing(&self) -> Option<String> {
        self.landing.clone()
    }

    fn ssh(&self) -> Option<&dyn SshServer> {
        self.ssh.as_deref()
    }

    async fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities { fs: false, git: false, terminal: false, opencode: true }
    }

    async fn health(&self) -> RuntimeHealth {
        let health = self.status.borrow().health_of(self.identity.clone());
        RuntimeHealth { disk: self.home.as_deref().and_then(disk), ..health }
    }

    async fn proxy(&self, request: Request<Body>, target_path: &str) -> Result<Response<Body>, Problem> {
        self.wait_until_ready().await?;
        let target = Target::plain(self.target.authority.clone(), target_path);
        let mut response = self
            .forwarder
            .forward(self.prepare(request), &target)
            .await
            .map_err(|error| unreachable(&error))?;
        // A browser would ask the user for OpenCode's password, which nobody knows.
        let asks_for_login = response.headers_mut().remove(WWW_AUTHENTICATE).is_some();
        if asks_for_login && response.status() == StatusCode::UNAUTHORIZED {
            return Err(stranger());
        }
        Ok(response)
    }
}

/// One question to the kernel, which knows it: it costs no look at the disk.
fn disk(home: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(home).ok()?;
    let block = if found.f_frsize == 0 { found.f_bsize } else { found.f_frsize };
    // Some file systems count no files.
    let takes_files = found.f_files == 0 || found.f_favail > 0;
    let free = if takes_files { found.f_bavail } else { 0 };
    Some(Disk { size: found.f_blocks.saturating_mul(block), free: free.saturating_mul(block) })
}

fn failed(status: &Status) -> Problem {
    let code = status.code.unwrap_or(ErrorCode::OpencodeUnavailable);
    let why = status.detail.as_deref().unwrap_or("the instance did not boot");
    Problem::new(code, format!("OpenCode will not start in this instance: {why}"))
        .with_action("read the workspace's log, correct the cause, then stop and start the workspace")
}

fn unavailable(status: &Status) -> Problem {
    let why = status.detail.as_deref().unwrap_or("it does not answer");
    Problem::new(ErrorCode::OpencodeUnavailable, format!("OpenCode is not ready: {why}"))
        .with_action("try again in a few seconds")
}

fn unreachable(error: &ForwardError) -> Problem {
    tracing::warn!(%error, "OpenCode did not answer");
    let detail = match error {
        ForwardError::Connect { .. } | ForwardError::Timeout { .. } => {
            "OpenCode does not take connections; it may be restarting"
        }
        ForwardError::Upstream { .. } => {
            "OpenCode broke off before it answered; whether it did what was asked is not known"
        }
    };
    Problem::new(ErrorCode::OpencodeUnavailable, detail).with_action("try again in a few seconds")
}

fn stranger() -> Problem {
    Problem::new(
        ErrorCode::OpencodeUnavailable,
        "what listens on OpenCode's port does not accept this instance's password",
    )
    .with_action("end the other program on that port, then stop and start the workspace")
}

#[cfg(test)]
mod tests;
