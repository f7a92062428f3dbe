//! Looks at everything, again and again, and does what is missing for what is desired to be true: an instance that died is
//! started again, what runs and should not is stopped, a delete that failed goes on. What nobody can see is left as it is.

mod ask;
mod decide;
mod look;
pub mod watch;
pub mod why;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::operation::OperationKind;
use contracts::workspace::{Desired, Observed};
use contracts::{ErrorCode, InstallationId, OperationId, Problem, RuntimeId};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use crate::lifecycle::Lifecycle;
use crate::lifecycle::service::Caller;
use crate::lifecycle::state::{Event, next};
use crate::store::{Change, Kept, Store, WorkspaceRow};
use crate::wiring::Providers;
use ask::{Asked, ask};
use decide::{Decision, decide};

const INTERVAL: Duration = Duration::from_secs(10);

/// What is not to run is looked at every so many rounds: nothing waits for it. So often it is asked, too, whether what answers
/// where it was is to be reached elsewhere.
const RESTING: u32 = 6;

/// What has ended is cleared away every so many rounds.
const PRUNE: u32 = 360;

/// One of several orchestrators goes round; another does when it has not for so long.
const LEASE: Duration = Duration::from_secs(30);

/// So many are looked at side by side: one that does not answer keeps nobody waiting.
const AT_ONCE: usize = 32;

/// A module that does not come back from a look keeps no round from its end.
const LOOK: Duration = Duration::from_secs(60);

/// What did not help is tried again after the first of these, then after twice as long each time, up to the second.
const AGAIN: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60 * 60)];

/// Attempts of so long ago are forgotten.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// The principal of what is done here.
pub(crate) const RECONCILER: &str = "reconciler";

/// What follows when something is not as it is desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It is made so.
    Auto,
    /// It is shown, and people decide. Deletes go on all the same.
    Report,
}

pub struct Reconciler {
    pub store: Store,
    pub providers: Providers,
    pub installation: InstallationId,
    pub probe: reqwest::Client,
    pub lifecycle: Arc<Lifecycle>,
    pub repair: Repair,
    /// Rounds, lease and pauses are so many times shorter.
    pub hurry: u32,
    /// Of this process, among those that share the store.
    pub name: String,
}

impl Reconciler {
    /// Goes round for ever, and looks at what has changed in between; ends when dropped. Whatever happens in a round, there is a next one.
    pub async fn run(self: Arc<Self>) {
        let _listens = AbortOnDropHandle::new(tokio::spawn(watch::run(Arc::clone(&self))));
        let mut rounds = 0;
        loop {
            let this = Arc::clone(&self);
            match AbortOnDropHandle::new(tokio::spawn(async move { this.round(rounds).await })).await {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => tracing::warn!(%problem, "reconcile"),
                Err(panic) => tracing::error!(%panic, "reconcile"),
            }
            rounds = rounds.wrapping_add(1);
            tokio::time::sleep(INTERVAL / self.hurry).await;
        }
    }

    async fn round(self: &Arc<Self>, round: u32) -> Result<(), Problem> {
        if !self.store.is_alone() && round.is_multiple_of(PRUNE) {
            let rows = [self.store.workspaces().await?, self.store.kept(None).await?].concat();
            self.lifecycle.engine.forget_all_but(&rows.iter().map(|row| row.runtime_id.as_str()).collect());
        }
        crate::metrics::queue(&self.store.queue().await?);
        if !self.holds_lease().await? {
            return Ok(());
        }
        let rows = self.store.workspaces().await?;
        crate::metrics::workspaces(&rows);
        let rows = rows
            .into_iter()
            .filter(|row| row.desired == Desired::Running || round.is_multiple_of(RESTING) || is_open(row));
        let looks = ask(&self.providers, &self.installation, rows.collect())
            .map(|asked| Arc::clone(self).look_apart(asked, round));
        let mut looks = pin!(looks.buffer_unordered(AT_ONCE));
        let (began, turn) = (Instant::now(), INTERVAL / self.hurry);
        let (mut leased, mut running) = (began, Vec::new());
        loop {
            // Also while nobody says anything.
            let look = tokio::time::timeout(turn, looks.next()).await;
            if leased.elapsed() > turn {
                leased = Instant::now();
                if !self.holds_lease().await? {
                    return Ok(());
                }
            }
            match look {
                Ok(Some(runs)) => running.extend(runs),
                Err(_) => {}
                Ok(None) => break,
            }
        }
        // They ran at least until somebody began to look.
        self.store.seen_running(&running, began.elapsed()).await?;
        if round.is_multiple_of(RESTING) {
            self.learn_sites().await?;
        }
        for row in self.store.homes_over().await? {
            if let Err(problem) = self.clear_away(&row).await {
                tracing::warn!(slug = %row.slug, %problem, "the home of a deleted workspace stays for now");
            }
        }
        if round.is_multiple_of(PRUNE) {
            while self.store.prune(Kept::default()).await? {}
        }
        Ok(())
    }

