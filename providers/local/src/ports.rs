//! Which runtime has which ports of this host. A claim is a file named like the port; it outlives the
//! process, so a stopped instance keeps its address.
//!
//! Claims keep instances of one root apart. Other programs of the host are found by binding the port
//! for a moment, which is a hint and no promise: whoever starts the process tries again elsewhere.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;

use contracts::network::PortRange;
use contracts::{ErrorCode, RuntimeId};
use provider_api::{ProviderError, Result, RuntimeRef};

use crate::files::{make_folder, remove_file, unusable};
use crate::layout::{Layout, Owner};
use crate::lock::Lock;

pub(crate) struct Ports<'a> {
    layout: &'a Layout,
    range: PortRange,
}

impl<'a> Ports<'a> {
    pub fn new(layout: &'a Layout, range: PortRange) -> Self {
        Self { layout, range }
    }

    /// Claims two free ports for the runtime and gives up what it had claimed before.
    pub fn reserve(&self, runtime: &RuntimeRef) -> Result<(u16, u16)> {
        let _lock = self.lock()?;
        let mut claims = self.claims()?;
        // The old ones stay claimed until the new ones are, so that they are not chosen again.
        let old: Vec<u16> = claims
            .iter()
            .filter(|(_, owner)| owner.runtime == runtime.runtime_id)
            .map(|(&port, _)| port)
            .collect();
        let mut found = Vec::with_capacity(2);
        for port in self.range.iter() {
            if claims.get(&port).is_some_and(|owner| self.is_live(owner)) || !is_free(port) {
                continue;
            }
            if claims.remove(&port).is_some() {
                self.remove(port)?;
            }
            self.write(port, runtime)?;
            found.push(port);
            if let [first, second] = found[..] {
                for port in old {
                    self.remove(port)?;
                }
                return Ok((first, second));
            }
        }
        // Nothing is kept of half a reservation, neither the new port nor the stale ones.
        for port in found {
            self.remove(port)?;
        }
        let message = format!(
            "no two free ports are left between {} and {}: {} are claimed by instances",
            self.range.first,
            self.range.last,
            claims.len()
        );
        Err(ProviderError::new(ErrorCode::ProviderCapacity, message)
            .with_action("Delete workspaces that are not needed, or give instances more ports: the option --instance-ports of `pilot serve`."))
    }

    /// Makes sure that exactly these ports are the runtime's. False when one of them is another's now.
    pub fn confirm(&self, runtime: &RuntimeRef, ports: (u16, u16)) -> Result<bool> {
        let _lock = self.lock()?;
        let claims = self.claims()?;
        for port in [ports.0, ports.1] {
            match claims.get(&port) {
                Some(owner) if *owner == Owner::from(runtime) => {}
                Some(owner) if self.is_live(owner) => return Ok(false),
                Some(_) => {
                    self.remove(port)?;
                    self.write(port, runtime)?;
                }
                None => self.write(port, runtime)?,
            }
        }
        Ok(true)
    }

    /// Gives up every claim of the runtime.
    pub fn release(&self, runtime: &RuntimeRef) -> Result<()> {
        let _lock = self.lock()?;
        let owner = Owner::from(runtime);
        for (port, _) in self.claims()?.into_iter().filter(|(_, claim)| *claim == owner) {
            self.remove(port)?;
        }
        Ok(())
    }

    /// Every readable claim. A claim that cannot be read was being written when its writer died, and
    /// is removed; call with the lock held.
    fn claims(&self) -> Result<BTreeMap<u16, Owner>> {
        let mut claims = BTreeMap::new();
        for (port, owner) in self.list()? {
            match owner {
                Some(owner) => {
                    claims.insert(port, owner);
                }
                None => self.remove(port)?,
            }
        }
        Ok(claims)
    }

