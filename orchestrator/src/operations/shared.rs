//! What all runtimes of a provider share: a stack of its own, applied before the first runtime needs it, and
//! removed on demand after the last. Of all processes, whoever holds its lease works on it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use contracts::operation::{Phase, Severity};
use contracts::{ErrorCode, OperationId, Problem, ProviderName};
use provider_api::Provider;
use provider_server::{Authority, Expiry};
use stacks::Stack;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::task::AbortOnDropHandle;

use super::apply::{apply, destroy};
use super::ending::Why;
use super::run::{Run, canceled};
use super::shared_sites;
use crate::engine::shared_stack;
use crate::store::{Lease, StoreError, WorkspaceRow};

/// How soon somebody looks again whether another has given the lease back.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often in the time of a lease it is prolonged.
const RENEWALS: u32 = 3;

/// The shared stacks as this process has applied them, each behind a lock of its provider: of many creates one applies it
/// and the others wait.
#[derive(Default)]
pub struct Applied(std::sync::Mutex<HashMap<ProviderName, Arc<Mutex<Option<Done>>>>>);

/// What was applied here, and which teardown was the last one then.
#[derive(PartialEq)]
struct Done {
    stack: Stack,
    torn_by: Option<OperationId>,
}

impl Applied {
    fn of(&self, provider: &ProviderName) -> Arc<Mutex<Option<Done>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(provider.clone()).or_default())
    }

    /// False also while somebody works on it.
    fn is_made(&self, provider: &ProviderName, stack: &Stack, torn_by: Option<OperationId>) -> bool {
        let one = self.of(provider);
        let Ok(applied) = one.try_lock() else { return false };
        applied.as_ref().is_some_and(|done| done.stack == *stack && done.torn_by == torn_by)
    }
}

/// Once in the life of a process, and again when what is declared changes or somebody has removed it since: otherwise it is
/// the same for every runtime, and costs one read.
pub async fn ensure(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let provider = run.provider(row)?;
    let Some(stack) = shared_stack(provider.as_ref(), &run.parts.installation)? else { return Ok(()) };
    if run.parts.shared.is_made(&row.provider, &stack, torn_by(run, &row.provider).await?) {
        return Ok(());
    }
    // Who waits for another keeps no place: that other may need one to go on.
    run.only_waits();
    let mut applied = lock(run, &row.provider).await?;
    let wanted = Done { stack, torn_by: torn_by(run, &row.provider).await? };
    if applied.as_ref() == Some(&wanted) {
        return run.works().await;
    }
    let held = Held::take(run, &row.provider).await?;
    let made = make(run, row, provider.as_ref(), &held, wanted).await;
    held.give_back(run, &made).await;
    *applied = Some(made?);
    Ok(())
}

async fn make(
    run: &Arc<Run>,
    row: &WorkspaceRow,
    provider: &dyn Provider,
    held: &Held,
    wanted: Done,
) -> Result<Done, Problem> {
    run.works().await?;
    run.say(Severity::Info, format!("Making sure of what workspaces on {} share.", row.provider));
    // Whoever had the lease before may have removed it.
    let torn_by = torn_by(run, &row.provider).await?;
    let moved = shared_sites::arrive(run, provider, &held.lease).await?;
    apply(run, &wanted.stack, moved).await?;
    Ok(Done { torn_by, ..wanted })
}

async fn torn_by(run: &Run, provider: &ProviderName) -> Result<Option<OperationId>, Problem> {
    run.patiently(|| run.parts.store.torn_by(provider)).await
}

/// Removes it. A create that is accepted meanwhile waits, and then makes it again.
pub async fn teardown(run: &Arc<Run>) -> Result<(), Problem> {
    let name = run.provider_name()?;
    let provider = run.parts.providers.get(name.as_str())?;
    let Some(stack) = shared_stack(provider.as_ref(), &run.parts.installation)? else {
        run.say(
            Severity::Info,
            format!("Workspaces on {name} share nothing, so there is nothing to remove."),
        );
        return Ok(());
    };
    run.reach(Phase::Planned).await?;
    run.only_waits();
    let mut applied = lock(run, &name).await?;
    let held = Held::take(run, &name).await?;
    let removed = remove(run, provider.as_ref(), &held, &stack).await;
    // Whatever came of it, the next create looks again.
    *applied = None;
    held.give_back(run, &removed).await;
    removed?;
    run.reach(Phase::Applied).await
}

