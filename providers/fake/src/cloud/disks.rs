//! Copies of disks: what the cloud does at once, other vendors take their time for.

use jiff::Timestamp;
use serde_json::Value;

use super::acts::told;
use super::call::{From, Taken};
use super::{Answer, CloudError, Files, Objects, Phase};

impl Objects {
    pub(super) fn take_snapshot(&mut self, name: &str, id: String, title: Option<String>) -> Answer<Value> {
        let volume = self.volume(name)?;
        if let Some(found) = volume.snapshots.iter().find(|taken| taken.id == id) {
            return told(found);
        }
        let size = volume.files.values().map(|content| content.len() as u64).sum();
        let copy = Taken { id, title, created: Timestamp::now(), size, files: volume.files.clone() };
        volume.snapshots.push_front(copy.clone());
        told(copy)
    }

    pub(super) fn restore_snapshot(&mut self, name: &str, id: &str) -> Answer<Value> {
        if self.machines.values().any(|it| it.spec.volume == name && it.phase != Phase::Stopped) {
            return Err(CloudError::Refused(format!("the volume {name} is in use by a machine that runs")));
        }
        let files = self.snapshot(name, id)?.files.clone();
        self.volume(name)?.files = files;
        told(())
    }

    /// What a new disk begins with.
    pub(super) fn copied(&mut self, from: From) -> Answer<Files> {
        let mut files = self.snapshot(&from.volume, &from.snapshot)?.files.clone();
        let is_below = |path: &str, folder: &String| {
            path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        files.retain(|path, _| !from.without.iter().any(|left_out| is_below(path, left_out)));
        Ok(files)
    }

    fn snapshot(&mut self, volume: &str, id: &str) -> Answer<&Taken> {
        let found = self.volume(volume)?.snapshots.iter().find(|taken| taken.id == id);
        found.ok_or_else(|| CloudError::NotFound(format!("snapshot {id} of the volume {volume}")))
    }
}
