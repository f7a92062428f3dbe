//! Compares what providers list by labels with what the store knows. What is of no runtime that is known is put aside, and
//! removed when it was so for a grace: a home never by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contracts::{ErrorCode, InstallationId, Problem, ProviderName, RuntimeId};
use futures_util::future::join_all;
use jiff::Timestamp;
use provider_api::{Inventory, Provider, RuntimeRef};
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{provider_problem, stack_of_stray};
use crate::operations::remains;
use crate::reconcile::Repair;
use crate::store::{Store, Stray};
use crate::wiring::Providers;

/// What is left over waits for nobody, and a list of everything is a call that some vendors count.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// One of several orchestrators sweeps; another does when it has not come round for so long. One that ends gives it back.
const LEASE: Duration = EVERY;

/// A provider that does not come back keeps the others from nothing.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// The lease.
const SWEEPER: &str = "sweeper";

pub struct Sweeper {
    pub store: Store,
    pub providers: Providers,
    pub installation: InstallationId,
    pub repair: Repair,
    /// How long what nobody knows is left alone.
    pub grace: Duration,
    /// Rounds and lease are so many times shorter.
    pub hurry: u32,
    /// Of this process, among those that share the store.
    pub name: String,
}

impl Sweeper {
    /// Goes round for ever; ends when dropped. Whatever happens in a round, there is a next one.
    pub async fn run(self: Arc<Self>) {
        loop {
            let this = Arc::clone(&self);
            let pause = match AbortOnDropHandle::new(tokio::spawn(async move { this.turn().await })).await {
                Ok(Ok(pause)) => pause,
                Ok(Err(problem)) => {
                    tracing::warn!(%problem, "sweep");
                    EVERY / self.hurry
                }
                Err(panic) => {
                    tracing::error!(%panic, "sweep");
                    EVERY / self.hurry
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// A round, where nobody else goes round. How long it is until the next.
    pub async fn turn(self: &Arc<Self>) -> Result<Duration, Problem> {
        let usual = EVERY / self.hurry;
        if !self.store.is_alone()
            && self.store.lease(SWEEPER, &self.name, LEASE / self.hurry).await?.is_none()
        {
            return Ok(usual);
        }
        self.round().await;
        let (strays, now) = (self.store.strays().await?, self.store.clock().await?);
        let due = strays
            .iter()
            .filter(|stray| !stray.object.stays_with_home())
            .map(|stray| self.due(stray.first_seen));
        // What was due and is there all the same waits for the usual round.
        let first = due.filter_map(|due| Duration::try_from(due.duration_since(now)).ok()).min();
        Ok(first.unwrap_or(usual).clamp(Duration::from_secs(1), usual))
    }

    /// Each provider by itself, and side by side.
    pub async fn round(self: &Arc<Self>) {
        let sweeps = self.providers.all().cloned().map(|provider| {
            let (this, name) = (Arc::clone(self), provider.describe().name);
            let of = async move { tokio::time::timeout(LIMIT, this.sweep(provider.as_ref())).await };
            let of = AbortOnDropHandle::new(tokio::spawn(of));
            async move { (name, of.await) }
        });
        for (provider, swept) in join_all(sweeps).await {
            match swept {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(problem))) => tracing::warn!(%provider, %problem, "sweep"),
                Ok(Err(_)) => tracing::warn!(%provider, "the sweep did not come to its end within {LIMIT:?}"),
                Err(panic) => tracing::error!(%provider, %panic, "sweep"),
            }
        }
    }

    async fn sweep(&self, provider: &dyn Provider) -> Result<(), Problem> {
        let (name, Some(inventory)) = (provider.describe().name, provider.inventory()) else { return Ok(()) };
        if !self.look(&name, inventory.as_ref()).await? || self.repair == Repair::Report {
            return Ok(());
        }
        let (strays, now) = (self.store.strays().await?, self.store.clock().await?);
        let mut removed = false;
        for (runtime, strays) in by_runtime(strays.iter().filter(|stray| stray.provider == name)) {
            // Whoever knew the runtime would have had all of it, so it is nobody's since the first was seen.
            let is_due =
                strays.iter().map(|stray| self.due(stray.first_seen)).min().is_some_and(|due| due <= now);
            let names: Vec<String> = strays
                .iter()
                .filter(|stray| !stray.object.stays_with_home())
                .map(|stray| named(stray))
                .collect();
            if !is_due || names.is_empty() || self.store.known().await?.contains(runtime.as_str()) {
                continue;
            }
            removed = true;
            match self.remove(provider, inventory.as_ref(), runtime).await {
                Ok(()) => {
                    let since = strays[0].first_seen;
                    tracing::warn!(provider = %name, %runtime, objects = %names.join(", "), %since, "removed what nobody knew");
                }
                Err(problem) => {
                    tracing::warn!(provider = %name, %runtime, objects = %names.join(", "), %problem, "what nobody knows stays for now");
                }
            }
        }
        if removed {
            self.look(&name, inventory.as_ref()).await?;
        }
        Ok(())
    }

    /// Puts aside what nobody knows; false where the provider does not say what there is.
    async fn look(&self, provider: &ProviderName, inventory: &dyn Inventory) -> Result<bool, Problem> {
        // What is deleted meanwhile is known before, and what is made meanwhile afterwards.
        let known = self.store.known().await?;
        let mut listed = match inventory.list_installation(&self.installation).await {
            Ok(listed) => listed,
            // Of one that nobody has configured this is so in every round.
            Err(error) => {
                tracing::debug!(%provider, %error, "nothing is known of what it has");
                return Ok(false);
            }
        };
        listed.retain(|object| !known.contains(object.runtime_id.as_str()));
        for object in self.store.keep_strays(provider, listed).await? {
            let (runtime, home) = (&object.runtime_id, object.stays_with_home());
            let (kind, id) = (&object.kind, &object.id);
            tracing::warn!(%provider, %runtime, kind, id, home, "found what is of no workspace that is known");
        }
        let strays = self.store.strays().await?;
        crate::metrics::strays(provider, strays.iter().filter(|stray| stray.provider == *provider).count());
        Ok(true)
    }

    async fn remove(
        &self,
        provider: &dyn Provider,
        inventory: &dyn Inventory,
        runtime: &RuntimeId,
    ) -> Result<(), Problem> {
        let runtime = RuntimeRef::new(runtime.clone(), self.installation.clone());
        let stack = stack_of_stray(provider, &runtime)?;
        remains::delete(provider, &stack, &stack.protected(), None).await?;
        let left = inventory.list_runtime(&runtime).await.map_err(provider_problem)?;
        let left: BTreeSet<&str> =
            left.iter().filter(|object| !object.stays_with_home()).map(|object| object.id.as_str()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let left: Vec<&str> = left.into_iter().collect();
        let detail = format!("These objects could not be deleted: {}.", left.join(", "));
        Err(Problem::new(ErrorCode::ProviderFailed, detail).with_action("Remove them at the provider."))
    }

    fn due(&self, first_seen: Timestamp) -> Timestamp {
        due(first_seen, self.grace)
    }
}

/// When what was first seen then may be removed.
pub fn due(first_seen: Timestamp, grace: Duration) -> Timestamp {
    first_seen.saturating_add(grace).unwrap_or(Timestamp::MAX)
}

fn by_runtime<'a>(strays: impl Iterator<Item = &'a Stray>) -> BTreeMap<&'a RuntimeId, Vec<&'a Stray>> {
    let mut runtimes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for stray in strays {
        runtimes.entry(&stray.object.runtime_id).or_default().push(stray);
    }
    runtimes
}

fn named(stray: &Stray) -> String {
    format!("{} {}", stray.object.kind, stray.object.id)
}

#[cfg(test)]
mod tests;
