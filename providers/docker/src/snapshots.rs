//! Copies of homes as volumes.
//!
//! A snapshot is two volumes: one has the files, and an empty one, its *record*, says by its labels that they are whole. The
//! record is made last and removed first, since Docker writes labels once and cannot rename a volume. Both have the labels of
//! their runtime and go with its home.

use std::sync::Arc;

use async_trait::async_trait;
use bollard::models::Volume;
use contracts::ErrorCode;
use jiff::Timestamp;
use provider_api::{
    ProviderError, Result, RunStatus, RuntimeRef, Snapshot, Snapshots, Take, Told, no_snapshot,
};
use tokio_util::sync::CancellationToken;

use crate::container::{self, Machine};
use crate::copy::{self, Copy};
use crate::engine::Engine;
use crate::hosts::Hosts;
use crate::names::{self, Part};
use crate::{fence, lasting, registers, volume};

pub(crate) struct DockerSnapshots {
    pub hosts: Arc<Hosts>,
}

/// One write about the snapshots of a runtime, with the runtime's lock.
struct Work {
    hosts: Arc<Hosts>,
    engine: Arc<Engine>,
    runtime: RuntimeRef,
    told: Told,
    /// Nobody waits for it any more.
    given_up: CancellationToken,
}

impl DockerSnapshots {
    /// Does it in a task of its own, so that what was begun is brought to an end when nobody waits for it any more.
    async fn work<T, F>(
        &self,
        runtime: &RuntimeRef,
        told: &Told,
        work: impl FnOnce(Work) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        let lock = self.hosts.locks.lock(&runtime.runtime_id).await;
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let given_up = CancellationToken::new();
        let _guard = given_up.clone().drop_guard();
        let (hosts, runtime, told) = (self.hosts.clone(), runtime.clone(), told.clone());
        let task = tokio::spawn(async move {
            let done = work(Work { hosts, engine, runtime, told, given_up }).await;
            drop(lock);
            done
        });
        task.await.unwrap_or_else(|panic| {
            Err(ProviderError::unknown(ErrorCode::Internal, format!("the work on a snapshot ended: {panic}")))
        })
    }
}

impl Work {
    async fn pass(&self) -> Result<()> {
        must_own_home(&self.engine, &self.runtime).await?;
        let home = names::volume_name(&self.runtime.runtime_id);
        fence::pass(&self.engine, &self.runtime, ("volume", &home), None).await
    }

    /// What the instance is made from, or instances usually are.
    async fn image(&self) -> Result<String> {
        let found = Machine::new(&self.engine, self.runtime.clone()).find().await?;
        Ok(found.and_then(|found| found.image).unwrap_or_else(|| self.hosts.config.image.clone()))
    }

    async fn take(&self, take: &Take) -> Result<Snapshot> {
        self.pass().await?;
        let volumes = registers::of(&self.engine, &self.runtime).await?;
        if let Some(found) = volumes.iter().filter_map(snapshot).find(|found| found.id == take.key) {
            return Ok(found);
        }
        self.settle().await?;
        // What was given up for good by a process that died.
        for half in volumes.iter().filter(|volume| is_half(volume, &volumes)) {
            copy::end(&self.engine, &self.runtime).await?;
            volume::remove(&self.engine, &half.name).await?;
        }
        let files = names::snapshot(&self.runtime.runtime_id, &take.key, Part::Files);
        let labels = names::snapshot_labels(&self.runtime, &take.key);
        let kept = lasting::make_home(&self.engine, "make room for the copy", &files, labels.clone()).await?;
        names::must_own("volume", &files, &kept.labels, &self.runtime)?;
        let size = match self.copy_still(&files).await {
            Ok(size) => size,
            Err(error) => {
                copy::end(&self.engine, &self.runtime).await?;
                volume::remove(&self.engine, &files).await?;
                return Err(error);
            }
        };
        let record = names::snapshot(&self.runtime.runtime_id, &take.key, Part::Record);
        let mut labels = labels;
        labels.extend(names::record_labels(take.name.as_deref(), Timestamp::now(), size));
        registers::keep(&self.engine, &self.runtime, &record, labels).await?;
        let volumes = registers::of(&self.engine, &self.runtime).await?;
        let found = volumes.iter().filter_map(snapshot).find(|found| found.id == take.key);
        found.ok_or_else(|| no_snapshot(&self.runtime.runtime_id, &take.key))
    }

