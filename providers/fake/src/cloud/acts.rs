//! What each call does to the cloud's objects.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Answer;
use super::call::Call;
use super::instance::Instance;
use super::{CloudError, Files, Labels, Machine, Objects, Phase, Spec, Volume, images};

fn has_all(has: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| has.get(name) == Some(value))
}

impl Objects {
    pub fn act(&mut self, call: Call) -> Answer<Value> {
        match call {
            Call::Ping => told(()),
            Call::List { labels } => {
                let volumes = self.volumes.iter().map(|(name, it)| ("volume", name, &it.labels));
                let machines = self.machines.iter().map(|(name, it)| ("machine", name, &it.labels));
                let all = volumes.chain(machines).filter(|(.., has)| has_all(has, &labels));
                told(all.collect::<Vec<_>>())
            }
            Call::Machines { labels } => {
                let all = self.machines.iter().filter(|(_, machine)| has_all(&machine.labels, &labels));
                told(all.collect::<Vec<_>>())
            }
            Call::Network { name } => told(self.network(&name)?),
            Call::CreateNetwork { name, labels } => {
                if self.networks.contains_key(&name) {
                    return Err(CloudError::Conflict(name));
                }
                self.networks.insert(name, labels);
                told(())
            }
            Call::DeleteNetwork { name } => {
                self.network(&name)?;
                self.networks.remove(&name);
                told(())
            }
            Call::Volume { name } => told(self.volume(&name)?),
            Call::CreateVolume { name, new, from } => {
                if self.volumes.contains_key(&name) {
                    return Err(CloudError::Conflict(name));
                }
                if self.has_no_disks {
                    return Err(CloudError::Refused("no disk is free".to_owned()));
                }
                let files = from.map(|from| self.copied(from)).transpose()?.unwrap_or_default();
                let version = self.next_version();
                self.volumes.insert(name, Volume { version, files, ..new });
                told(())
            }
            Call::LabelVolume { name, version, labels } => {
                let next = self.next_version();
                let volume = self.volume(&name)?;
                same_version(&name, volume.version, version)?;
                (volume.version, volume.labels) = (next, labels);
                told(())
            }
            Call::DeleteVolume { name, version } => {
                same_version(&name, self.volume(&name)?.version, version)?;
                if self.machines.values().any(|machine| machine.spec.volume == name) {
                    return Err(CloudError::Refused(format!("the volume {name} is in use by a machine")));
                }
                self.volumes.remove(&name);
                told(())
            }
            Call::Machine { name } => told(self.machine(&name)?),
            Call::CreateMachine { name, spec, labels } => self.create_machine(name, spec, labels),
            Call::ChangeMachine { name, version, labels, spec } => {
                self.change_machine(&name, version, labels, spec)
            }
            Call::Image { reference } => told(self.images.find(&reference)?),
            Call::PushImage { name, digest } => {
                self.images.keep(&name, &digest);
                told(())
            }
            Call::DeleteMachine { name, version } => {
                same_version(&name, self.machine(&name)?.version, version)?;
                self.machines.remove(&name);
                told(())
            }
            Call::StartMachine { name, version, files } => self.start_machine(&name, version, files),
            Call::StopMachine { name, version } => {
                let machine = self.machine(&name)?;
                same_version(&name, machine.version, version)?;
                machine.exit_code = None;
                if machine.phase != Phase::Stopped {
                    (machine.phase, machine.address, machine.instance) = (Phase::Stopped, None, None);
                    machine.say(&format!("{name} is stopped"));
                }
                told(())
            }
            Call::SuspendMachine { name, version } => {
                let machine = self.machine(&name)?;
                same_version(&name, machine.version, version)?;
                let Some(instance) = &machine.instance else {
                    return Err(CloudError::Refused(format!("{name} does not run")));
                };
                instance.freeze();
                machine.phase = Phase::Suspended;
                machine.say(&format!("{name} is suspended"));
                told(())
            }
            Call::Refused { name } => told(&self.machine(&name)?.refused),
            Call::Log { name } => told(&self.machine(&name)?.log),
            Call::Home { name } => {
                let disk = self.machine(&name)?.spec.volume.clone();
                told(&self.volume(&disk)?.files)
            }
            Call::TakeSnapshot { name, id, title } => self.take_snapshot(&name, id, title),
            Call::DeleteSnapshot { name, id } => {
                self.volume(&name)?.snapshots.retain(|taken| taken.id != id);
                told(())
            }
            Call::RestoreSnapshot { name, id } => self.restore_snapshot(&name, &id),
            Call::Snapshots { name } => told(&self.volume(&name)?.snapshots),
        }
    }

