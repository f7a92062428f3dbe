//! Updates of all workspaces of a provider.

use contracts::rollout::{Rollout, RolloutList, StartRollout};
use contracts::{Problem, RolloutId};
use reqwest::Method;

use super::Client;

impl Client {
    pub async fn start_rollout(&self, wanted: &StartRollout) -> Result<Rollout, Problem> {
        self.json(self.request(Method::POST, "/v1/rollouts").json(wanted)).await
    }

    pub async fn rollouts(&self) -> Result<RolloutList, Problem> {
        self.get("/v1/rollouts").await
    }

    pub async fn rollout(&self, id: &RolloutId) -> Result<Rollout, Problem> {
        self.get(&format!("/v1/rollouts/{id}")).await
    }

    /// `change`: `cancel` or `rollback`.
    pub async fn change_rollout(&self, id: &RolloutId, change: &str) -> Result<Rollout, Problem> {
        self.json(self.request(Method::POST, &format!("/v1/rollouts/{id}/{change}"))).await
    }
}