    /// Copies the home while nothing in it moves.
    async fn copy_still(&self, files: &str) -> Result<u64> {
        let home = names::volume_name(&self.runtime.runtime_id);
        let image = self.image().await?;
        let copy =
            Copy { runtime: &self.runtime, image: &image, from: Some(&home), to: files, way: &["take"] };
        copy.prepare(&self.engine).await?;
        let machine = Machine::new(&self.engine, self.runtime.clone());
        let runs = machine.find().await?.is_some_and(|found| container::status(&found) == RunStatus::Running);
        if runs {
            machine.suspend().await?;
        }
        let copied = self.unless_given_up(copy.run(&self.engine, &self.told)).await;
        if runs {
            machine.resume().await?;
        }
        copied
    }

    async fn unless_given_up<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.given_up.cancelled() => {
                Err(ProviderError::new(ErrorCode::Canceled, "the copy was given up, and nothing of it is kept"))
            }
        }
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.pass().await?;
        for part in [Part::Record, Part::Files] {
            let name = names::snapshot(&self.runtime.runtime_id, id, part);
            let volumes = registers::of(&self.engine, &self.runtime).await?;
            if volumes.iter().any(|volume| volume.name == name) {
                copy::end(&self.engine, &self.runtime).await?;
                volume::remove(&self.engine, &name).await?;
            }
        }
        Ok(())
    }

    /// While the instance goes on. It ends a copy that an earlier process has left, so it is not for who came later.
    async fn has_room(&self, id: &str) -> Result<()> {
        self.pass().await?;
        must_have(&self.engine, &self.runtime, id).await?;
        let home = names::volume_name(&self.runtime.runtime_id);
        let files = names::snapshot(&self.runtime.runtime_id, id, Part::Files);
        let way: &[&str] = match lasting::limit(&self.engine, &home).await? {
            Some(_) => &["room", "limited"],
            None => &["room"],
        };
        let image = self.image().await?;
        let look = Copy { runtime: &self.runtime, image: &image, from: Some(&files), to: &home, way };
        look.prepare(&self.engine).await?;
        self.unless_given_up(look.run(&self.engine, &Told::nobody())).await.map(drop)
    }

    async fn restore(&self, id: &str) -> Result<()> {
        self.pass().await?;
        self.settle().await?;
        must_have(&self.engine, &self.runtime, id).await?;
        let machine = Machine::new(&self.engine, self.runtime.clone());
        if let Some(found) = machine.find().await? {
            let status = container::status(&found);
            if matches!(status, RunStatus::Running | RunStatus::Suspended) {
                let message =
                    format!("the container {} is not stopped, so its home stays as it is", machine.name());
                return Err(ProviderError::new(ErrorCode::OperationInProgress, message)
                    .with_action("Stop the workspace first."));
            }
        }
        let home = names::volume_name(&self.runtime.runtime_id);
        let (files, image) =
            (names::snapshot(&self.runtime.runtime_id, id, Part::Files), self.image().await?);
        let copy = |from, way| Copy { runtime: &self.runtime, image: &image, from, to: &home, way };
        let fill = copy(Some(&files), &["fill"]);
        fill.prepare(&self.engine).await?;
        if let Err(error) = self.unless_given_up(fill.run(&self.engine, &self.told)).await {
            let clear = copy(None, &["clear"]);
            clear.prepare(&self.engine).await?;
            clear.run(&self.engine, &Told::nobody()).await?;
            return Err(error);
        }
        // From here on it is brought to its end, by whoever comes next if not by this process.
        let mark = names::restoring(&self.runtime.runtime_id);
        let labels = names::snapshot_labels(&self.runtime, id);
        registers::keep(&self.engine, &self.runtime, &mark, labels).await?;
        self.settle().await
    }

    async fn settle(&self) -> Result<()> {
        settle(&self.engine, &self.runtime, || self.image()).await
    }
}

