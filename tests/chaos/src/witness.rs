//! What really exists, seen without any of Pilot's code but the fake cloud itself, which is in this process and so outlives
//! everything that is killed. So is the simulator of Fly.

mod docker;
mod fly;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use provider_fake::Cloud;
use provider_fake::cloud::Written;

use self::docker::docker;
pub use self::fly::Fly;
use crate::plan::Fault;

/// What a busy provider asks for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub kind: Kind,
    /// How its own API names it.
    pub name: String,
    /// Empty of what all of them share.
    pub runtime: String,
    pub runs: bool,
    /// Where a machine that runs answers, if that is seen.
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Machine,
    Volume,
    Network,
    /// Only says something, as a volume of Docker's does with its name.
    Mark,
}

#[derive(Clone)]
pub enum Witness {
    Cloud(Cloud),
    /// Of this installation.
    Docker(String),
    Fly(Fly),
}

impl Witness {
    pub fn objects(&self) -> Result<Vec<Object>> {
        match self {
            Witness::Cloud(cloud) => Ok(cloud.everything().into_iter().map(of_cloud).collect()),
            Witness::Docker(installation) => docker::objects(installation),
            Witness::Fly(fly) => Ok(fly.objects()),
        }
    }

    /// The fake cloud, which can do more than suffer.
    pub fn cloud(&self) -> Option<&Cloud> {
        match self {
            Witness::Cloud(cloud) => Some(cloud),
            _ => None,
        }
    }

    /// A fault of the provider begins. Docker has none of its own.
    pub(crate) fn suffer(&self, fault: &Fault) {
        match self {
            Witness::Cloud(cloud) => match fault {
                Fault::LoseAnswers { percent, seed, .. } => cloud.lose_answers(*percent, *seed),
                Fault::SlowProvider { by, .. } => cloud.become_slow(*by),
                Fault::BusyProvider { percent, seed, .. } => cloud.become_busy(*percent, RETRY_AFTER, *seed),
                Fault::CutOffProvider { .. } => cloud.become_unreachable(),
                _ => cloud.hang(),
            },
            Witness::Fly(fly) => fly.suffer(fault),
            Witness::Docker(_) => {}
        }
    }

    /// All faults of the provider end.
    pub fn heal(&self) {
        match self {
            Witness::Cloud(cloud) => cloud.heal(),
            Witness::Fly(fly) => fly.heal(),
            Witness::Docker(_) => {}
        }
    }

    /// The folder behind a volume, where it has one that can be read here.
    pub fn home(&self, volume: &str) -> Option<PathBuf> {
        match self {
            Witness::Cloud(_) => None,
            Witness::Docker(_) => docker::mountpoint(volume),
            Witness::Fly(fly) => Some(fly.folder(volume)),
        }
    }

    /// Every write that took effect, where there is a journal.
    pub fn journal(&self) -> Vec<Written> {
        match self {
            Witness::Cloud(cloud) => cloud.journal(),
            Witness::Docker(_) | Witness::Fly(_) => Vec::new(),
        }
    }

    /// As somebody would who does not know Pilot; which one follows from the number. The machine's name.
    pub async fn remove_machine(&self, which: usize) -> Result<()> {
        let Some(name) = self.machine(which)? else { return Ok(()) };
        match self {
            Witness::Cloud(cloud) => drop(cloud.remove_machine(&name)),
            Witness::Docker(_) => drop(docker(&["rm", "--force", &name])?),
            Witness::Fly(fly) => fly.remove_machine(&name).await?,
        }
        Ok(())
    }

    pub fn kill_machine(&self, which: usize) -> Result<()> {
        let Some(name) = self.machine(which)? else { return Ok(()) };
        // It may have ended by itself meanwhile.
        match self {
            Witness::Cloud(_) => {}
            Witness::Docker(_) => drop(docker(&["kill", &name])),
            Witness::Fly(_) => drop(docker(&["kill", &fly::container(&name)])),
        }
        Ok(())
    }

    fn machine(&self, which: usize) -> Result<Option<String>> {
        let objects = self.objects()?.into_iter().filter(|object| object.kind == Kind::Machine);
        let mut names: Vec<String> = objects.map(|object| object.name).collect();
        Ok(if names.is_empty() { None } else { Some(names.swap_remove(which % names.len())) })
    }

    /// Of a world that ends.
    pub fn remove_everything(&self) {
        match self {
            Witness::Cloud(_) => {}
            Witness::Docker(installation) => docker::remove_everything(installation),
            Witness::Fly(fly) => fly.remove_everything(),
        }
    }
}

fn of_cloud(object: provider_fake::cloud::Object) -> Object {
    Object {
        kind: match object.kind {
            "machine" => Kind::Machine,
            "network" => Kind::Network,
            _ => Kind::Volume,
        },
        runtime: object.labels.get("pilot-runtime").cloned().unwrap_or_default(),
        name: object.name,
        runs: object.address.is_some(),
        port: object.address.map(|address| address.port()),
    }
}

/// Which runtime a write of the fake cloud's journal was about: names are made from it.
pub fn runtime_of(name: &str) -> &str {
    let name = name.strip_prefix("pilot-").unwrap_or(name);
    name.strip_suffix("-home").unwrap_or(name)
}
