//! How large a home is and when something in it was last written: asked of a container that only reads it, and that Docker
//! removes by itself. What was seen is kept for a while, since every call about a doubled home is refused with it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, Volume};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, StartContainerOptions,
};
use contracts::ErrorCode;
use contracts::snapshot::in_words;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use provider_api::{ProviderError, Result};
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::failure::classify;
use crate::{logs, names};

/// Who is refused waits for it.
const LIMIT: Duration = Duration::from_secs(15);
const KEPT: Duration = Duration::from_secs(600);
const KIB: u64 = 1024;

/// Directories count too: what was removed was written last.
const SCRIPT: &str = "du -sk /home | cut -f1; find /home -xdev -printf '%T@\\n' | awk '$1 > last { last = $1 } END { printf \"%d\\n\", last }'";

/// By the volume's name, since when it is known. A look that is under way is waited for and not begun twice.
#[derive(Default)]
pub(crate) struct Looks(Mutex<HashMap<String, (Instant, String)>>);

/// In a few words, also where it cannot be seen.
pub(super) async fn at(engine: &Engine, home: &Volume) -> String {
    let mut looks = engine.looks.0.lock().await;
    if let Some((_, words)) = looks.get(&home.name).filter(|(since, _)| since.elapsed() < KEPT) {
        return words.clone();
    }
    let seen = tokio::time::timeout(LIMIT, look(engine, home)).await;
    let words = match seen {
        Ok(Ok((bytes, Some(written)))) => format!("{}, last written {written}", in_words(bytes)),
        Ok(Ok((bytes, None))) => in_words(bytes),
        Ok(Err(error)) => format!("its size is not known ({})", error.message),
        Err(_) => format!("its size is not known within {LIMIT:?}"),
    };
    looks.insert(home.name.clone(), (Instant::now(), words.clone()));
    words
}

async fn look(engine: &Engine, home: &Volume) -> Result<(u64, Option<Timestamp>)> {
    let docker = engine.docker().await?;
    // Nothing is brought there for a look.
    if !engine.has_image(&engine.image).await? {
        return Err(engine.no_image(&engine.image));
    }
    let made = docker.create_container(None::<CreateContainerOptions>, body(engine, home));
    let id = engine.ask("prepare a look at the home", made).await?.id;
    let options = AttachContainerOptionsBuilder::default().stdout(true).stream(true).build();
    let attached = docker.attach_container(&id, Some(options));
    let mut said = engine.ask("look at the home", attached).await?.output;
    let start = docker.start_container(&id, None::<StartContainerOptions>);
    engine.ask("look at the home", start).await?;
    let mut text = String::new();
    while let Some(chunk) = said.next().await {
        let chunk = chunk.map_err(|error| ProviderError::from(classify("look at the home", &error)))?;
        text.push_str(&String::from_utf8_lossy(chunk.as_ref()));
    }
    read(&text)
}

fn read(text: &str) -> Result<(u64, Option<Timestamp>)> {
    let mut lines = text.lines();
    let mut number = || lines.next()?.trim().parse::<u64>().ok();
    let Some(kib) = number() else {
        return Err(ProviderError::new(ErrorCode::ProviderFailed, "the look at it said nothing"));
    };
    let written = number().and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    Ok((kib * KIB, written.filter(|at| *at > Timestamp::UNIX_EPOCH)))
}

fn body(engine: &Engine, home: &Volume) -> ContainerCreateBody {
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(home.name.clone()),
        target: Some("/home".to_owned()),
        read_only: Some(true),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(engine.image.clone()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(["/bin/sh", "-c", SCRIPT].map(str::to_owned).to_vec()),
        cmd: Some(Vec::new()),
        working_dir: Some("/".to_owned()),
        labels: names::owner(&home.labels).map(|owner| names::copy_labels(&owner)),
        host_config: Some(HostConfig {
            auto_remove: Some(true),
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![mount]),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            // Whoever may read what is in it.
            cap_add: Some(vec!["DAC_READ_SEARCH".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            pids_limit: Some(64),
            log_config: Some(logs::limited()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_a_size_and_a_time_and_an_empty_home_has_no_time() {
        let at = Timestamp::from_second(1_764_500_000).unwrap();
        assert_eq!(read("12\n1764500000\n").unwrap(), (12 * KIB, Some(at)));
        assert_eq!(read("4\n0\n").unwrap(), (4 * KIB, None));
        assert!(read("").is_err());
    }
}