/// Finishes a restore that was cut off after its copy was whole.
pub(crate) async fn settle<F: Future<Output = Result<String>>>(
    engine: &Engine,
    runtime: &RuntimeRef,
    image: impl FnOnce() -> F,
) -> Result<()> {
    let mark = names::restoring(&runtime.runtime_id);
    if !registers::of(engine, runtime).await?.iter().any(|volume| volume.name == mark) {
        return Ok(());
    }
    let (home, image) = (names::volume_name(&runtime.runtime_id), image().await?);
    let swap = Copy { runtime, image: &image, from: None, to: &home, way: &["swap"] };
    swap.prepare(engine).await?;
    swap.run(engine, &Told::nobody()).await?;
    volume::remove(engine, &mark).await
}

/// Whether a volume is of a snapshot, or of the work on one.
pub(crate) fn is_part(volume: &Volume) -> bool {
    names::snapshot_key(&volume.labels).is_some()
}

/// Removes all snapshots of a runtime, whole ones and others, with the work on them, from among its volumes.
pub(crate) async fn remove_all(
    engine: &Engine,
    runtime: &RuntimeRef,
    volumes: &mut Vec<Volume>,
) -> Result<()> {
    let mut parts: Vec<Volume> = volumes.extract_if(.., |volume| is_part(volume)).collect();
    // Records first: what is half removed is not whole.
    parts.sort_by_key(|volume| snapshot(volume).is_none());
    for part in parts {
        volume::remove_copied(engine, &part.name, runtime).await?;
    }
    Ok(())
}

/// An error unless the runtime has this snapshot, whole, on this host.
pub(crate) async fn must_have(engine: &Engine, runtime: &RuntimeRef, id: &str) -> Result<()> {
    let volumes = registers::of(engine, runtime).await?;
    let found = volumes.iter().filter_map(snapshot).any(|found| found.id == id);
    found.then_some(()).ok_or_else(|| no_snapshot(&runtime.runtime_id, id))
}

async fn must_own_home(engine: &Engine, runtime: &RuntimeRef) -> Result<()> {
    let home = names::volume_name(&runtime.runtime_id);
    let all = registers::all(engine, &runtime.runtime_id).await?;
    let found = all.iter().find(|volume| volume.name == home);
    found.map_or(Ok(()), |found| names::must_own("volume", &home, &found.labels, runtime))
}

/// What a record says; `None` of any other volume.
fn snapshot(volume: &Volume) -> Option<Snapshot> {
    let text = |name: &str| volume.labels.get(name).map(String::as_str);
    Some(Snapshot {
        created: text(names::SNAPSHOT_CREATED)?.parse().ok()?,
        id: names::snapshot_key(&volume.labels)?.to_owned(),
        name: text(names::SNAPSHOT_NAME).map(str::to_owned),
        size: text(names::SNAPSHOT_BYTES).and_then(|bytes| bytes.parse().ok()),
        until: None,
    })
}

/// Files without a record.
fn is_half(volume: &Volume, all: &[Volume]) -> bool {
    let Some(key) = names::snapshot_key(&volume.labels) else { return false };
    let is_files = names::owner(&volume.labels)
        .is_some_and(|owner| volume.name == names::snapshot(&owner.runtime_id, key, Part::Files));
    is_files && !all.iter().filter_map(snapshot).any(|whole| whole.id == key)
}

#[async_trait]
impl Snapshots for DockerSnapshots {
    async fn take(&self, runtime: &RuntimeRef, take: &Take) -> Result<Snapshot> {
        let asked = take.clone();
        self.work(runtime, &take.told, |work| async move { work.take(&asked).await }).await
    }

    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        must_own_home(&engine, runtime).await?;
        let mut listed: Vec<_> = registers::of(&engine, runtime).await?.iter().filter_map(snapshot).collect();
        listed.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created));
        Ok(listed)
    }

    async fn remove(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.work(runtime, &Told::nobody(), |work| async move { work.remove(&id).await }).await
    }

    async fn has_room(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.work(runtime, &Told::nobody(), |work| async move { work.has_room(&id).await }).await
    }

    async fn restore(&self, runtime: &RuntimeRef, id: &str, told: &Told) -> Result<()> {
        let id = id.to_owned();
        self.work(runtime, told, |work| async move { work.restore(&id).await }).await
    }
}