    /// Of those from before this was kept, and of homes that are kept alone. What cannot be seen has its turn again.
    async fn learn_sites(&self) -> Result<(), Problem> {
        let mut sited = self.providers.all().filter(|provider| provider.sites().is_some());
        if sited.next().is_none() {
            return Ok(());
        }
        let rows = self.store.without_sites().await?;
        let learn = |row: WorkspaceRow| async move {
            let Ok(provider) = self.providers.get(row.provider.as_str()) else { return };
            if let Err(problem) = look::learn(self, &row, provider.as_ref()).await {
                tracing::debug!(slug = %row.slug, %problem, "where it is is not known yet");
            }
        };
        let all = futures_util::stream::iter(rows).for_each_concurrent(AT_ONCE, learn);
        let _ = tokio::time::timeout(INTERVAL, all).await;
        Ok(())
    }

    /// The home of a deleted workspace, whose time is over.
    async fn clear_away(&self, row: &WorkspaceRow) -> Result<(), Problem> {
        match self.store.unfinished_of(&row.runtime_id).await?.is_empty() {
            true => self.want(row, OperationKind::Purge, row.tag()).await,
            false => Ok(()),
        }
    }

    /// Prolongs it. Where the store is one process's own there is nobody to share with.
    async fn holds_lease(&self) -> Result<bool, Problem> {
        Ok(self.store.is_alone()
            || self.store.lease(RECONCILER, &self.name, LEASE / self.hurry).await?.is_some())
    }

    /// In a task of its own, so that neither an error nor a panic keeps the others from their turn. What was seen running.
    async fn look_apart(self: Arc<Self>, asked: Asked, round: u32) -> Option<RuntimeId> {
        let (slug, runtime) = (asked.row.slug.clone(), asked.row.runtime_id.clone());
        let look = tokio::spawn(async move { self.converge(asked, round).await });
        match AbortOnDropHandle::new(look).await {
            Ok(Ok(runs)) => return runs.then_some(runtime),
            Ok(Err(problem)) => tracing::warn!(%slug, %problem, "reconcile"),
            Err(panic) => tracing::error!(%slug, %panic, "reconcile"),
        }
        None
    }

    /// True for what was seen running.
    async fn converge(&self, Asked { row: before, listed }: Asked, round: u32) -> Result<bool, Problem> {
        // As it is now: a round can take a while.
        let Some(row) = &self.store.workspace(&before.id.clone().into()).await? else { return Ok(false) };
        if !self.store.unfinished_of(&row.runtime_id).await?.is_empty() {
            return Ok(false);
        }
        let mut runs = false;
        let decision = match row.desired {
            // There is nothing to see that would change what follows.
            Desired::Deleted => Decision { note: None, want: self.ending(row).await? },
            _ => {
                // What was said of another version of it may have been true of that alone.
                let listed = listed.filter(|_| row.tag() == before.tag());
                let known = row.endpoint.clone().filter(|_| !round.is_multiple_of(RESTING));
                let look = look::look(self, row, listed, known);
                let Ok(seen) = tokio::time::timeout(LOOK, look).await else { return Ok(false) };
                runs = seen.runs();
                decide(row.desired, row.observed, row.error.as_ref(), seen)
            }
        };
        let mut tag = row.tag();
        if let Some((event, endpoint, error)) = decision.note {
            let Ok(observed) = next(row.observed, event) else { return Ok(runs) };
            let endpoint = if event == Event::ContactLost { row.endpoint.clone() } else { endpoint };
            if (observed, &endpoint, &error) != (row.observed, &row.endpoint, &row.error) {
                tracing::info!(slug = %row.slug, from = ?row.observed, to = ?observed, "observed");
                let change = Change { event, endpoint, error };
                // False when something was faster: then its word counts, and the next round sees.
                if !self.store.observe(&row.runtime_id, row.revision, &change).await? {
                    return Ok(runs);
                }
                tag = WorkspaceRow { revision: row.revision + 1, ..row.clone() }.tag();
            }
        }
        match decision.want {
            Some(kind) => self.want(row, kind, tag).await.map(|()| runs),
            None => Ok(runs),
        }
    }

