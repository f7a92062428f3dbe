//! The API's calls, each as one request of a caller with a token.

use std::sync::Arc;

use jiff::Timestamp;
use provider_api::{BootFile, Executed, Snapshot};

use super::instance::Instance;
use super::{Cloud, CloudError, Labels, Machine, Objects, Phase, Spec, Volume, commands, images};

pub(crate) type Answer<T> = Result<T, CloudError>;

/// A caller of the API.
pub(crate) struct Session {
    cloud: Cloud,
    token: Option<String>,
}

impl Session {
    pub fn new(cloud: Cloud, token: Option<&str>) -> Self {
        Self { cloud, token: token.map(str::to_owned) }
    }

    /// One request: on its way the cloud's faults are met, and `act` is what it does.
    async fn request<T>(&self, act: impl FnOnce(&mut Objects) -> Answer<T>) -> Answer<T> {
        self.cloud.on_the_way().await?;
        if self.cloud.0.token.is_some() && self.cloud.0.token != self.token {
            return Err(CloudError::BadToken);
        }
        let answer = act(&mut self.cloud.objects());
        self.cloud.on_the_way_back().await?;
        answer
    }

    pub async fn ping(&self) -> Answer<()> {
        self.request(|_| Ok(())).await
    }

    /// Kind, name and labels of everything.
    pub async fn list(&self) -> Answer<Vec<(&'static str, String, Labels)>> {
        self.request(|objects| {
            let volumes =
                objects.volumes.iter().map(|(name, it)| ("volume", name.clone(), it.labels.clone()));
            let machines =
                objects.machines.iter().map(|(name, it)| ("machine", name.clone(), it.labels.clone()));
            Ok(volumes.chain(machines).collect())
        })
        .await
    }

    pub async fn volume(&self, name: &str) -> Answer<Volume> {
        self.request(|objects| volume(objects, name).map(|volume| volume.clone())).await
    }

    pub async fn create_volume(&self, name: &str, new: Volume) -> Answer<()> {
        self.request(|objects| {
            if objects.volumes.contains_key(name) {
                return Err(CloudError::Conflict(name.to_owned()));
            }
            let version = objects.next_version();
            objects.volumes.insert(name.to_owned(), Volume { version, ..new });
            Ok(())
        })
        .await
    }

    pub async fn label_volume(&self, name: &str, version: u64, labels: Labels) -> Answer<()> {
        self.request(|objects| {
            let next = objects.next_version();
            let volume = volume(objects, name)?;
            same_version(name, volume.version, version)?;
            (volume.version, volume.labels) = (next, labels);
            Ok(())
        })
        .await
    }

    pub async fn delete_volume(&self, name: &str, version: u64) -> Answer<()> {
        self.request(|objects| {
            same_version(name, volume(objects, name)?.version, version)?;
            if objects.machines.values().any(|machine| machine.spec.volume == name) {
                return Err(CloudError::Refused(format!("the volume {name} is in use by a machine")));
            }
            objects.volumes.remove(name);
            Ok(())
        })
        .await
    }

    pub async fn machine(&self, name: &str) -> Answer<Machine> {
        self.request(|objects| machine(objects, name).map(|machine| machine.clone())).await
    }

    /// It does not run yet.
    pub async fn create_machine(&self, name: &str, spec: Spec, labels: Labels) -> Answer<()> {
        self.request(|objects| {
            let region = volume(objects, &spec.volume)?.region.clone();
            if region != spec.region {
                return Err(CloudError::Refused(format!("{} is in the region {region}", spec.volume)));
            }
            images::digest(&spec.image)?;
            if objects.machines.contains_key(name) {
                return Err(CloudError::Conflict(name.to_owned()));
            }
            let (version, phase) = (objects.next_version(), Phase::Stopped);
            let new =
                Machine { version, spec, labels, phase, address: None, log: Vec::new(), instance: None };
            objects.machines.insert(name.to_owned(), new);
            Ok(())
        })
        .await
    }

    /// Another size keeps what runs. With another image it boots anew, if it runs.
    pub async fn change_machine(&self, name: &str, version: u64, labels: Labels, spec: &Spec) -> Answer<()> {
        self.request(|objects| {
            images::digest(&spec.image)?;
            let next = objects.next_version();
            let machine = machine(objects, name)?;
            same_version(name, machine.version, version)?;
            (machine.version, machine.labels) = (next, labels);
            let (ran, boots) = (machine.phase, machine.spec.image != spec.image);
            spec.clone_into(&mut machine.spec);
            if !boots {
                return Ok(());
            }
            (machine.phase, machine.address, machine.instance) = (Phase::Stopped, None, None);
            match ran {
                Phase::Running => start(objects, name, &[]),
                // What its memory was of is gone.
                Phase::Suspended | Phase::Stopped => Ok(()),
            }
        })
        .await
    }

