//! The one interface between the routes and what runs in the instance.

use async_trait::async_trait;
use contracts::Problem;
use contracts::identity::{RuntimeCapabilities, RuntimeHealth, RuntimeIdentity};
use http::{Request, Response};
use proxy::Body;

use crate::ssh::SshServer;

/// A running OpenCode, real or pretended. Calls may come at any time, also before it is up.
#[async_trait]
pub trait RuntimeAdapter: Send + Sync {
    fn identity(&self) -> RuntimeIdentity;

    /// Which route groups work. Constant for the life of the instance.
    async fn capabilities(&self) -> RuntimeCapabilities;

    /// The truth of this moment; answers at once and never asks OpenCode.
    async fn health(&self) -> RuntimeHealth;

    /// Where a person who opens the UI's address wants to be: the page of this instance's workspace.
    /// OpenCode's own start page knows no project until one is added by hand.
    fn landing(&self) -> Option<String> {
        None
    }

    /// What begins SSH servers, where the instance has that.
    fn ssh(&self) -> Option<&dyn SshServer> {
        None
    }

    /// Hands the request to OpenCode at `target_path` (path and query, already judged by the routes)
    /// and gives back its answer as a stream. An error is this instance's, never OpenCode's own.
    async fn proxy(&self, request: Request<Body>, target_path: &str) -> Result<Response<Body>, Problem>;
}
