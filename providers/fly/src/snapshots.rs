//! Snapshots of home volumes, as Fly takes and keeps them.
//!
//! Fly takes them by itself too, keeps each for the volume's days of retention, and lets nobody remove one. An order names
//! nothing, so the machine's metadata says for which key a snapshot was ordered, and behind which one it came: who repeats a
//! take that was cut off finds what came since.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use jiff::SignedDuration;
use provider_api::{ProviderError, Result, RuntimeRef, Snapshot, Snapshots, Take};
use serde_json::json;
use tokio::time::{Instant as Deadline, sleep};

use crate::failure::error;
use crate::instance::Instance;
use crate::lifecycle::FlyLifecycle;
use crate::volume::homes;
use crate::wire;

/// Before a key, in the metadata.
const ORDERED: &str = "pilot_snapshot_";
/// The value while none is known: behind the newest one of then.
const BEHIND: &str = "behind:";
const PAUSE: Duration = Duration::from_millis(500);

impl FlyLifecycle {
    /// The app and the home volume of a runtime that is ours.
    async fn home(&self, runtime: &RuntimeRef) -> Result<(String, wire::Volume)> {
        self.find_home(runtime).await?.ok_or_else(|| {
            let message = format!("{} has no volume at Fly", runtime.runtime_id);
            ProviderError::new(ErrorCode::ProviderFailed, message)
                .with_action("`pilot ws start NAME` makes the workspace again from its stack.")
        })
    }

    /// The same, where there is one.
    pub(crate) async fn find_home(&self, runtime: &RuntimeRef) -> Result<Option<(String, wire::Volume)>> {
        let app = Instance::new(&self.fly, runtime).app;
        let mut homes = match self.fly.app_is_ours(runtime).await? {
            true => homes(
                self.fly.client()?.volumes(&app).await.map_err(|failure| error(failure, "list volumes"))?,
            ),
            false => Vec::new(),
        };
        Ok((!homes.is_empty()).then(|| (app, homes.swap_remove(0))))
    }

    /// The newest first.
    pub(crate) async fn snapshots_of(&self, app: &str, volume: &wire::Volume) -> Result<Vec<wire::Snapshot>> {
        let listed = self.fly.client()?.snapshots(app, &volume.id).await;
        let mut listed = listed.map_err(|failure| error(failure, "list the snapshots"))?;
        listed.retain(|snapshot| created(snapshot).is_some());
        listed.sort_by_key(|snapshot| std::cmp::Reverse(created(snapshot)));
        Ok(listed)
    }

    /// By Fly's id, the keys under which snapshots were taken.
    pub(crate) async fn keys(&self, runtime: &RuntimeRef) -> Result<BTreeMap<String, String>> {
        let machine = Instance::new(&self.fly, runtime).find().await?;
        let metadata = machine.map(|machine| machine.metadata()).unwrap_or_default();
        let key = |(name, id): (String, String)| {
            let key = name.strip_prefix(ORDERED)?;
            (!id.starts_with(BEHIND)).then(|| (id, key.to_owned()))
        };
        Ok(metadata.into_iter().filter_map(key).collect())
    }

    async fn remember(&self, instance: &Instance<'_>, key: &str, value: &str) -> Result<()> {
        let machine = instance.must_find().await?;
        let metadata = json!({ format!("{ORDERED}{key}"): value });
        let patched = self.fly.client()?.patch_metadata(&instance.app, &machine, metadata).await;
        patched.map_err(|failure| error(failure, "remember the snapshot at the machine"))
    }
}

