//! On which host a runtime is to be made, as one word that all programs keep to.
//!
//! Two programs that place one runtime at the same moment see that it is nowhere, and may choose two hosts. So each says its
//! choice by a *claim* before it makes anything: an empty volume with the host as a label, on the host that is the judge for
//! everybody. Docker makes a volume of a name once, with the labels of whoever was first, and tells the others these. A claim goes
//! when the home is there, which decides from then on; [`crate::hosts`] looks for a home once more after it has read one.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::Volume;
use contracts::ErrorCode;
use futures_util::future::{join_all, try_join_all};
use provider_api::{ProviderError, Result, RuntimeRef};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::{lasting, names, registers};

/// A claim that stays says nothing any more, so nobody waits for a host that is away.
const DISCARD: Duration = Duration::from_secs(2);

pub(crate) fn is_one(volume: &Volume) -> bool {
    names::is_claim(&volume.name)
}

/// The host that this runtime is to be made on: `choice`, unless another program was faster.
pub(crate) async fn settle(
    engines: &[Arc<Engine>],
    runtime: &RuntimeRef,
    choice: &Arc<Engine>,
) -> Result<Arc<Engine>> {
    let keys = keys(engines).await?;
    // The same for all who have these hosts, in whatever order and by whatever names they have them.
    let Some(judge) = keys.iter().zip(engines).min_by_key(|(key, _)| *key).map(|(_, judge)| judge) else {
        return Ok(choice.clone());
    };
    let ours = key(choice).await?;
    let said = say(judge, runtime, &ours).await?;
    let chosen = keys.iter().position(|key| *key == said);
    chosen.map(|index| engines[index].clone()).ok_or_else(|| elsewhere(judge, runtime, &said))
}

/// What each says of itself: an error where two are one engine, since what is on one is then on both.
pub(crate) async fn keys(engines: &[Arc<Engine>]) -> Result<Vec<String>> {
    let keys = try_join_all(engines.iter().map(|engine| key(engine))).await?;
    let mut unlike: Vec<_> = keys.iter().collect();
    unlike.sort();
    match unlike.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(same) => Err(alike(same[0])),
        None => Ok(keys),
    }
}

/// By its own words, which are the same for everybody. Machines that were copied whole may have one id.
async fn key(engine: &Engine) -> Result<String> {
    let Some(id) = engine.id().await? else { return Ok(format!("name {}", engine.host.name)) };
    let docker = engine.docker().await?;
    let info = engine.look("ask the engine who it is", docker.info()).await?;
    let [name, root] = [info.name, info.docker_root_dir].map(Option::unwrap_or_default);
    Ok(format!("id {id} {name} {root}"))
}

/// The first word that was said.
async fn say(judge: &Engine, runtime: &RuntimeRef, host: &str) -> Result<String> {
    let name = names::claim(&runtime.runtime_id);
    let labels = names::claim_labels(runtime, host);
    let kept = lasting::make(judge, "say which host is chosen", &name, labels).await?;
    names::must_own("volume", &name, &kept.labels, runtime)?;
    Ok(names::claimed(&kept.labels).unwrap_or_default().to_owned())
}

/// Removes what was said, wherever it was. If it stays, it goes with the runtime.
pub(crate) async fn discard(engines: &[Arc<Engine>], runtime: &RuntimeRef) {
    let name = &names::claim(&runtime.runtime_id);
    let of_host = |engine: Arc<Engine>| async move {
        let docker = engine.docker().await?;
        let found = engine.look("look for the claim", docker.inspect_volume(name)).await;
        let found = Failure::optional(found)?;
        if found.is_some_and(|found| names::owner(&found.labels).is_some_and(|owner| owner.is(runtime))) {
            registers::discard(&engine, name).await;
        }
        Ok::<_, ProviderError>(())
    };
    let all = join_all(engines.iter().cloned().map(of_host));
    match tokio::time::timeout(DISCARD, all).await {
        Ok(answers) => answers.into_iter().filter_map(Result::err).for_each(|error| {
            tracing::debug!(%error, claim = name, "whether a claim is on a host is not known");
        }),
        Err(_) => tracing::debug!(claim = name, "a host did not say in time whether it has a claim"),
    }
}

fn alike(key: &str) -> ProviderError {
    let message = format!("two of PILOT_DOCKER_HOSTS are one engine, or say the same of themselves ({key})");
    ProviderError::new(ErrorCode::ProviderNotConfigured, message).with_action(
        "Name each engine once. Of machines that were copied, remove /etc/docker/key.json or engine-id in Docker's data folder on one \
         while it runs no workspace, and restart its Docker.",
    )
}

fn elsewhere(judge: &Engine, runtime: &RuntimeRef, said: &str) -> ProviderError {
    let message = format!(
        "another program has begun to make {} on the Docker host ({said}), which is none of these hosts",
        runtime.runtime_id
    );
    ProviderError::new(ErrorCode::RuntimeElsewhere, message).with_action(format!(
        "Give all programs of this installation the same PILOT_DOCKER_HOSTS. If that host is gone for good: `docker -H {} volume rm {}`.",
        judge.host.address,
        names::claim(&runtime.runtime_id)
    ))
}
