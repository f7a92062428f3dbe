//! What all parts of the simulator share: the objects, the journal, the faults and what was asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use tokio::sync::{Notify, watch};

use crate::error::{Answer, Refusal};
use crate::faults::Faults;
use crate::journal::{self, Event, Journal, OnDisk};
use crate::limits::Limits;
use crate::runner::Runner;
use crate::secrets::Secrets;
use crate::seen::Seen;
use crate::settings::Settings;
use crate::world::{Object, World};

pub struct Core {
    pub settings: Settings,
    pub faults: Faults,
    pub limits: Limits,
    pub seen: Seen,
    pub secrets: Secrets,
    pub runner: Arc<dyn Runner>,
    /// Whether machines that are starting stay so.
    pub boots_wait: watch::Sender<bool>,
    /// Whether files are written before volumes are mounted, and those below a mount's path are under the volume then.
    pub mounts_hide_files: AtomicBool,
    shared: Mutex<Shared>,
    on_disk: OnDisk,
    /// Wakes those who wait for a machine's state.
    notices: Mutex<HashMap<String, Arc<Notify>>>,
}

struct Shared {
    world: World,
    journal: Journal,
}

/// One change of the objects. What is noted goes to the journal in this order.
pub struct Change<'a> {
    pub world: &'a mut World,
    journal: &'a mut Journal,
    last: Option<u64>,
    touched: Vec<String>,
}

impl Core {
    /// Opens the folder, with the objects of the journal that is there.
    ///
    /// # Errors
    /// When the folder cannot be used or holds a journal that is none.
    pub fn open(settings: Settings, runner: Arc<dyn Runner>) -> std::io::Result<Self> {
        std::fs::create_dir_all(&settings.folder)?;
        let path = settings.folder.join(journal::FILE);
        let mut world = World::default();
        let mut last = 0;
        for entry in journal::read(&path)? {
            last = entry.number;
            match entry.event {
                Event::Gone => world.remove(entry.kind(), &entry.id),
                _ => world.restore(entry.object),
            }
        }
        let journal = Journal::open(&path, last)?;
        let on_disk = journal.on_disk();
        Ok(Self {
            faults: Faults::default(),
            limits: Limits::new(settings.rate_limits),
            seen: Seen::default(),
            secrets: Secrets::new(settings.folder.join("secrets")),
            runner,
            boots_wait: watch::Sender::default(),
            mounts_hide_files: AtomicBool::default(),
            shared: Mutex::new(Shared { world, journal }),
            on_disk,
            notices: Mutex::default(),
            settings,
        })
    }

    /// Reads the objects. `look` must be quick: everybody waits for it.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.shared().world)
    }

    /// Returns when all that was noted so far is on the disk, or never will be.
    pub async fn settled(&self) {
        let last = self.shared().journal.last();
        self.on_disk.clone().wait(last).await;
    }

    /// Changes the objects, and returns when the journal has it on the disk.
    ///
    /// # Errors
    /// What `change` refuses; nothing must be noted before a refusal.
    pub async fn change<T>(&self, change: impl FnOnce(&mut Change<'_>) -> Answer<T>) -> Answer<T> {
        let (answer, last, touched) = {
            let mut shared = self.shared();
            let Shared { world, journal } = &mut *shared;
            let mut changing = Change { world, journal, last: None, touched: Vec::new() };
            let answer = change(&mut changing);
            (answer, changing.last, changing.touched)
        };
        if let Some(last) = last
            && !self.on_disk.clone().wait(last).await
        {
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the journal cannot be written"));
        }
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in touched.iter().filter_map(|id| notices.get(id)) {
            notice.notify_waiters();
        }
        answer
    }

    /// Wakes at every change of a machine.
    pub fn notice(&self, machine: &str) -> Arc<Notify> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.entry(machine.to_owned()).or_default().clone()
    }

    pub fn forget_notice(&self, machine: &str) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).remove(machine);
    }

    /// The folder behind a volume or a snapshot.
    pub fn volume_folder(&self, id: &str) -> PathBuf {
        self.settings.folder.join("volumes").join(id)
    }

    pub fn snapshot_folder(&self, id: &str) -> PathBuf {
        self.settings.folder.join("snapshots").join(id)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change<'_> {
    pub fn note_app(&mut self, event: Event, name: &str) {
        if let Some(app) = self.world.apps.get(name).cloned() {
            self.note(event, Object::App(app));
        }
    }

    pub fn note_machine(&mut self, event: Event, id: &str) {
        if let Some(machine) = self.world.machines.get(id).cloned() {
            self.touched.push(id.to_owned());
            self.note(event, Object::Machine(machine));
        }
    }

    pub fn note_volume(&mut self, event: Event, id: &str) {
        if let Some(volume) = self.world.volumes.get(id).cloned() {
            self.note(event, Object::Volume(volume));
        }
    }

    fn note(&mut self, event: Event, object: Object) {
        self.last = Some(self.journal.append(event, object));
    }
}
