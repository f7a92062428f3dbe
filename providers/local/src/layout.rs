//! Where a runtime's files are, and whose they are.
//!
//! ```text
//! <root>/<runtime>/owner.json      which installation owns the folder, and the highest fence; written
//!                                  first, removed last
//! <root>/<runtime>/home/           the instance's home: the only user data
//! <root>/<runtime>/snapshots/      copies of it, each whole once its `snapshot.json` is there
//! <root>/<runtime>/process.json    the definition from which the process is started
//! <root>/<runtime>/instance.log
//! <root>/ports/<port>              a claim
//! <root>/locks/<runtime>
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::{ProviderError, Result, RuntimeRef};
use provider_kit::owner::Object;
use serde::{Deserialize, Serialize};

use crate::files::{self, unusable};

const MARKER: &str = "owner.json";

/// In the folder of a runtime.
pub(crate) const HOME: &str = "home";

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// The content of a marker file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    #[serde(flatten)]
    pub owner: Owner,
    pub generation: u64,
    /// The highest that the runtime has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
}

/// Whose something is; the content of a port claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub installation: InstallationId,
    pub runtime: RuntimeId,
}

impl From<&RuntimeRef> for Owner {
    fn from(runtime: &RuntimeRef) -> Self {
        Self { installation: runtime.installation.clone(), runtime: runtime.runtime_id.clone() }
    }
}

/// A runtime folder of another installation is an error, not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folder {
    Absent,
    /// Made or half removed by us, with nothing in it.
    Blank,
    Ours,
}

impl Layout {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn folder(&self, runtime: &RuntimeId) -> PathBuf {
        self.root.join(runtime.as_str())
    }

    pub fn home(&self, runtime: &RuntimeId) -> PathBuf {
        self.folder(runtime).join(HOME)
    }

    pub fn definition(&self, runtime: &RuntimeId) -> PathBuf {
        self.folder(runtime).join("process.json")
    }

    pub fn log(&self, runtime: &RuntimeId) -> PathBuf {
        self.folder(runtime).join("instance.log")
    }

    pub fn marker(&self, runtime: &RuntimeId) -> PathBuf {
        self.folder(runtime).join(MARKER)
    }

    pub fn read_marker(&self, runtime: &RuntimeId) -> Result<Option<Marker>> {
        files::read_json(&self.marker(runtime))
    }

    /// Passes unless a newer generation owns the folder. Call with the runtime's lock held.
    pub fn must_be_newest(&self, runtime: &RuntimeId, generation: u64) -> Result<()> {
        let Some(marker) = self.read_marker(runtime)? else { return Ok(()) };
        let name = self.folder(runtime).display().to_string();
        directory(&name).must_be_newest(generation, marker.generation)
    }

    /// Passes unless the runtime has seen a higher fence, and keeps one that is higher than all before. Call
    /// with the runtime's lock held, before anything is changed: then nothing comes between.
    pub fn pass(&self, runtime: &RuntimeRef) -> Result<()> {
        let Some(marker) = self.read_marker(&runtime.runtime_id)? else { return Ok(()) };
        let name = self.folder(&runtime.runtime_id).display().to_string();
        directory(&name).must_not_be_late(runtime.fence, marker.fence)?;
        if runtime.fence <= marker.fence {
            return Ok(());
        }
        let marker = Marker { fence: runtime.fence, ..marker };
        files::write_json(&self.marker(&runtime.runtime_id), &marker)
    }

    pub fn ports(&self) -> PathBuf {
        self.root.join("ports")
    }

    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// Whose the runtime's folder is.
    pub fn look(&self, runtime: &RuntimeRef) -> Result<Folder> {
        let folder = self.folder(&runtime.runtime_id);
        if let Some(Marker { owner, .. }) = self.read_marker(&runtime.runtime_id)? {
            let found = RuntimeRef::new(owner.runtime, owner.installation);
            directory(&folder.display().to_string()).must_be_of(runtime, Some(&found))?;
            return Ok(Folder::Ours);
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Folder::Absent),
            Err(error) => return Err(unusable("read", &folder, &error)),
        };
        // A crash may have left the marker's temporary file, which is ours beyond doubt.
        let mut others =
            entries.flatten().filter(|entry| entry.file_name() != files::temporary_name(MARKER).as_str());
        match others.next() {
            None => Ok(Folder::Blank),
            Some(_) => Err(unmarked(&folder)),
        }
    }

    /// Runtime folders of an installation, in order.
    pub fn owned(&self, installation: &InstallationId) -> Result<Vec<RuntimeId>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unusable("read", &self.root, &error)),
        };
        let mut runtimes = Vec::new();
        for entry in entries.flatten() {
            let Some(runtime) = entry.file_name().to_str().and_then(|name| name.parse::<RuntimeId>().ok())
            else {
                continue;
            };
            let marker = self.read_marker(&runtime)?;
            if marker.is_some_and(|marker| marker.owner.installation == *installation) {
                runtimes.push(runtime);
            }
        }
        runtimes.sort();
        Ok(runtimes)
    }
}

/// As people are told of it.
fn directory(name: &str) -> Object<'_> {
    let removal =
        |_: &str, name: &str| format!("Give each installation its own data folder, or move {name} away");
    Object { kind: "directory", name, removal }
}

fn unmarked(folder: &Path) -> ProviderError {
    let message = format!(
        "{} has files but no {MARKER}, so Pilot did not make it and does not touch it",
        folder.display()
    );
    ProviderError::new(ErrorCode::ForeignObject, message).with_action("Move the folder away and try again.")
}