    /// As somebody has asked for its end: a purge that failed is no delete that keeps the home.
    async fn ending(&self, row: &WorkspaceRow) -> Result<Option<OperationKind>, Problem> {
        if waits_for_people(row) {
            return Ok(None);
        }
        let last = match &row.operation {
            Some(id) => self.store.operation(id).await?.map(|operation| operation.kind),
            None => None,
        };
        Ok(Some(last.filter(|kind| matches!(kind, OperationKind::Purge)).unwrap_or(OperationKind::Delete)))
    }

    /// Of the version that was looked at: a newer wish of somebody counts more.
    async fn want(&self, row: &WorkspaceRow, kind: OperationKind, tag: String) -> Result<(), Problem> {
        if self.repair == Repair::Report && !matches!(kind, OperationKind::Delete | OperationKind::Purge) {
            return Ok(());
        }
        if !until_next(&self.store, row, kind, self.hurry).await?.is_zero() {
            return Ok(());
        }
        tracing::info!(slug = %row.slug, ?kind, "making it as it is desired");
        let caller = Caller {
            principal: RECONCILER.to_owned(),
            request_id: OperationId::random().as_str().replacen("op-", "reconciler-", 1),
            idempotency_key: None,
            if_match: Some(tag),
        };
        let name = row.id.clone().into();
        let wanted = match kind {
            OperationKind::Stop => self.lifecycle.stop(&name, &caller).await,
            OperationKind::Suspend if self.providers.serving(row)?.suspends(&row.size) => {
                self.lifecycle.suspend(&name, &caller).await
            }
            OperationKind::Suspend | OperationKind::Hibernate => {
                self.lifecycle.hibernate(&name, &caller).await
            }
            OperationKind::Resume => self.lifecycle.resume(&name, &caller).await,
            OperationKind::Purge => self.lifecycle.purge(&name, &caller).await,
            OperationKind::Delete | OperationKind::Forget => self.lifecycle.delete(&name, &caller).await,
            OperationKind::Create
            | OperationKind::Start
            | OperationKind::Restart
            | OperationKind::Apply
            | OperationKind::Restore
            | OperationKind::Update
            | OperationKind::Snapshot
            | OperationKind::Rewind
            | OperationKind::Discard => self.lifecycle.start(&name, &caller).await,
            // About no workspace.
            OperationKind::Teardown => return Ok(()),
        };
        match wanted {
            Err(problem) if problem.code == ErrorCode::PreconditionFailed => Ok(()),
            wanted => wanted.map(drop),
        }
    }
}

/// Its delete has met what is somebody else's. No waiting makes that ours: who removes it there deletes the workspace again, or
/// releases it.
fn waits_for_people(row: &WorkspaceRow) -> bool {
    row.desired == Desired::Deleted
        && row.error.as_ref().is_some_and(|problem| problem.code == ErrorCode::ForeignObject)
}

/// Something of it is not known or not done.
fn is_open(row: &WorkspaceRow) -> bool {
    !matches!(row.observed, Observed::Stopped | Observed::Suspended)
}

/// How long it is until the next attempt of what is missing.
async fn until_next(
    store: &Store,
    row: &WorkspaceRow,
    kind: OperationKind,
    hurry: u32,
) -> Result<Duration, Problem> {
    let attempts = store.attempts_of(&row.runtime_id, kind, RECONCILER, MEMORY).await?;
    let since = attempts.since_last.unwrap_or_else(|| since(row));
    Ok((pause(attempts.count) / hurry).saturating_sub(since))
}

/// Before the next attempt, after so many. What was never tried is not waited for, but for what has just failed.
fn pause(attempts: u32) -> Duration {
    let [first, most] = AGAIN;
    match attempts {
        0 => Duration::ZERO,
        many => first.saturating_mul(2u32.saturating_pow(many - 1)).min(most),
    }
}

/// How long it has been as it is; none where the clock went back.
fn since(row: &WorkspaceRow) -> Duration {
    Timestamp::now().duration_since(row.since).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