async fn remove(run: &Arc<Run>, provider: &dyn Provider, held: &Held, stack: &Stack) -> Result<(), Problem> {
    run.works().await?;
    let name = &run.provider_name()?;
    let others = shared_sites::others(run, provider).await?;
    // Whoever comes after this look waits for the lease.
    let users = run.patiently(|| run.parts.store.users_of(name)).await?;
    if !users.is_empty() {
        return Err(StoreError::InUse(users).into());
    }
    // Before it is so: other processes look again as well.
    let id = run.id();
    run.patiently(|| run.parts.store.say_torn(name, &held.lease, &id)).await?;
    destroy(run, stack).await?;
    shared_sites::leave(run, name, &held.lease, &others).await
}

/// In this process one has it after the other, in the order in which they came.
async fn lock(run: &Run, provider: &ProviderName) -> Result<OwnedMutexGuard<Option<Done>>, Problem> {
    let one = run.parts.shared.of(provider);
    tokio::select! {
        applied = one.lock_owned() => Ok(applied),
        () = run.ending.token().cancelled() => Err(canceled()),
    }
}

/// The lease on what is shared, for as long as this is there.
struct Held {
    lease: Lease,
    renewal: AbortOnDropHandle<()>,
}

impl Held {
    /// Waits until no other has it.
    async fn take(run: &Arc<Run>, provider: &ProviderName) -> Result<Self, Problem> {
        let (name, holder) = (format!("shared/{provider}"), run.holder());
        let (lease, until) = loop {
            // Counted from before the question: here it is over before it is for others.
            let until = until(run);
            match run.patiently(|| run.parts.store.lease(&name, &holder, run.parts.lease)).await? {
                Some(lease) => break (lease, until),
                None => tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = run.ending.token().cancelled() => return Err(canceled()),
                },
            }
        };
        run.holds_shared(Some(Authority { fence: Some(lease.fence), expiry: Some(until.clone()) }));
        let renewal = tokio::spawn(renew(Arc::clone(run), lease.clone(), until));
        Ok(Self { lease, renewal: AbortOnDropHandle::new(renewal) })
    }

    /// So that the next need not wait for its end. What came of the work may be that it was lost.
    async fn give_back<T>(self, run: &Run, came: &Result<T, Problem>) {
        drop(self.renewal);
        run.holds_shared(None);
        if came.as_ref().is_err_and(|problem| problem.code == ErrorCode::Fenced) {
            run.ending.because(Why::Fenced);
        }
        if let Err(error) = run.parts.store.give_back(&self.lease).await {
            tracing::debug!(%error, lease = self.lease.name, "not given back; the next waits for its end");
        }
    }
}

/// A process that has the store alone loses it to nobody.
fn until(run: &Run) -> Expiry {
    if run.parts.store.is_alone() { Expiry::ever() } else { Expiry::after(run.parts.lease) }
}

/// Prolongs it. Once it is another's, or may be, nothing goes on here.
async fn renew(run: Arc<Run>, lease: Lease, end: Expiry) {
    loop {
        tokio::time::sleep(run.parts.lease / RENEWALS).await;
        let next = until(&run);
        match run.parts.store.lease(&lease.name, &lease.holder, run.parts.lease).await {
            Ok(Some(still)) if still.fence == lease.fence => end.put_off(&next),
            Ok(_) => return run.ending.because(Why::Fenced),
            Err(error) => tracing::warn!(%error, lease = lease.name, "the lease was not renewed"),
        }
        if end.is_over() {
            return run.ending.because(Why::Fenced);
        }
    }
}
