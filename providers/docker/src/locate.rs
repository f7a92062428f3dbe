//! On which host a runtime is: what each of them has of it. The home decides.
//!
//! All hosts are asked at once. One that does not answer is an error and never "there is none", unless another has the home; and
//! two homes of one runtime are an error, because nobody but a person knows which of them is the right one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::Volume;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use contracts::RuntimeId;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use provider_api::{ProviderError, Result};
use tokio::time::{Instant, timeout_at};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::{claim, container, doubled, names, registers};

/// What the others get to say that they have a home too, when one has said so. What is on hosts that answer does not wait for
/// one that is away any longer.
const OTHERS: Duration = Duration::from_secs(2);

/// The most that a host has of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holds {
    /// Only what was said of where it is to be made.
    Claim,
    /// Container, network or registers, and no home.
    Other,
    Home,
}

/// Where it is.
pub(crate) struct Located {
    pub engine: Arc<Engine>,
    pub holds: Holds,
}

/// `None` when it is surely on none of these hosts.
pub(crate) async fn on(engines: &[Arc<Engine>], runtime: &RuntimeId) -> Result<Option<Located>> {
    let mut homes = homes(engines, runtime).await?;
    match homes.pop() {
        Some((engine, _)) if homes.is_empty() => return Ok(Some(Located { engine, holds: Holds::Home })),
        Some(last) => {
            homes.push(last);
            // Of one engine under two names it is one home, and what is told of two would have it removed.
            claim::keys(&homes.iter().map(|(engine, _)| engine.clone()).collect::<Vec<_>>()).await?;
            return Err(doubled::error(runtime, homes).await);
        }
        None => {}
    }
    let mut most: Option<Located> = None;
    let asked = engines.iter().map(|engine| async move { (engine, has_other(engine, runtime).await) });
    for (engine, answer) in join_all(asked).await {
        // Of equals the first, so that everybody finds the same.
        if let Some(holds) = answer?
            && most.as_ref().is_none_or(|most| most.holds < holds)
        {
            most = Some(Located { engine: engine.clone(), holds });
        }
    }
    Ok(most)
}

/// Every home of the runtime, in the order of the hosts.
async fn homes(engines: &[Arc<Engine>], runtime: &RuntimeId) -> Result<Vec<(Arc<Engine>, Volume)>> {
    let (mut found, mut silent) = (Vec::new(), None);
    let mut asked: FuturesUnordered<_> = engines
        .iter()
        .enumerate()
        .map(|(index, engine)| async move { (index, home(engine, runtime).await) })
        .collect();
    let mut pending: Vec<usize> = (0..engines.len()).collect();
    let mut limit = None;
    loop {
        let next = match limit {
            None => asked.next().await,
            Some(limit) => timeout_at(limit, asked.next()).await.unwrap_or_default(),
        };
        let Some((index, answer)) = next else { break };
        pending.retain(|other| *other != index);
        match answer {
            Ok(Some(home)) => {
                let hears = pending.iter().any(|other| !engines[*other].was_silent());
                let timeout = if hears { OTHERS } else { Duration::ZERO };
                limit = limit.or(Some(Instant::now() + timeout));
                found.push((index, home));
            }
            Ok(None) => {}
            Err(error) if engines[index].is_named() => silent = Some(may_be_there(error)),
            Err(error) => silent = Some(error),
        }
    }
    pending.iter().for_each(|index| engines[*index].note_silence());
    if let (Some(error), true) = (silent, found.is_empty()) {
        return Err(error);
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(found.into_iter().map(|(index, home)| (engines[index].clone(), home)).collect())
}

async fn home(engine: &Engine, runtime: &RuntimeId) -> Result<Option<Volume>> {
    let docker = engine.docker().await?;
    let name = names::volume_name(runtime);
    let look = engine.look("look for the home volume", docker.inspect_volume(&name));
    let found = Failure::optional(look.await)?;
    let is_its =
        |volume: &Volume| names::owner(&volume.labels).is_some_and(|owner| owner.runtime_id == *runtime);
    Ok(found.filter(is_its))
}

async fn has_other(engine: &Engine, runtime: &RuntimeId) -> Result<Option<Holds>> {
    let docker = engine.docker().await?;
    let name = names::name(runtime);
    let found = container::inspect(engine, &name).await?;
    if found.as_ref().and_then(container::owner).is_some_and(|owner| owner.runtime_id == *runtime) {
        return Ok(Some(Holds::Other));
    }
    let label = format!("{}={runtime}", names::LABELS.runtime);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    if !engine.ask("list networks", docker.list_networks(Some(options))).await?.is_empty() {
        return Ok(Some(Holds::Other));
    }
    let volumes = registers::all(engine, runtime).await?;
    let holds = |volume: &Volume| if claim::is_one(volume) { Holds::Claim } else { Holds::Other };
    Ok(volumes.iter().map(holds).max())
}

/// The host that did not answer may hold the runtime.
pub(crate) fn may_be_there(error: ProviderError) -> ProviderError {
    let message = format!(
        "{}; the runtime may be on that host, so it is neither gone nor made elsewhere",
        error.message
    );
    ProviderError { message, ..error }
}