    /// What the name of an image means.
    pub async fn image(&self, reference: &str) -> Answer<String> {
        self.request(|_| images::digest(reference)).await
    }

    pub async fn delete_machine(&self, name: &str, version: u64) -> Answer<()> {
        self.request(|objects| {
            same_version(name, machine(objects, name)?.version, version)?;
            objects.machines.remove(name);
            Ok(())
        })
        .await
    }

    /// Puts the files into the home and lets it run, from its boot or from where it was suspended.
    pub async fn start_machine(&self, name: &str, files: &[BootFile]) -> Answer<()> {
        self.request(|objects| start(objects, name, files)).await
    }

    pub async fn stop_machine(&self, name: &str) -> Answer<()> {
        self.request(|objects| {
            let machine = machine(objects, name)?;
            if machine.phase != Phase::Stopped {
                (machine.phase, machine.address, machine.instance) = (Phase::Stopped, None, None);
                machine.say(&format!("{name} is stopped"));
            }
            Ok(())
        })
        .await
    }

    pub async fn suspend_machine(&self, name: &str) -> Answer<()> {
        self.request(|objects| {
            let machine = machine(objects, name)?;
            let Some(instance) = &machine.instance else {
                return Err(CloudError::Refused(format!("{name} does not run")));
            };
            instance.freeze();
            machine.phase = Phase::Suspended;
            machine.say(&format!("{name} is suspended"));
            Ok(())
        })
        .await
    }

    pub async fn log(&self, name: &str) -> Answer<Vec<u8>> {
        self.request(|objects| machine(objects, name).map(|machine| machine.log.clone())).await
    }

    /// Ends when the command does, which may be never.
    pub async fn run(&self, name: &str, command: &[String]) -> Answer<Executed> {
        let home = self
            .request(|objects| {
                let disk = machine(objects, name)?.spec.volume.clone();
                volume(objects, &disk).map(|volume| volume.files.clone())
            })
            .await?;
        Ok(commands::run(command, &home).await)
    }

    pub async fn take_snapshot(&self, name: &str) -> Answer<Snapshot> {
        self.request(|objects| {
            let id = format!("snap-{}", objects.next_version());
            let volume = volume(objects, name)?;
            let size = volume.files.values().map(|content| content.len() as u64).sum();
            let snapshot = Snapshot { id, created: Timestamp::now(), size: Some(size) };
            volume.snapshots.push_front(snapshot.clone());
            Ok(snapshot)
        })
        .await
    }

    pub async fn snapshots(&self, name: &str) -> Answer<Vec<Snapshot>> {
        self.request(|objects| volume(objects, name).map(|volume| volume.snapshots.iter().cloned().collect()))
            .await
    }
}

fn start(objects: &mut Objects, name: &str, files: &[BootFile]) -> Answer<()> {
    let disk = machine(objects, name)?.spec.volume.clone();
    let home = &mut volume(objects, &disk)?.files;
    home.extend(files.iter().map(|file| (file.path.clone(), file.content.clone())));
    let home = home.clone();
    let machine = machine(objects, name)?;
    match (machine.phase, &machine.instance) {
        (Phase::Running, _) => return Ok(()),
        (Phase::Suspended, Some(instance)) => instance.run().map_err(refused)?,
        _ => {
            images::boots(&machine.spec.image)?;
            let instance = Instance::boot(&machine.labels, &home).map_err(refused)?;
            machine.address = Some(instance.address());
            machine.instance = Some(Arc::new(instance));
        }
    }
    machine.phase = Phase::Running;
    machine.say(&format!("{name} runs {} in {}", machine.spec.image, machine.spec.region));
    Ok(())
}

fn volume<'a>(objects: &'a mut Objects, name: &str) -> Answer<&'a mut Volume> {
    objects.volumes.get_mut(name).ok_or_else(|| CloudError::NotFound(format!("volume {name}")))
}

fn machine<'a>(objects: &'a mut Objects, name: &str) -> Answer<&'a mut Machine> {
    objects.machines.get_mut(name).ok_or_else(|| CloudError::NotFound(format!("machine {name}")))
}

fn same_version(name: &str, now: u64, expected: u64) -> Answer<()> {
    if now == expected { Ok(()) } else { Err(CloudError::Conflict(name.to_owned())) }
}

fn refused(error: std::io::Error) -> CloudError {
    CloudError::Refused(error.to_string())
}
