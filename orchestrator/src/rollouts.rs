//! Moves rollouts on: level-triggered, one process for all. What is under way is an operation like any other, so a process
//! that is gone leaves nothing half done, and the next one goes on from the rows.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use contracts::operation::{Operation, OperationKind, OperationState, Update};
use contracts::rollout::{Member, MemberState, Rollout, RolloutState, SkipReason};
use contracts::workspace::{Desired, Image, Observed};
use contracts::{ErrorCode, OperationId, Problem};
use tokio_util::task::AbortOnDropHandle;

use crate::store::{NewOperation, RunningRollout, Store, StoreError, WorkspaceRow};

/// What was missed is seen after this.
const INTERVAL: Duration = Duration::from_secs(5);

/// Many ends at a time are one look.
const PAUSE: Duration = Duration::from_millis(100);

const LEASE: Duration = Duration::from_secs(30);

/// An update that was asked for, and what its workspace was made from at that moment.
pub type Begun = (OperationId, Option<Image>);

/// How far a member's turn is.
enum Turn {
    Is(MemberState, Option<Begun>),
    /// Why, and what the workspace is made from, where there is one.
    Skips(SkipReason, Option<Image>),
}

pub struct Rollouts {
    pub store: Store,
    /// Of this process, among those that share the store.
    pub name: String,
}

