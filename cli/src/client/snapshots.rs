//! Snapshots and forks, as typed calls.

use contracts::snapshot::{ForkWorkspace, SnapshotList, TakeSnapshot};
use contracts::workspace::Accepted;
use contracts::{ErrorCode, Problem, WorkspaceRef, headers};
use reqwest::{Method, RequestBuilder};

use super::{ANSWER_TIMEOUT, Client};

impl Client {
    pub async fn snapshots(&self, name: &WorkspaceRef) -> Result<SnapshotList, Problem> {
        self.get(&format!("/v1/workspaces/{name}/snapshots")).await
    }

    pub async fn take_snapshot(
        &self,
        name: &WorkspaceRef,
        wanted: &TakeSnapshot,
    ) -> Result<Accepted, Problem> {
        self.once(|| self.request(Method::POST, &format!("/v1/workspaces/{name}/snapshots")).json(wanted))
            .await
    }

    pub async fn restore_snapshot(&self, name: &WorkspaceRef, id: &str) -> Result<Accepted, Problem> {
        let path = format!("{}/restore", path(name, id)?);
        self.once(|| self.request(Method::POST, &path)).await
    }

    pub async fn remove_snapshot(&self, name: &WorkspaceRef, id: &str) -> Result<Accepted, Problem> {
        let path = path(name, id)?;
        self.once(|| self.request(Method::DELETE, &path)).await
    }

    pub async fn fork(&self, name: &WorkspaceRef, wanted: &ForkWorkspace) -> Result<Accepted, Problem> {
        self.once(|| self.request(Method::POST, &format!("/v1/workspaces/{name}/fork")).json(wanted)).await
    }

    /// With a key a second try answers with the operation of the first: nothing is done twice.
    async fn once(&self, request: impl Fn() -> RequestBuilder) -> Result<Accepted, Problem> {
        let key = format!("cli-{:032x}", rand::random::<u128>());
        let once = || self.json(request().header(headers::IDEMPOTENCY_KEY, &key).timeout(ANSWER_TIMEOUT));
        match once().await {
            Err(problem) if problem.code == ErrorCode::OrchestratorUnreachable => once().await,
            answer => answer,
        }
    }
}

/// An id is a part of a path, so what cannot be one is asked of nobody.
fn path(name: &WorkspaceRef, id: &str) -> Result<String, Problem> {
    let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    match plain {
        true => Ok(format!("/v1/workspaces/{name}/snapshots/{id}")),
        false => Err(Problem::new(ErrorCode::SnapshotNotFound, format!("{id:?} is the id of no snapshot."))
            .with_action(format!("`pilot ws snapshot ls {name}` lists those that there are."))),
    }
}
