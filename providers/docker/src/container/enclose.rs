//! Before a container runs: its host is closed, its network is one that the rules know, what its list does not name is not
//! reached, and it is published where instances are.

use bollard::models::ContainerInspectResponse;
use contracts::ErrorCode;
use contracts::egress::EgressAllow;
use provider_api::{ProviderError, Result, RunStatus};

use super::machine::{Machine, status};
use super::spec::{Inputs, is_published_here};
use crate::{egress, generation, network};

impl Machine<'_> {
    /// Nothing runs before its host is closed, its network one that the rules know, and its list of destinations in force. What runs
    /// is seen to when it starts next.
    pub(super) async fn enclose(&self) -> Result<()> {
        let is_closed = egress::close(self.engine, &self.runtime.installation).await?;
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        let list = generation::seen(self.engine, &found).await?.egress;
        if list.is_some() && !is_closed {
            return Err(self.cannot_hold_a_list());
        }
        let is_known = !is_closed || network::is_closed(self.engine, &self.runtime, list.is_some()).await?;
        let is_whole = is_known && is_published_here(self.engine, &found);
        if !is_whole && matches!(status(&found), RunStatus::Stopped { .. }) {
            let inputs = self.again(&found).await?;
            self.remove().await?;
            if !is_known {
                network::remake(self.engine, &self.runtime, list.is_some()).await?;
            }
            self.ensure(&inputs).await?;
        }
        match list {
            Some(list) => egress::enforce(self.engine, &self.runtime, &list).await,
            None => Ok(()),
        }
    }

    /// Of one that runs, another list is in force when this returns: the resolver is started anew and nothing else.
    pub(super) async fn enclose_again(&self, found: &ContainerInspectResponse) -> Result<()> {
        match generation::seen(self.engine, found).await?.egress {
            Some(list) if !matches!(status(found), RunStatus::Stopped { .. }) => {
                match egress::close(self.engine, &self.runtime.installation).await? {
                    true => egress::enforce(self.engine, &self.runtime, &list).await,
                    false => Err(self.cannot_hold_a_list()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Of one that runs, another list is in force before it is noted as its own. Where it cannot be, the one before stays.
    pub(super) async fn exchange(
        &self,
        found: &ContainerInspectResponse,
        (before, after): (Option<&EgressAllow>, Option<&EgressAllow>),
    ) -> Result<()> {
        let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
        if before == after || matches!(status(found), RunStatus::Stopped { .. }) {
            return Ok(());
        }
        if !egress::close(self.engine, &self.runtime.installation).await? {
            return Err(self.cannot_hold_a_list());
        }
        let tried = egress::enforce(self.engine, &self.runtime, after).await;
        if tried.is_err() {
            // The keeper is not to try the other one for longer.
            let again = egress::ask_for(self.engine, &self.runtime, before).await;
            if let Err(error) = again {
                tracing::warn!(container = self.name(), %error, "the keeper was not told to keep the list of before");
            }
        }
        tried
    }

    fn cannot_hold_a_list(&self) -> ProviderError {
        let message = format!(
            "the workspace has a list of destinations, and no rules can be put in place on the Docker host {}",
            self.engine.host.name
        );
        ProviderError::new(ErrorCode::EgressOpen, message).with_action(
            "`pilot doctor` says why. PILOT_DOCKER_EGRESS=allow-open holds for workspaces without a list alone.",
        )
    }

    /// What makes the same container again.
    pub(super) async fn again(&self, found: &ContainerInspectResponse) -> Result<Inputs> {
        let inputs = Inputs::of(found).ok_or_else(|| self.missing())?;
        Ok(inputs.seen(generation::seen(self.engine, found).await?))
    }
}
