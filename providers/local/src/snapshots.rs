//! Copies of homes as folders beside them: `<runtime>/snapshots/<key>/home`, whole once `snapshot.json` is there.
//!
//! What runs is stopped by signals for the time of the copy. A process that dies in between leaves it so; a take of whoever
//! goes on, and every start, lets it go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::ErrorCode;
use jiff::Timestamp;
use provider_api::{Copied, ProviderError, Result, RuntimeRef, Snapshot, Snapshots, Take, Told, no_snapshot};
use provider_kit::copies;
use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use crate::files::{self, unusable};
use crate::host::Host;
use crate::layout::Folder;
use crate::measure::{self, measure};

const RECORD: &str = "snapshot.json";
const PAUSE: Duration = Duration::from_millis(20);
/// See [`Take::key`].
const LONGEST_KEY: usize = 40;
/// What is said in the meantime.
const TELLS: Duration = Duration::from_secs(3);

pub(crate) struct LocalSnapshots {
    pub host: Arc<Host>,
}

/// What says that a copy is whole.
#[derive(Serialize, Deserialize)]
struct Record {
    name: Option<String>,
    created: Timestamp,
    size: u64,
}

/// True once nobody waits for a copy any more.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl LocalSnapshots {
    async fn work<T: Send + 'static>(
        &self,
        runtime: &RuntimeRef,
        work: impl FnOnce(&Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (runtime, waits) = (runtime.clone(), GivenUp::default());
        let given_up = Arc::clone(&waits.0);
        self.host
            .run(move |host| {
                if host.layout.look(&runtime)? != Folder::Ours {
                    return Err(gone(&runtime));
                }
                let _lock = host.lock(&runtime)?;
                host.layout.look(&runtime)?;
                host.layout.pass(&runtime)?;
                work(&Work { host, runtime: &runtime, given_up })
            })
            .await
    }
}

/// One write, with the lock of its runtime.
struct Work<'a> {
    host: &'a Arc<Host>,
    runtime: &'a RuntimeRef,
    given_up: Arc<AtomicBool>,
}

impl Work<'_> {
    fn take(&self, take: &Take) -> Result<Snapshot> {
        let folder = folder_of(self.host, self.runtime, &take.key)?;
        if let Some(found) = read(&folder, &take.key)? {
            self.host.thaw(self.runtime)?;
            return Ok(found);
        }
        // Also what a process that died has left half made, under whatever key.
        for half in halves(&snapshots_of(self.host, self.runtime))? {
            files::remove_tree(&half)?;
        }
        files::make_folder(&folder)?;
        self.host.freeze(self.runtime)?;
        let home = self.host.layout.home(&self.runtime.runtime_id);
        let copied = self.copy(&home, &folder.join("home"), &take.told);
        let thawed = self.host.thaw(self.runtime);
        let record = copied.and_then(|size| {
            let record = Record { name: take.name.clone(), created: Timestamp::now(), size };
            files::write_json(&folder.join(RECORD), &record)
        });
        if let Err(error) = record.and(thawed) {
            files::remove_tree(&folder)?;
            return Err(error);
        }
        read(&folder, &take.key)?.ok_or_else(|| no_snapshot(&self.runtime.runtime_id, &take.key))
    }

    fn restore(&self, id: &str, told: &Told) -> Result<()> {
        let folder = folder_of(self.host, self.runtime, id)?;
        read(&folder, id)?.ok_or_else(|| no_snapshot(&self.runtime.runtime_id, id))?;
        if self.host.leader(self.runtime).is_some() {
            let message = format!("{} runs, so its home stays as it is", self.runtime.runtime_id);
            return Err(ProviderError::new(ErrorCode::OperationInProgress, message)
                .with_action("Stop the workspace first."));
        }
        let home = self.host.layout.home(&self.runtime.runtime_id);
        // A copy that was cut off, or the home that one took the place of: of no more use in either case.
        let beside = home.with_file_name("restoring");
        files::remove_tree(&beside)?;
        if let Err(error) = self.copy(&folder.join("home"), &beside, told) {
            files::remove_tree(&beside)?;
            return Err(error);
        }
        // There is never none, and never a part of one.
        rustix::fs::renameat_with(CWD, &home, CWD, &beside, RenameFlags::EXCHANGE)
            .map_err(|error| unusable("exchange", &home, &error.into()))?;
        files::remove_tree(&beside)
    }

    /// How many bytes it has; an error where a path in it is longer than one of a snapshot can be.
    fn fits(&self, home: &Path) -> Result<u64> {
        let deepest = snapshots_of(self.host, self.runtime).join("k".repeat(LONGEST_KEY)).join("home");
        let most = copies::LONGEST_PATH.saturating_sub(deepest.as_os_str().len() + 1);
        let measured = measure(home, most);
        match measured.too_long {
            Some(path) => {
                let bytes = path.as_os_str().len();
                Err(copies::path_too_long(&path.to_string_lossy(), bytes, most))
            }
            None => Ok(measured.size),
        }
    }

    /// For a copy of the home as it is and one of the snapshot, where blocks are not shared.
    fn has_room(&self, id: &str) -> Result<()> {
        let folder = folder_of(self.host, self.runtime, id)?;
        read(&folder, id)?.ok_or_else(|| no_snapshot(&self.runtime.runtime_id, id))?;
        let home = self.host.layout.home(&self.runtime.runtime_id);
        let needed = self.fits(&home)? + self.fits(&folder.join("home"))?;
        let free = measure::free(&home);
        if needed <= free || measure::shares_blocks(&folder) {
            return Ok(());
        }
        Err(copies::no_room_to_restore("the disk of the data folder", needed, free))
    }

    /// How many bytes it has.
    fn copy(&self, from: &Path, to: &Path, told: &Told) -> Result<u64> {
        let (total, free) = (self.fits(from)?, measure::free(from));
        // Where blocks are shared, a copy takes no room.
        let reflink = if total > free { "--reflink=always" } else { "--reflink=auto" };
        let mut copy = Command::new("cp")
            .args(["-a", reflink, "-T", "--"])
            .args([from, to])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| unusable("copy", from, &error))?;
        let mut said = Instant::now();
        let status = loop {
            if let Some(status) = copy.try_wait().map_err(|error| unusable("copy", from, &error))? {
                break status;
            }
            if self.given_up.load(Ordering::Relaxed) {
                // It may have ended by itself meanwhile.
                let _ = copy.kill();
                let _ = copy.wait();
                let message = "the copy was given up, and nothing of it is kept";
                return Err(ProviderError::new(ErrorCode::Canceled, message));
            }
            if said.elapsed() > TELLS {
                said = Instant::now();
                told.tell(Copied { done: measure(to, usize::MAX).size, total });
            }
            std::thread::sleep(PAUSE);
        };
        if status.success() {
            return Ok(total);
        }
        if total > free {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let message = format!(
                "the disk of the data folder has no room for a copy: it needs {} MiB, and {} MiB are free",
                mib(total),
                mib(free)
            );
            return Err(ProviderError::new(ErrorCode::StoreFull, message)
                .with_action("Make room on that disk, or remove snapshots that nobody needs."));
        }
        let message = format!("`cp -a {} {}` ended with {status}", from.display(), to.display());
        Err(ProviderError::new(ErrorCode::ProviderFailed, message)
            .with_action("Run it by hand to see what it says, and try again when the cause is gone."))
    }
}

