//! Commands inside an instance, snapshots of its home, and what it is made from.

use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{Exec, Executed, Images, ProviderError, Result, RuntimeRef, Snapshot, Snapshots};

use crate::failure::error;
use crate::instance::Instance;
use crate::lifecycle::FlyLifecycle;
use crate::volume::homes;
use crate::wire;

const LONGEST_COMMAND: Duration = Duration::from_secs(30);
/// What a shell says of a program that a signal ended.
const BY_SIGNAL: i32 = 128;

#[async_trait]
impl Exec for FlyLifecycle {
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed> {
        if limit > LONGEST_COMMAND {
            let message =
                format!("Fly ends a command after {LONGEST_COMMAND:?}, so it cannot be given {limit:?}");
            return Err(ProviderError::new(ErrorCode::BadRequest, message).with_action(
                "Let a longer command go on in the background, and ask again for what it has done.",
            ));
        }
        let instance = Instance::new(&self.fly, runtime);
        let machine = instance.must_find().await?;
        let done = self.fly.client()?.exec(&instance.app, &machine.id, command, limit).await;
        let done = done.map_err(|failure| error(failure, "run the command"))?;
        let exit_code = if done.exit_signal > 0 { BY_SIGNAL + done.exit_signal } else { done.exit_code };
        Ok(Executed { exit_code, stdout: done.stdout.into(), stderr: done.stderr.into() })
    }
}

#[async_trait]
impl Images for FlyLifecycle {
    fn usual(&self) -> Result<String> {
        Ok(self.fly.settings.require("image")?.to_owned())
    }

    /// Fly looks when it makes the machine. A reference by digest is exact; a tag is looked up anew with each change.
    async fn look_up(&self, reference: &str) -> Result<Image> {
        Ok(Image::named(reference))
    }
}

impl FlyLifecycle {
    /// The app and the home volume of a runtime that is ours.
    async fn home(&self, runtime: &RuntimeRef) -> Result<(String, wire::Volume)> {
        let app = Instance::new(&self.fly, runtime).app;
        let mut homes = match self.fly.app_is_ours(runtime).await? {
            true => homes(
                self.fly.client()?.volumes(&app).await.map_err(|failure| error(failure, "list volumes"))?,
            ),
            false => Vec::new(),
        };
        if homes.is_empty() {
            let message = format!("{} has no volume at Fly", runtime.runtime_id);
            return Err(ProviderError::new(ErrorCode::ProviderFailed, message)
                .with_action("`pilot ws start NAME` makes the workspace again from its stack."));
        }
        Ok((app, homes.swap_remove(0)))
    }

    async fn snapshots_of(&self, app: &str, volume: &wire::Volume) -> Result<Vec<Snapshot>> {
        let listed = self.fly.client()?.snapshots(app, &volume.id).await;
        let mut snapshots: Vec<Snapshot> = listed
            .map_err(|failure| error(failure, "list the snapshots"))?
            .into_iter()
            .filter_map(|snapshot| {
                let created = snapshot.created_at.parse().ok()?;
                Some(Snapshot { id: snapshot.id, created, size: snapshot.size })
            })
            .collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created));
        Ok(snapshots)
    }
}

#[async_trait]
impl Snapshots for FlyLifecycle {
    async fn take(&self, runtime: &RuntimeRef) -> Result<Snapshot> {
        let (app, volume) = self.home(runtime).await?;
        let taken = self.fly.client()?.take_snapshot(&app, &volume.id).await;
        taken.map_err(|failure| error(failure, "take a snapshot"))?;
        // Fly's answer has no body that one can rely on.
        let newest = self.snapshots_of(&app, &volume).await?.into_iter().next();
        newest.ok_or_else(|| {
            let message = format!("a snapshot of {} was ordered and is not listed yet", volume.id);
            ProviderError::unknown(ErrorCode::ProviderTimeout, message)
                .with_action("List the snapshots in a minute.")
        })
    }

    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>> {
        let (app, volume) = self.home(runtime).await?;
        self.snapshots_of(&app, &volume).await
    }
}