    /// It does not run yet.
    fn create_machine(&mut self, name: String, spec: Spec, labels: super::Labels) -> Answer<Value> {
        let region = self.volume(&spec.volume)?.region.clone();
        if region != spec.region {
            return Err(CloudError::Refused(format!("{} is in the region {region}", spec.volume)));
        }
        self.images.find(&spec.image)?;
        self.can_be_reached(&spec)?;
        if self.machines.contains_key(&name) {
            return Err(CloudError::Conflict(name));
        }
        let (version, phase) = (self.next_version(), Phase::Stopped);
        let (address, exit_code, log, instance) = (None, None, Vec::new(), None);
        let refused = Vec::new();
        let new = Machine { version, spec, labels, phase, exit_code, address, log, refused, instance };
        self.machines.insert(name, new);
        told(())
    }

    fn change_machine(
        &mut self,
        name: &str,
        version: u64,
        labels: super::Labels,
        spec: Spec,
    ) -> Answer<Value> {
        self.images.find(&spec.image)?;
        let next = self.next_version();
        let machine = self.machine(name)?;
        same_version(name, machine.version, version)?;
        (machine.version, machine.labels) = (next, labels);
        if machine.spec.egress_allow != spec.egress_allow {
            machine.refused.clear();
        }
        let (ran, boots) = (machine.phase, machine.spec.image != spec.image);
        machine.spec = spec;
        if !boots {
            return told(());
        }
        (machine.phase, machine.address, machine.instance) = (Phase::Stopped, None, None);
        match ran {
            Phase::Running | Phase::Pending => self.start_machine(name, next, Files::default()),
            // What its memory was of is gone.
            Phase::Suspended | Phase::Stopped => told(()),
        }
    }

    /// Puts the files into the home and lets it run, from its boot or from where it was suspended.
    fn start_machine(&mut self, name: &str, version: u64, files: Files) -> Answer<Value> {
        let machine = self.machine(name)?;
        same_version(name, machine.version, version)?;
        let spec = machine.spec.clone();
        self.can_be_reached(&spec)?;
        let disk = spec.volume;
        let home = &mut self.volume(&disk)?.files;
        home.extend(files);
        let is_full = self.is_full;
        let machine = self.machine(name)?;
        match (machine.phase, &machine.instance) {
            (Phase::Running, _) => return told(()),
            (Phase::Suspended, Some(instance)) => {
                instance.run().map_err(refused)?;
                machine.runs(name);
            }
            _ => {
                images::boots(&machine.spec.image)?;
                machine.phase = Phase::Pending;
                if is_full {
                    machine.say(&format!("{name} waits for room"));
                } else {
                    self.boot_machine(name)?;
                }
            }
        }
        told(())
    }

    fn boot_machine(&mut self, name: &str) -> Answer<()> {
        let disk = self.machine(name)?.spec.volume.clone();
        let home = self.volume(&disk)?.files.clone();
        let machine = self.machine(name)?;
        let instance = Instance::boot(&machine.labels, &home).map_err(refused)?;
        machine.address = Some(instance.address());
        machine.instance = Some(Arc::new(instance));
        machine.runs(name);
        Ok(())
    }

    /// Machines that are started from now on wait for room.
    pub(super) fn fill(&mut self) {
        self.is_full = true;
    }

    /// No volume is made from now on.
    pub(super) fn run_out_of_disks(&mut self) {
        self.has_no_disks = true;
    }

    /// What waits for room has it.
    pub(super) fn make_room(&mut self) {
        (self.is_full, self.has_no_disks) = (false, false);
        let waiting = self.machines.iter().filter(|(_, machine)| machine.phase == Phase::Pending);
        let waiting: Vec<String> = waiting.map(|(name, _)| name.clone()).collect();
        for name in waiting {
            if let Err(error) = self.boot_machine(&name)
                && let Some(machine) = self.machines.get_mut(&name)
            {
                machine.phase = Phase::Stopped;
                machine.say(&format!("{name} does not boot: {error}"));
            }
        }
    }

    fn can_be_reached(&self, spec: &Spec) -> Answer<()> {
        match &spec.network {
            Some(network) if !self.networks.contains_key(network) => {
                Err(CloudError::Refused(format!("there is no network {network}")))
            }
            _ => Ok(()),
        }
    }

    fn network(&self, name: &str) -> Answer<&Labels> {
        self.networks.get(name).ok_or_else(|| CloudError::NotFound(format!("network {name}")))
    }

    pub(super) fn volume(&mut self, name: &str) -> Answer<&mut Volume> {
        self.volumes.get_mut(name).ok_or_else(|| CloudError::NotFound(format!("volume {name}")))
    }

    fn machine(&mut self, name: &str) -> Answer<&mut Machine> {
        self.machines.get_mut(name).ok_or_else(|| CloudError::NotFound(format!("machine {name}")))
    }
}

pub(super) fn told(answer: impl Serialize) -> Answer<Value> {
    serde_json::to_value(answer).map_err(|error| CloudError::Refused(error.to_string()))
}

fn same_version(name: &str, now: u64, expected: u64) -> Answer<()> {
    if now == expected { Ok(()) } else { Err(CloudError::Conflict(name.to_owned())) }
}

fn refused(error: std::io::Error) -> CloudError {
    CloudError::Refused(error.to_string())
}