fn snapshots_of(host: &Host, runtime: &RuntimeRef) -> PathBuf {
    host.layout.folder(&runtime.runtime_id).join("snapshots")
}

/// A key is a part of a path.
fn folder_of(host: &Host, runtime: &RuntimeRef, key: &str) -> Result<PathBuf> {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match plain {
        true => Ok(snapshots_of(host, runtime).join(key)),
        false => Err(no_snapshot(&runtime.runtime_id, key)),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unusable("read", folder, &error)),
    }
}

fn halves(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| !path.join(RECORD).is_file()).collect())
}

/// `None` where it is not whole.
fn read(folder: &Path, id: &str) -> Result<Option<Snapshot>> {
    let record = files::read_json::<Record>(&folder.join(RECORD))?;
    Ok(record.map(|Record { name, created, size }| Snapshot {
        id: id.to_owned(),
        name,
        created,
        size: Some(size),
        until: None,
    }))
}

fn gone(runtime: &RuntimeRef) -> ProviderError {
    let message = format!("{} has no home on this machine", runtime.runtime_id);
    ProviderError::new(ErrorCode::ProviderFailed, message)
        .with_action("`pilot ws start NAME` makes the workspace again from its stack.")
}

#[async_trait]
impl Snapshots for LocalSnapshots {
    async fn take(&self, runtime: &RuntimeRef, take: &Take) -> Result<Snapshot> {
        let take = take.clone();
        self.work(runtime, move |work| work.take(&take)).await
    }

    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>> {
        let runtime = runtime.clone();
        self.host
            .run(move |host| {
                host.layout.look(&runtime)?;
                let mut listed = Vec::new();
                for path in entries(&snapshots_of(host, &runtime))? {
                    let Some(id) = path.file_name().and_then(|name| name.to_str()) else { continue };
                    listed.extend(read(&path, id)?);
                }
                listed.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created));
                Ok(listed)
            })
            .await
    }

    async fn remove(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.work(runtime, move |work| {
            let folder = folder_of(work.host, work.runtime, &id)?;
            // From here on it is not whole.
            files::remove_file(&folder.join(RECORD))?;
            files::remove_tree(&folder)
        })
        .await
    }

    async fn has_room(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        let (runtime, id) = (runtime.clone(), id.to_owned());
        self.host
            .run(move |host| {
                if host.layout.look(&runtime)? != Folder::Ours {
                    return Err(gone(&runtime));
                }
                Work { host, runtime: &runtime, given_up: Arc::default() }.has_room(&id)
            })
            .await
    }

    async fn restore(&self, runtime: &RuntimeRef, id: &str, told: &Told) -> Result<()> {
        let (id, told) = (id.to_owned(), told.clone());
        self.work(runtime, move |work| work.restore(&id, &told)).await
    }

    /// Sessions of OpenCode know their folder by its whole path, which is the runtime's own here: those of a fork would work
    /// in the files of the original.
    fn forks(&self) -> bool {
        false
    }
}
