//! What people ask of rollouts. What moves them on is `crate::rollouts`.

use contracts::rollout::{
    Counts, Member, MemberState, Rollout, RolloutList, RolloutState, SkipReason, StartRollout,
};
use contracts::workspace::{Desired, Image};
use contracts::{ErrorCode, Problem, ProviderName, RolloutId};
use jiff::Timestamp;

use super::request;
use super::service::{Caller, Lifecycle};
use crate::engine::provider_problem;
use crate::store::{Key, StoreError};

/// At a time, when nobody says, and at most.
const AT_ONCE: [u32; 2] = [1, 100];

/// So many are shown.
const SHOWN: u32 = 100;

impl Lifecycle {
    pub async fn start_rollout(&self, body: StartRollout, caller: &Caller) -> Result<Rollout, Problem> {
        let key = caller.key(&format!("rollout {}", serde_json::to_string(&body).unwrap_or_default()));
        let ask = self.begin_rollout(body, caller, key.clone());
        self.once(key.as_ref(), |id| self.begun_before(id), ask).await
    }

    async fn begin_rollout(
        &self,
        body: StartRollout,
        caller: &Caller,
        key: Option<Key>,
    ) -> Result<Rollout, Problem> {
        let [usual, most] = AT_ONCE;
        let at_once = body.at_once.unwrap_or(usual);
        if !(1..=most).contains(&at_once) {
            let detail = format!("A rollout moves 1 to {most} workspaces at a time, not {at_once}.");
            return Err(Problem::new(ErrorCode::BadRequest, detail));
        }
        let provider =
            self.providers.get(body.provider.as_deref().unwrap_or(self.default_provider.as_str()))?;
        let image = match (&body.image, provider.images()) {
            (None, Some(images)) => images.default_reference().map_err(provider_problem)?,
            (reference, _) => reference.clone().unwrap_or_default(),
        };
        let image = request::image(&image, provider.as_ref()).await?;
        let name = provider.describe().name;
        let rows = self.store.workspaces().await?.into_iter();
        let rows = rows.filter(|row| row.provider == name && row.desired != Desired::Deleted);
        let members = rows.map(|row| Member {
            workspace_id: row.id,
            slug: row.slug,
            state: MemberState::Waiting,
            reason: None,
            before: row.image,
            target: image.clone(),
            operation: None,
        });
        let members = members.collect();
        let rollout = rollout(name, Some(image), at_once, members);
        self.insert(rollout, caller, key).await
    }

    /// Gives those that were moved what they had before, the last first.
    pub async fn roll_back(&self, id: &RolloutId, caller: &Caller) -> Result<Rollout, Problem> {
        let key = caller.key(&format!("roll back {id}"));
        let ask = self.begin_back(id, caller, key.clone());
        self.once(key.as_ref(), |id| self.begun_before(id), ask).await
    }

    async fn begin_back(
        &self,
        id: &RolloutId,
        caller: &Caller,
        key: Option<Key>,
    ) -> Result<Rollout, Problem> {
        let moved = self.rollout(id).await?;
        if moved.state == RolloutState::Running {
            let detail = format!("The rollout {id} has not ended.");
            return Err(Problem::new(ErrorCode::OperationInProgress, detail)
                .with_action(format!("`pilot rollout stop {id}` ends it; then take it back.")));
        }
        let back = moved.members.into_iter().rev().filter_map(|member| {
            let target = member.before.clone()?;
            // A delete in the middle of its update leaves the new image behind, for when it is restored.
            let was_begun = member.operation.is_some()
                && (member.state != MemberState::Skipped || member.reason == Some(SkipReason::Deleted));
            was_begun.then_some(Member {
                state: MemberState::Waiting,
                reason: None,
                before: Some(member.target),
                target,
                operation: None,
                ..member
            })
        });
        let rollout = rollout(moved.provider, None, moved.at_once, back.collect());
        self.insert(Rollout { rolls_back: Some(id.clone()), ..rollout }, caller, key).await
    }

    async fn insert(&self, rollout: Rollout, caller: &Caller, key: Option<Key>) -> Result<Rollout, Problem> {
        let asked = (caller.principal.as_str(), caller.request_id.as_str());
        self.store.insert_rollout(&rollout, asked, key.as_ref()).await?;
        self.rollout(&rollout.id).await
    }

    /// The answer to a rollout of before.
    async fn begun_before(&self, id: String) -> Result<Rollout, Problem> {
        self.rollout(&id.parse().map_err(|_| StoreError::KeyTaken)?).await
    }

    /// With its members.
    pub async fn rollout(&self, id: &RolloutId) -> Result<Rollout, Problem> {
        self.store.rollout(id).await?.ok_or_else(|| no_rollout(id))
    }

    pub async fn rollouts(&self) -> Result<RolloutList, Problem> {
        Ok(RolloutList { rollouts: self.store.rollouts(SHOWN).await? })
    }

    /// Begins no more of it; what is under way comes to its end.
    pub async fn stop_rollout(&self, id: &RolloutId) -> Result<Rollout, Problem> {
        match self.store.cancel_rollout(id).await? {
            true => self.rollout(id).await,
            false => Err(no_rollout(id)),
        }
    }
}

fn rollout(provider: ProviderName, image: Option<Image>, at_once: u32, members: Vec<Member>) -> Rollout {
    Rollout {
        id: RolloutId::random(),
        provider,
        state: RolloutState::Running,
        image,
        rolls_back: None,
        at_once,
        counts: Counts::default(),
        error: None,
        created_at: Timestamp::now(),
        finished_at: None,
        members,
    }
}

fn no_rollout(id: &RolloutId) -> Problem {
    Problem::new(ErrorCode::RolloutNotFound, format!("There is no rollout {id}."))
        .with_action("`pilot rollout ls` lists them.")
}