impl Rollouts {
    /// For ever; ends when dropped.
    pub async fn run(self: Arc<Self>) {
        let mut work = self.store.work();
        loop {
            let this = Arc::clone(&self);
            // In a task of its own: whatever happens in a round, there is a next one.
            match AbortOnDropHandle::new(tokio::spawn(async move { this.round().await })).await {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => tracing::warn!(%problem, "rollouts"),
                Err(panic) => tracing::error!(%panic, "rollouts"),
            }
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                _ = work.changed() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn round(&self) -> Result<(), Problem> {
        let running = self.store.running_rollouts().await?;
        if running.is_empty() {
            return Ok(());
        }
        if !self.store.is_alone() && self.store.lease("rollouts", &self.name, LEASE).await?.is_none() {
            return Ok(());
        }
        for one in running {
            if let Err(problem) = self.move_on(&one).await {
                tracing::warn!(rollout = %one.rollout.id, %problem, "the rollout does not go on for now");
            }
        }
        Ok(())
    }

    /// As far as it goes without waiting: what was skipped leaves its place to the next, and the last one is the end.
    async fn move_on(&self, running: &RunningRollout) -> Result<(), Problem> {
        while self.step(running).await? {}
        Ok(())
    }

    /// Whether the turn of some is over without an update, so that more can be done at once.
    async fn step(&self, running: &RunningRollout) -> Result<bool, Problem> {
        let rollout = &running.rollout;
        let mut room = rollout.at_once;
        for (position, member) in
            self.store.rollout_members(&rollout.id, MemberState::Running, u32::MAX).await?
        {
            match self.outcome(&member).await? {
                Turn::Is(MemberState::Running, _) => room = room.saturating_sub(1),
                over => self.mark(rollout, position, &over).await?,
            }
        }
        let failed = self.store.rollout_members(&rollout.id, MemberState::Failed, 1).await?;
        if !failed.is_empty() || running.cancel {
            if room < rollout.at_once {
                return Ok(false);
            }
            let (state, error) = match failed.first() {
                Some((_, member)) => {
                    let update = self.update_of(member).await?;
                    let worked = match &update {
                        Some(update) => self.store.worked_before(update).await?,
                        None => true,
                    };
                    let why = update.and_then(|update| update.error);
                    (RolloutState::Failed, Some(stopped_at(rollout, member, why.as_ref(), worked)))
                }
                None => (RolloutState::Canceled, None),
            };
            tracing::info!(rollout = %rollout.id, state = state.as_str(), "the rollout ended");
            self.store.finish_rollout(&rollout.id, state, error.as_ref()).await?;
            return Ok(false);
        }
        // One that is busy lets others before it; it is looked at again with the next round.
        const LOOKED_AT: u32 = 20;
        let waiting = self.store.rollout_members(&rollout.id, MemberState::Waiting, room + LOOKED_AT).await?;
        if waiting.is_empty() && room == rollout.at_once {
            tracing::info!(rollout = %rollout.id, "the rollout is done");
            self.store.finish_rollout(&rollout.id, RolloutState::Succeeded, None).await?;
            return Ok(false);
        }
        let mut goes_on = false;
        for (position, member) in waiting {
            if room == 0 {
                break;
            }
            let turn = match self.begin(running, position, &member).await {
                // Its record is of no use; the others have their turn.
                Err(problem) if problem.code == ErrorCode::RecordUnreadable => {
                    Turn::Is(MemberState::Failed, None)
                }
                turn => turn?,
            };
            match turn {
                Turn::Is(MemberState::Waiting, _) => continue,
                Turn::Is(MemberState::Running, _) => room -= 1,
                _ => goes_on = true,
            }
            self.mark(rollout, position, &turn).await?;
        }
        Ok(goes_on)
    }

    async fn mark(&self, rollout: &Rollout, position: i64, turn: &Turn) -> Result<(), Problem> {
        match turn {
            Turn::Is(state, begun) => {
                self.store.mark_member(&rollout.id, position, *state, begun.as_ref()).await?;
            }
            Turn::Skips(reason, found) => {
                self.store.skip_member(&rollout.id, position, *reason, found.as_ref()).await?;
            }
        }
        Ok(())
    }

    /// What has become of its update.
    async fn outcome(&self, member: &Member) -> Result<Turn, Problem> {
        let update = self.update_of(member).await?;
        // It was refused before anything was changed.
        let is_home = |problem: &Problem| problem.code == ErrorCode::HomeGone;
        if update.as_ref().and_then(|update| update.error.as_ref()).is_some_and(is_home) {
            return Ok(match self.row(member).await? {
                Ok(row) => Turn::Skips(SkipReason::HomeGone, row.image),
                Err(gone) => gone,
            });
        }
        let state = match update.map(|update| update.state) {
            Some(OperationState::Queued | OperationState::Running) => MemberState::Running,
            Some(OperationState::Succeeded) => MemberState::Updated,
            Some(OperationState::Failed) | None => MemberState::Failed,
            // A delete ends what runs.
            Some(OperationState::Canceled) => match self.row(member).await? {
                Ok(_) => MemberState::Failed,
                Err(gone) => return Ok(gone),
            },
        };
        Ok(Turn::Is(state, None))
    }

    async fn update_of(&self, member: &Member) -> Result<Option<Operation>, Problem> {
        match &member.operation {
            Some(id) => Ok(self.store.operation(id).await?),
            None => Ok(None),
        }
    }

    /// The workspace, or why it is passed over.
    async fn row(&self, member: &Member) -> Result<Result<WorkspaceRow, Turn>, Problem> {
        Ok(match self.store.workspace(&member.workspace_id.clone().into()).await? {
            None => Err(Turn::Skips(SkipReason::Gone, None)),
            Some(row) if row.desired == Desired::Deleted => Err(Turn::Skips(SkipReason::Deleted, row.image)),
            Some(row) => Ok(row),
        })
    }

    async fn begin(&self, running: &RunningRollout, position: i64, member: &Member) -> Result<Turn, Problem> {
        let (principal, key) = (format!("rollout {}", running.rollout.id), format!("member-{position}"));
        // Asked for by a process that did not come to write so.
        if let Some((operation, _)) = self.store.operation_of_key(&principal, &key).await? {
            return Ok(Turn::Is(MemberState::Running, Some((operation.id, None))));
        }
        let row = match self.row(member).await? {
            Ok(row) => row,
            Err(gone) => return Ok(gone),
        };
        if row.home_is_gone() {
            return Ok(Turn::Skips(SkipReason::HomeGone, row.image));
        }
        let is_idle = self.store.unfinished_of(&row.runtime_id).await?.is_empty();
        let is_there = row.is_made_from(&member.target) && row.applied == row.generation;
        if is_idle && is_there && row.observed != Observed::Failed {
            return Ok(Turn::Skips(SkipReason::Had, row.image));
        }
        // Somebody has chosen another since: that is not taken back.
        let is_back = running.rollout.rolls_back.is_some();
        if is_back && member.before.as_ref().is_some_and(|before| !row.is_made_from(before)) {
            return Ok(Turn::Skips(SkipReason::Changed, row.image));
        }
        let update = NewOperation {
            update: Some(Update { image: Some(member.target.clone()), ..Update::default() }),
            idempotency: Some((key, "update".to_owned())),
            ..NewOperation::of(OperationKind::Update, &principal, &running.request_id)
        };
        match self.store.request(&row.id, None, &update).await {
            Ok(wanted) => Ok(Turn::Is(MemberState::Running, Some((wanted.operation.id, row.image)))),
            Err(StoreError::Busy(_)) => Ok(Turn::Is(MemberState::Waiting, None)),
            Err(StoreError::Gone) => Ok(Turn::Skips(SkipReason::Gone, None)),
            Err(StoreError::Deleted(_)) => Ok(Turn::Skips(SkipReason::Deleted, row.image)),
            Err(error) => Err(error.into()),
        }
    }
}

/// `worked`: so did what the member had before. What did not is nothing to go back to.
fn stopped_at(rollout: &Rollout, member: &Member, why: Option<&Problem>, worked: bool) -> Problem {
    let mut detail = format!("The update of {} failed, and no others were begun after it.", member.slug);
    if let Some(why) = why {
        let _ = write!(detail, " It ended with {}: {}", why.code, why.detail);
    }
    let Rollout { id, provider, .. } = rollout;
    let way = match worked {
        true => format!("`pilot rollout back {id}` gives all that were moved what they had before."),
        false => format!(
            "What it had before had failed as well: `pilot rollout ls` lists the rollouts before, and `pilot rollout \
             --provider {provider} --image IMAGE` moves all to an image that worked."
        ),
    };
    Problem::new(ErrorCode::RolloutFailed, detail)
        .with_action(format!("`pilot ws why {}` says why. {way}", member.slug))
}
