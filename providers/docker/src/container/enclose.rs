//! Before a container runs: its host is closed, its network is one that the rules know, and it is published where instances are.

use bollard::models::ContainerInspectResponse;
use provider_api::{Result, RunStatus};

use super::machine::{Machine, status};
use super::spec::{Inputs, is_published_here};
use crate::{egress, generation, network};

impl Machine<'_> {
    /// Nothing runs before its host is closed, and its network one that the rules know. What runs is seen to when it starts next.
    pub(super) async fn enclose(&self) -> Result<()> {
        let is_closed = egress::close(self.engine, &self.runtime.installation).await?;
        let is_known = !is_closed || network::is_closed(self.engine, &self.runtime).await?;
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        let is_whole = is_known && is_published_here(self.engine, &found);
        if is_whole || !matches!(status(&found), RunStatus::Stopped { .. }) {
            return Ok(());
        }
        let inputs = self.again(&found).await?;
        self.remove().await?;
        if !is_known {
            network::remake(self.engine, &self.runtime).await?;
        }
        self.ensure(&inputs).await
    }

    /// What makes the same container again.
    pub(super) async fn again(&self, found: &ContainerInspectResponse) -> Result<Inputs> {
        let mut inputs = Inputs::of(found).ok_or_else(|| self.missing())?;
        inputs.owned.generation = generation::of(self.engine, found).await?;
        Ok(inputs)
    }
}