#[async_trait]
impl Snapshots for FlyLifecycle {
    async fn take(&self, runtime: &RuntimeRef, take: &Take) -> Result<Snapshot> {
        let instance = Instance::new(&self.fly, runtime);
        let (app, volume) = self.home(runtime).await?;
        let machine = instance.must_find().await?;
        instance.pass(&machine).await?;
        let before = self.snapshots_of(&app, &volume).await?;
        let ordered = machine.metadata().get(&format!("{ORDERED}{}", take.key)).cloned();
        let behind = match ordered.as_deref().map(|value| (value, value.strip_prefix(BEHIND))) {
            Some((_, Some(behind))) => behind.to_owned(),
            Some((id, None)) => {
                if let Some(found) = before.iter().find(|snapshot| snapshot.id == id) {
                    return Ok(told(found, Some(&take.key)));
                }
                // Fly keeps it no longer.
                before.first().map(|newest| newest.id.clone()).unwrap_or_default()
            }
            None => before.first().map(|newest| newest.id.clone()).unwrap_or_default(),
        };
        let mut found = ordered.is_some().then(|| since(&before, &behind)).flatten();
        if found.is_none() {
            self.remember(&instance, &take.key, &format!("{BEHIND}{behind}")).await?;
            let taken = self.fly.client()?.take_snapshot(&app, &volume.id).await;
            taken.map_err(|failure| error(failure, "take a snapshot"))?;
        }
        // Fly's answer has no body that one can rely on, and what it has begun is listed when it is there.
        let deadline = Deadline::now() + self.fly.timing.settle;
        loop {
            if let Some(found) = found {
                self.remember(&instance, &take.key, &found.id).await?;
                return Ok(told(&found, Some(&take.key)));
            }
            if Deadline::now() > deadline {
                let message = format!("a snapshot of {} was ordered and is not listed yet", volume.id);
                return Err(ProviderError::unknown(ErrorCode::ProviderTimeout, message)
                    .with_action("List the snapshots in a minute."));
            }
            sleep(PAUSE.min(self.fly.timing.settle / 10)).await;
            found = since(&self.snapshots_of(&app, &volume).await?, &behind);
        }
    }

    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>> {
        let (app, volume) = self.home(runtime).await?;
        let keys = self.keys(runtime).await?;
        let listed = self.snapshots_of(&app, &volume).await?;
        Ok(listed.iter().map(|snapshot| told(snapshot, keys.get(&snapshot.id))).collect())
    }

    async fn remove(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        let (app, volume) = self.home(runtime).await?;
        let (listed, keys) = (self.snapshots_of(&app, &volume).await?, self.keys(runtime).await?);
        let is_it = |snapshot: &&wire::Snapshot| {
            snapshot.id == id || keys.get(&snapshot.id).is_some_and(|key| key == id)
        };
        let Some(found) = listed.iter().find(is_it) else { return Ok(()) };
        let until = told(found, None).until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
        let message = format!("Fly lets nobody remove a snapshot: it keeps {id}{until}, and removes it then");
        Err(ProviderError::new(ErrorCode::CapabilityUnsupported, message)
            .with_action("Nothing to do: Fly removes it by itself."))
    }

    /// A machine stays with its volume, so another volume would be another machine.
    fn restores(&self) -> bool {
        false
    }
}

/// The oldest of those that are newer than `behind`; the newest first in, and all of them where that is not there.
fn since(listed: &[wire::Snapshot], behind: &str) -> Option<wire::Snapshot> {
    listed.iter().take_while(|snapshot| snapshot.id != behind).last().cloned()
}

fn created(snapshot: &wire::Snapshot) -> Option<jiff::Timestamp> {
    snapshot.created_at.parse().ok()
}

/// Fly does not take a name. What was taken under a key is called by that, as whoever took it knows it.
fn told(snapshot: &wire::Snapshot, key: Option<&String>) -> Snapshot {
    let created = created(snapshot).unwrap_or_default();
    let kept = snapshot.retention_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    Snapshot {
        id: key.unwrap_or(&snapshot.id).clone(),
        name: None,
        created,
        size: snapshot.size.filter(|size| *size > 0),
        until: kept.and_then(|kept| created.checked_add(kept).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_behind_another_is_the_oldest_of_those() {
        let listed: Vec<_> = ["vs_3", "vs_2", "vs_1"]
            .map(|id| wire::Snapshot { id: id.to_owned(), ..Default::default() })
            .into();
        let found = |behind: &str| since(&listed, behind).map(|found| found.id);
        assert_eq!(found("vs_3"), None);
        assert_eq!(found("vs_1").as_deref(), Some("vs_2"));
        assert_eq!(found("").as_deref(), Some("vs_1"), "there was none");
    }
}
