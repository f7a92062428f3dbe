//! Copies between volumes, by a container that lives as long as the copy: of the runtime's own image, without a network, and
//! with no more rights than a copy with its owners needs. A runtime has one at a time.

use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use contracts::ErrorCode;
use contracts::boot::HOME;
use provider_api::{Copied, ProviderError, Result, RuntimeRef, Told};
use provider_kit::copies;
use provider_kit::secrets::LEAVE_OUT;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::failure::Failure;
use crate::{container, logs, names};

const SCRIPT: &str = include_str!("copy.sh");
const FROM: &str = "/from";
/// Whose files they are is kept, whoever may read them.
const CAPABILITIES: [&str; 4] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"];
/// What is said in the meantime.
const TELLS: Duration = Duration::from_secs(3);
const PAUSES: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(400)];
const LOG_BYTES: usize = 4000;
const KIB: u64 = 1024;
const DISK: &str = "the disk of the Docker host";

/// One copy.
pub(crate) struct Copy<'a> {
    pub runtime: &'a RuntimeRef,
    pub image: &'a str,
    /// What is copied; none where only what is there is sorted.
    pub from: Option<&'a str>,
    pub to: &'a str,
    /// What the script is to do, and its words.
    pub way: &'a [&'a str],
}

impl Copy<'_> {
    /// Makes the container. One that an earlier process has left is removed: its copy begins anew.
    pub async fn prepare(&self, engine: &Engine) -> Result<()> {
        end(engine, self.runtime).await?;
        let docker = engine.docker().await?;
        for volume in self.from.into_iter().chain([self.to]) {
            // Docker would make a missing one itself, without an owner.
            engine
                .look("find the volume", docker.inspect_volume(volume))
                .await
                .map_err(ProviderError::from)?;
        }
        engine.bring(self.image).await?;
        let name = names::copy(&self.runtime.runtime_id);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        engine.ask("prepare the copy", docker.create_container(Some(options), self.body())).await?;
        Ok(())
    }

    /// Copies, with a container that is prepared. How many bytes the home that was written has.
    pub async fn run(&self, engine: &Engine, told: &Told) -> Result<u64> {
        let name = names::copy(&self.runtime.runtime_id);
        let docker = engine.docker().await?;
        let start = docker.start_container(&name, None::<StartContainerOptions>);
        engine.ask("start the copy", start).await?;
        let (mut said, mut pause) = (Instant::now(), PAUSES[0]);
        let exit_code = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
            let Some(found) = container::inspect(engine, &name).await? else { return Err(given_up()) };
            let state = found.state.unwrap_or_default();
            if state.running != Some(true) {
                break state.exit_code.unwrap_or(-1);
            }
            if said.elapsed() > TELLS {
                said = Instant::now();
                let log = logs::tail(engine, &name, LOG_BYTES).await?;
                if let Some([done, total]) = last(&log, "at ") {
                    told.tell(Copied { done: done * KIB, total: total * KIB });
                }
            }
        };
        let log = logs::tail(engine, &name, LOG_BYTES).await?;
        end(engine, self.runtime).await?;
        match (exit_code, last::<1>(&log, "copied ")) {
            (0, Some([size])) => Ok(size * KIB),
            _ => Err(self.no_room(&log).unwrap_or_else(|| failed(exit_code, &log))),
        }
    }

    /// What a script that found no room says.
    fn no_room(&self, log: &str) -> Option<ProviderError> {
        let [needed, free] = last(log, "full ")?;
        match self.way {
            ["room"] => return Some(copies::no_room_to_restore(DISK, needed * KIB, free * KIB)),
            ["room", ..] => {
                return Some(copies::no_room_to_restore("the volume of the home", needed * KIB, free * KIB));
            }
            _ => {}
        }
        let mib = |kib: u64| kib.div_ceil(KIB);
        let message = format!(
            "{DISK} has no room for a copy: it needs {} MiB, and {} MiB are free",
            mib(needed),
            mib(free)
        );
        Some(ProviderError::new(ErrorCode::StoreFull, message).with_action(
            "Make room on that disk (`docker system df`), or remove snapshots that nobody needs: `pilot ws snapshot rm NAME ID`.",
        ))
    }

    fn body(&self) -> ContainerCreateBody {
        let script = format!("{LEAVE_OUT}{SCRIPT}");
        let words = ["/bin/sh", "-c", &script, "copy"];
        let words = words.iter().chain(self.way).map(|&word| word.to_owned());
        let mount = |volume: &str, target: &str, read_only| Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.to_owned()),
            target: Some(target.to_owned()),
            read_only: Some(read_only),
            // What the image has in its home is no part of a copy.
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        };
        let from = self.from.map(|from| mount(from, FROM, true));
        ContainerCreateBody {
            image: Some(self.image.to_owned()),
            user: Some("0:0".to_owned()),
            env: Some(vec![format!("HOME={HOME}")]),
            entrypoint: Some(words.collect()),
            cmd: Some(Vec::new()),
            working_dir: Some("/".to_owned()),
            labels: Some(names::copy_labels(self.runtime)),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(from.into_iter().chain([mount(self.to, HOME, false)]).collect()),
                readonly_rootfs: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                pids_limit: Some(64),
                log_config: Some(logs::limited()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// Ends the copy of a runtime, whoever has begun it. Nothing happens where there is none.
pub(crate) async fn end(engine: &Engine, runtime: &RuntimeRef) -> Result<()> {
    let name = names::copy(&runtime.runtime_id);
    let Some(found) = container::inspect(engine, &name).await? else { return Ok(()) };
    names::must_copy(&name, &container::labels(&found), runtime)?;
    let id = found.id.as_deref().unwrap_or(&name).to_owned();
    let removal = |docker: bollard::Docker| async move {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        docker.remove_container(&id, Some(options)).await
    };
    match engine.remove("end the copy", removal).await {
        // Its removal is already under way.
        Ok(()) | Err(Failure::Absent(_) | Failure::Conflict(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// The numbers of the last line that begins so.
fn last<const N: usize>(log: &str, word: &str) -> Option<[u64; N]> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix(word))?;
    let numbers: Vec<u64> = line.split(' ').map_while(|number| number.parse().ok()).collect();
    numbers.try_into().ok()
}

fn failed(exit_code: i64, log: &str) -> ProviderError {
    if let Some((bytes, most, path)) = too_long(log) {
        return copies::path_too_long(path, bytes, most);
    }
    let message = format!("the copy ended with exit code {exit_code}:\n{}", log.trim_end());
    ProviderError::new(ErrorCode::ProviderFailed, message)
        .with_action("Read what it says, and try again when the cause is gone.")
}

/// What the script says of a path: how long it is, how long one can be, and its beginning.
fn too_long(log: &str) -> Option<(usize, usize, &str)> {
    let mut said = log.lines().find_map(|line| line.strip_prefix("long "))?.splitn(3, ' ');
    Some((said.next()?.parse().ok()?, said.next()?.parse().ok()?, said.next()?))
}

fn given_up() -> ProviderError {
    ProviderError::new(
        ErrorCode::ProviderFailed,
        "the copy was ended by somebody else, and nothing of it is kept",
    )
    .with_action("Try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_copy_counts_and_what_is_cut_off_says_nothing() {
        let log = "at 10 100\nat 20 100\ncp: odd\nfull 5 \n";
        assert_eq!(last(log, "at "), Some([20, 100]));
        assert_eq!(last::<2>(log, "full "), None);
        assert_eq!(last::<1>(log, "copied "), None);
    }

    #[test]
    fn a_full_disk_says_what_is_needed_and_what_there_is() {
        let runtime = RuntimeRef::new("rt-1".parse().unwrap(), "in-1".parse().unwrap());
        let copy = |way| Copy { runtime: &runtime, image: "", from: None, to: "", way };
        for (way, words) in [
            (&["take"][..], "the disk of the Docker host has no room for a copy"),
            (&["room"], "the disk of the Docker host has no room for a restore"),
            (&["room", "limited"], "the volume of the home has no room for a restore"),
        ] {
            let full = copy(way).no_room("full 4096 2048\n").unwrap();
            assert_eq!(full.code, ErrorCode::StoreFull);
            assert!(
                full.message.starts_with(words)
                    && full.message.contains("4 MiB")
                    && full.message.contains("2 MiB"),
                "{full}"
            );
        }
        assert!(copy(&["take"]).no_room("cp: odd").is_none());
    }

    #[test]
    fn a_path_that_is_too_long_is_named() {
        let long = failed(5, "at 1 2\nlong 5000 4063 node_modules/a b\n");
        assert!(long.message.contains("5000 bytes") && long.message.contains("node_modules/a b"), "{long}");
        assert_eq!(too_long("long 5000"), None);
        assert_eq!(failed(1, "cp: odd").code, ErrorCode::ProviderFailed);
    }
}
