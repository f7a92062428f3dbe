//! `<data>/endpoints.json`: where the server of a data folder listens, written by `serve` and read by
//! every other command, so that a server on other ports needs no flags.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Url>,
    pub pid: u32,
}

impl Endpoints {
    /// `None` when there is none that can be read: then the defaults of NETWORK.yml are tried.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(data)).ok()?).ok()
    }

    /// Written beside and renamed, so that a reader sees all of it or the one before.
    pub fn write(&self, data: &Path) -> std::io::Result<()> {
        let fresh = path(data).with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)?;
        std::fs::rename(fresh, path(data))
    }

    /// Removes the file of this very server; another's is left.
    pub fn remove(&self, data: &Path) {
        if Self::read(data).as_ref() == Some(self) {
            let _ = std::fs::remove_file(path(data));
        }
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("endpoints.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_wrote_is_found_and_removed_by_it_alone() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Endpoints::read(data.path()), None);
        let mine = Endpoints { orchestrator: "http://127.0.0.1:1".parse().ok(), gateway: None, pid: 1 };
        mine.write(data.path()).unwrap();
        assert_eq!(Endpoints::read(data.path()), Some(mine.clone()));
        Endpoints { pid: 2, ..mine.clone() }.remove(data.path());
        assert!(Endpoints::read(data.path()).is_some());
        mine.remove(data.path());
        assert_eq!(Endpoints::read(data.path()), None);
    }
}
