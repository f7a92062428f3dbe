//! `<data>/endpoints.json`: where the servers of a data folder listen, written by `serve` and read by
//! every other command, so that a server on other ports needs no flags.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::kept::Turn;

/// Orchestrator and gateway may be two processes, so each is published and withdrawn by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoints {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orchestrator: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Endpoint>,
    /// The orchestrator's metrics and liveness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub url: Url,
    pub pid: u32,
}

impl Endpoints {
    /// Empty when nothing was written that can be read: then the defaults of NETWORK.yml are tried.
    pub fn read(data: &Path) -> Self {
        let bytes = std::fs::read(path(data)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Whether the orchestrator that was written here runs: one that was killed could not withdraw it.
    pub fn is_running(&self) -> bool {
        let process = |at: &Endpoint| Path::new("/proc").join(at.pid.to_string()).exists();
        self.orchestrator.as_ref().is_some_and(process)
    }

    /// Adds what this process serves.
    pub fn publish(&self, data: &Path) -> std::io::Result<()> {
        let (turn, mut all) = Self::turn(data)?;
        all.orchestrator = self.orchestrator.clone().or(all.orchestrator);
        all.gateway = self.gateway.clone().or(all.gateway);
        all.admin = self.admin.clone().or(all.admin);
        turn.write(&all)
    }

    /// Takes out what this process served; another's stays.
    pub fn withdraw(&self, data: &Path) -> std::io::Result<()> {
        let (turn, mut all) = Self::turn(data)?;
        all.orchestrator = all.orchestrator.filter(|there| Some(there) != self.orchestrator.as_ref());
        all.gateway = all.gateway.filter(|there| Some(there) != self.gateway.as_ref());
        all.admin = all.admin.filter(|there| Some(there) != self.admin.as_ref());
        match all == Self::default() {
            true => turn.remove(),
            false => turn.write(&all),
        }
    }

    /// What is written now, and nobody else changes meanwhile.
    fn turn(data: &Path) -> std::io::Result<(Turn, Self)> {
        let turn = Turn::of(path(data))?;
        let all = Self::read(data);
        Ok((turn, all))
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("endpoints.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16, pid: u32) -> Option<Endpoint> {
        Some(Endpoint { url: format!("http://127.0.0.1:{port}").parse().unwrap(), pid })
    }

    #[test]
    fn two_processes_publish_and_withdraw_only_their_own() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Endpoints::read(data.path()), Endpoints::default());
        let orchestrator = Endpoints { orchestrator: at(1, 1), ..Endpoints::default() };
        let gateway = Endpoints { gateway: at(2, 2), ..Endpoints::default() };
        orchestrator.publish(data.path()).unwrap();
        gateway.publish(data.path()).unwrap();
        let both = Endpoints { orchestrator: at(1, 1), gateway: at(2, 2), admin: None };
        assert_eq!(Endpoints::read(data.path()), both);
        // The orchestrator was replaced by another process before the first one got here.
        Endpoints { orchestrator: at(3, 3), ..Endpoints::default() }.publish(data.path()).unwrap();
        orchestrator.withdraw(data.path()).unwrap();
        gateway.withdraw(data.path()).unwrap();
        assert_eq!(
            Endpoints::read(data.path()),
            Endpoints { orchestrator: at(3, 3), ..Endpoints::default() }
        );
    }

    #[test]
    fn processes_that_publish_at_the_same_time_are_all_written() {
        let data = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            let parts = [
                Endpoints { orchestrator: at(1, 1), ..Endpoints::default() },
                Endpoints { gateway: at(2, 2), ..Endpoints::default() },
                Endpoints { admin: at(3, 3), ..Endpoints::default() },
            ];
            let each = |work: fn(&Endpoints, &Path) -> std::io::Result<()>| {
                std::thread::scope(|scope| {
                    parts.iter().for_each(|part| drop(scope.spawn(|| work(part, data.path()).unwrap())));
                });
            };
            each(Endpoints::publish);
            let all = Endpoints { orchestrator: at(1, 1), gateway: at(2, 2), admin: at(3, 3) };
            assert_eq!(Endpoints::read(data.path()), all);
            each(Endpoints::withdraw);
            assert_eq!(Endpoints::read(data.path()), Endpoints::default());
        }
    }
}