    /// Every claim as it is, without a lock.
    pub fn list(&self) -> Result<BTreeMap<u16, Option<Owner>>> {
        let folder = self.layout.ports();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(unusable("read", &folder, &error)),
        };
        let mut claims = BTreeMap::new();
        for entry in entries.flatten() {
            let Some(port) = entry.file_name().to_str().and_then(|name| name.parse::<u16>().ok()) else {
                continue;
            };
            let owner = fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice(&text).ok());
            claims.insert(port, owner);
        }
        Ok(claims)
    }

    /// A claim without a runtime folder is what a crash left behind.
    fn is_live(&self, owner: &Owner) -> bool {
        self.folder_exists(&owner.runtime)
    }

    fn folder_exists(&self, runtime: &RuntimeId) -> bool {
        self.layout.folder(runtime).exists()
    }

    fn write(&self, port: u16, runtime: &RuntimeRef) -> Result<()> {
        let path = self.layout.ports().join(port.to_string());
        let text = serde_json::to_vec(&Owner::from(runtime)).unwrap_or_default();
        let write =
            || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(&text);
        write().map_err(|error| unusable("write", &path, &error))
    }

    fn remove(&self, port: u16) -> Result<()> {
        remove_file(&self.layout.ports().join(port.to_string()))
    }

    fn lock(&self) -> Result<Lock> {
        make_folder(&self.layout.ports())?;
        Lock::take(&self.layout.lock("ports"))
    }
}

/// Whether a program could listen on this loopback port now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(name: &str) -> RuntimeRef {
        RuntimeRef::new(name.parse().unwrap(), "in-1".parse().unwrap())
    }

    /// Eight neighbouring ports that nothing listens on.
    fn free_range() -> PortRange {
        (0..200)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
            .filter(|first| *first < u16::MAX - 8)
            .map(|first| PortRange { first, last: first + 7 })
            .find(|range| range.iter().all(is_free))
            .unwrap()
    }

    fn world() -> (tempfile::TempDir, Layout, PortRange) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        (folder, layout, free_range())
    }

    #[test]
    fn two_runtimes_get_different_ports_and_release_gives_them_back() {
        let (_folder, layout, range) = world();
        let ports = Ports::new(&layout, range);
        for name in ["rt-a", "rt-b"] {
            fs::create_dir_all(layout.folder(&name.parse().unwrap())).unwrap();
        }
        let a = ports.reserve(&runtime("rt-a")).unwrap();
        let b = ports.reserve(&runtime("rt-b")).unwrap();
        let all: std::collections::BTreeSet<u16> = [a.0, a.1, b.0, b.1].into();
        assert_eq!(all.len(), 4);
        assert!(ports.confirm(&runtime("rt-a"), a).unwrap());
        assert!(!ports.confirm(&runtime("rt-b"), a).unwrap());
        ports.release(&runtime("rt-a")).unwrap();
        assert_eq!(ports.reserve(&runtime("rt-a")).unwrap(), a);
    }

    #[test]
    fn claims_of_runtimes_without_a_folder_and_torn_claims_are_taken_over() {
        let (_folder, layout, range) = world();
        let ports = Ports::new(&layout, range);
        let gone = ports.reserve(&runtime("rt-gone")).unwrap();
        fs::write(layout.ports().join((gone.1 + 1).to_string()), "").unwrap();
        assert_eq!(ports.reserve(&runtime("rt-a")).unwrap(), gone);
        assert_eq!(ports.list().unwrap().len(), 2);
    }

    #[test]
    fn a_port_that_another_program_uses_is_passed_over() {
        let (_folder, layout, range) = world();
        let _taken = TcpListener::bind(("127.0.0.1", range.first)).unwrap();
        let (first, _) = Ports::new(&layout, range).reserve(&runtime("rt-a")).unwrap();
        assert_ne!(first, range.first);
    }

    #[test]
    fn a_full_range_is_a_capacity_error_and_keeps_nothing() {
        let (_folder, layout, mut range) = world();
        range.last = range.first;
        let error = Ports::new(&layout, range).reserve(&runtime("rt-a")).unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderCapacity);
        assert!(Ports::new(&layout, range).list().unwrap().is_empty());
    }
}
