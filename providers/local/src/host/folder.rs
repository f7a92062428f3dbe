//! A runtime's folder with its home: made, changed, removed.

use std::path::PathBuf;

use provider_api::{ProviderError, Result, RuntimeRef};

use super::Host;
use crate::files;
use crate::layout::{Folder, Marker, Owner};

impl Host {
    /// Makes the folder and its home, or takes them over with a new generation.
    pub fn make_folder(&self, runtime: &RuntimeRef, generation: u64) -> Result<()> {
        let _lock = self.lock(runtime)?;
        self.layout.look(runtime)?;
        self.mark_folder(runtime, generation)?;
        files::make_folder(&self.layout.home(&runtime.runtime_id))
    }

    /// A new generation of what is there.
    pub fn change_folder(&self, runtime: &RuntimeRef, generation: u64) -> Result<()> {
        let folder = self.layout.folder(&runtime.runtime_id).display().to_string();
        let gone = || ProviderError::gone(("directory", &folder));
        // What is gone has no lock file and gets none here.
        self.folder(runtime)?.ok_or_else(gone)?;
        let _lock = self.lock(runtime)?;
        self.folder(runtime)?.ok_or_else(gone)?;
        self.mark_folder(runtime, generation)
    }

    /// Call with the lock held.
    fn mark_folder(&self, runtime: &RuntimeRef, generation: u64) -> Result<()> {
        self.layout.must_be_newest(&runtime.runtime_id, generation)?;
        self.layout.pass(runtime)?;
        let found = self.layout.read_marker(&runtime.runtime_id)?;
        let fence = found.as_ref().and_then(|found| found.fence).max(runtime.fence);
        let marker = Marker { owner: Owner::from(runtime), generation, fence };
        if found.as_ref() != Some(&marker) {
            files::make_folder(&self.layout.folder(&runtime.runtime_id))?;
            files::write_json(&self.layout.marker(&runtime.runtime_id), &marker)?;
        }
        Ok(())
    }

    /// The generation of a folder that is there with its home.
    pub fn folder(&self, runtime: &RuntimeRef) -> Result<Option<u64>> {
        let marker =
            if self.is_whole(runtime)? { self.layout.read_marker(&runtime.runtime_id)? } else { None };
        Ok(marker.map(|marker| marker.generation))
    }

    /// Whether the runtime's folder is there, with its home: without that there is nothing to start.
    pub(super) fn is_whole(&self, runtime: &RuntimeRef) -> Result<bool> {
        Ok(self.layout.look(runtime)? == Folder::Ours && self.layout.home(&runtime.runtime_id).is_dir())
    }

    /// Whatever runs stands still from here on.
    pub fn freeze(&self, runtime: &RuntimeRef) -> Result<()> {
        self.tree(runtime).freeze()
    }

    /// And goes on.
    pub fn thaw(&self, runtime: &RuntimeRef) -> Result<()> {
        self.tree(runtime).thaw();
        Ok(())
    }

    /// Also ends what still runs in it, so that no process is ever left without its folder.
    pub fn remove_folder(&self, runtime: &RuntimeRef, generation: u64) -> Result<()> {
        loop {
            let lock = self.lock(runtime)?;
            let folder = self.layout.look(runtime)?;
            self.layout.must_be_newest(&runtime.runtime_id, generation)?;
            self.layout.pass(runtime)?;
            self.end(runtime)?;
            let aside = if folder == Folder::Absent { Vec::new() } else { self.empty_folder(runtime)? };
            if aside.is_empty() {
                return lock.remove();
            }
            // As long as it takes, and nobody waits for it.
            drop(lock);
            aside.iter().try_for_each(|tree| files::remove_tree(tree))?;
        }
    }

    /// Removes all that a runtime's folder holds, its marker last: until then the folder is ours, and a
    /// delete that was broken off can go on. What has files in it is put aside under another name instead, and
    /// given to be removed first; call with the lock held, and again then.
    fn empty_folder(&self, runtime: &RuntimeRef) -> Result<Vec<PathBuf>> {
        let folder = self.layout.folder(&runtime.runtime_id);
        let marker = self.layout.marker(&runtime.runtime_id);
        let entries = std::fs::read_dir(&folder).map_err(|error| files::unusable("read", &folder, &error))?;
        let mut aside = Vec::new();
        for entry in entries.flatten().filter(|entry| entry.path() != marker) {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => aside.push(files::put_aside(&entry.path())?),
                false => files::remove_file(&entry.path())?,
            }
        }
        if aside.is_empty() {
            files::remove_file(&marker)?;
            files::remove_folder_if_empty(&folder)?;
        }
        Ok(aside)
    }
}
