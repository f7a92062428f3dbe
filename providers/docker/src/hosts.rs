//! All hosts, and on which of them a runtime is.
//!
//! Docker itself is the memory of that: whoever wants a runtime's objects asks all hosts, so no crash and
//! no second program can make it wrong. The home volume decides; a host that does not answer is an error
//! and never "there is none", so that nothing is made twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::query_parameters::ListNetworksOptionsBuilder;
use contracts::RuntimeId;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use provider_api::{ProviderError, Result};
use provider_kit::Locks;
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::failure::Failure;
use crate::placement::{Need, Room, choose, no_room};
use crate::{DockerConfig, Timing, container, declare, fence, names, room, settings};

/// For so long a place is kept for a runtime whose container is not made yet.
const KEPT: Duration = Duration::from_secs(300);

pub(crate) struct Hosts {
    pub config: DockerConfig,
    /// One action at a time on each runtime.
    pub locks: Locks<RuntimeId>,
    engines: Result<Vec<Arc<Engine>>>,
    /// Places that were chosen and do not show on the host yet. Held while one is chosen.
    kept: Mutex<HashMap<RuntimeId, (String, Need, Instant)>>,
}

impl Hosts {
    pub fn new(config: DockerConfig, timing: Timing) -> Self {
        let engines = Self::read(&config, timing);
        Self { config, locks: Locks::default(), engines, kept: Mutex::default() }
    }

    fn read(config: &DockerConfig, timing: Timing) -> Result<Vec<Arc<Engine>>> {
        let engine = |host, chosen| Engine::new(host, chosen, config, timing).map(Arc::new);
        let named = config.host.as_deref();
        match settings::hosts_unless(&config.settings, named)? {
            Some(hosts) => hosts.into_iter().map(|host| engine(host, None)).collect(),
            None => {
                let chosen = config.surroundings.choose(named)?;
                Ok(vec![engine(chosen.host(config.publish)?, Some(chosen))?])
            }
        }
    }

    pub fn all(&self) -> Result<&[Arc<Engine>]> {
        self.engines.as_ref().map(Vec::as_slice).map_err(Clone::clone)
    }

    /// The first host, which has what is no runtime's.
    pub fn first(&self) -> Result<&Arc<Engine>> {
        self.all()?.first().ok_or_else(|| settings::unusable("hosts", "it names no host"))
    }

    /// The only host, when nobody has configured several. There is nothing to look for and to choose.
    fn only(&self) -> Result<Option<&Arc<Engine>>> {
        Ok(self.all()?.first().filter(|first| !first.is_named()))
    }

    /// Where this runtime is; `None` when it is surely on no host.
    pub async fn locate(&self, runtime: &RuntimeId) -> Result<Option<Arc<Engine>>> {
        if let Some(only) = self.only()? {
            return Ok(Some(only.clone()));
        }
        let mut silent = None;
        let mut asked: FuturesUnordered<_> = self
            .all()?
            .iter()
            .map(|engine| async move { (engine, has_volume(engine, runtime).await) })
            .collect();
        while let Some((engine, answer)) = asked.next().await {
            match answer {
                Ok(true) => return Ok(Some(engine.clone())),
                Ok(false) => {}
                Err(error) => silent = Some(error),
            }
        }
        if let Some(error) = silent {
            return Err(may_be_there(error));
        }
        for (engine, answer) in join_all(
            self.all()?.iter().map(|engine| async move { (engine, has_other(engine, runtime).await) }),
        )
        .await
        {
            if answer? {
                return Ok(Some(engine.clone()));
            }
        }
        Ok(None)
    }

    /// Where this runtime is, or the first host, which then says that it is not there.
    pub async fn of(&self, runtime: &RuntimeId) -> Result<Arc<Engine>> {
        match self.locate(runtime).await? {
            Some(engine) => Ok(engine),
            None => self.first().cloned(),
        }
    }

    /// Where the object of this name is; `None` when it is surely on no host.
    pub async fn of_id(&self, id: &str) -> Result<Option<Arc<Engine>>> {
        match (self.only()?, names::runtime(id)) {
            (Some(only), _) => Ok(Some(only.clone())),
            (None, Some(runtime)) => self.locate(&runtime).await,
            (None, None) => Ok(None),
        }
    }

    /// Where the first object of this runtime is to be made, or where it already has one.
    pub async fn place(&self, runtime: &RuntimeId) -> Result<Arc<Engine>> {
        if let Some(engine) = self.locate(runtime).await? {
            return Ok(engine);
        }
        let mut kept = self.kept.lock().await;
        let need = declare::smallest();
        let engines = self.all()?;
        let mut rooms = Vec::new();
        for room in
            join_all(engines.iter().map(|engine| self.room(engine, (runtime, &self.config.image), &kept)))
                .await
        {
            rooms.push(room?);
        }
        let engine = engines[choose(&rooms, need)?].clone();
        kept.insert(runtime.clone(), (engine.host.name.clone(), need, Instant::now()));
        tracing::info!(%runtime, host = engine.host.name, "a host is chosen");
        Ok(engine)
    }

    /// The same for a runtime that begins with another's snapshot: where that is.
    pub async fn place_beside(&self, runtime: &RuntimeId, other: &RuntimeId) -> Result<Arc<Engine>> {
        match self.locate(runtime).await? {
            Some(engine) => Ok(engine),
            None => self.of(other).await,
        }
    }

    /// Passes when this container may be made on its host, or made to take so much.
    pub async fn admit(&self, engine: &Engine, inputs: &container::Inputs) -> Result<()> {
        if !engine.is_named() {
            return Ok(());
        }
        let (runtime, need) = (&inputs.owned.runtime_id, inputs.need());
        let mut kept = self.kept.lock().await;
        let room = self.room(engine, (runtime, &inputs.image), &kept).await?;
        if room.refuses(need).is_some() {
            return Err(no_room(&[room], need));
        }
        kept.insert(runtime.clone(), (engine.host.name.clone(), need, Instant::now()));
        Ok(())
    }

    /// What is true of a host, this runtime left out of account.
    async fn room(
        &self,
        engine: &Engine,
        (runtime, image): (&RuntimeId, &str),
        kept: &HashMap<RuntimeId, (String, Need, Instant)>,
    ) -> Result<Room> {
        let goes_there = |(theirs, (host, need, since)): (&RuntimeId, &(String, Need, Instant))| {
            (*host == engine.host.name && since.elapsed() < KEPT).then(|| (theirs.clone(), *need))
        };
        let mut room = room::of(engine, image, &kept.iter().filter_map(goes_there).collect()).await?;
        room.promised.remove(runtime);
        Ok(room)
    }

    /// Whether an instance could be made now: every host answers, and one has the image.
    pub async fn are_ready(&self) -> Result<()> {
        let engines = self.all()?;
        for answer in join_all(engines.iter().map(|engine| engine.is_reachable())).await {
            answer?;
        }
        let mut missing = None;
        for (engine, has) in engines
            .iter()
            .zip(join_all(engines.iter().map(|engine| engine.has_image(&self.config.image))).await)
        {
            if has? {
                return Ok(());
            }
            missing = missing.or_else(|| Some(engine.no_image(&self.config.image)));
        }
        missing.map_or(Ok(()), Err)
    }
}

pub(crate) async fn has_volume(engine: &Engine, runtime: &RuntimeId) -> Result<bool> {
    let docker = engine.docker().await?;
    let name = names::volume_name(runtime);
    let found =
        Failure::optional(engine.look("look for the home volume", docker.inspect_volume(&name)).await)?;
    Ok(found.is_some_and(|volume| is_of(&volume.labels, runtime)))
}

pub(crate) async fn has_other(engine: &Engine, runtime: &RuntimeId) -> Result<bool> {
    let docker = engine.docker().await?;
    let name = names::name(runtime);
    let found = container::inspect(engine, &name).await?;
    if found.as_ref().and_then(container::owner).is_some_and(|owner| owner.runtime_id == *runtime) {
        return Ok(true);
    }
    let label = format!("{}={runtime}", names::LABELS.runtime);
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    if !engine.ask("list networks", docker.list_networks(Some(options))).await?.is_empty() {
        return Ok(true);
    }
    fence::has_any(engine, runtime).await
}

fn is_of(labels: &HashMap<String, String>, runtime: &RuntimeId) -> bool {
    names::owner(labels).is_some_and(|owner| owner.runtime_id == *runtime)
}

/// The host that did not answer may hold the runtime.
pub(crate) fn may_be_there(error: ProviderError) -> ProviderError {
    let message = format!(
        "{}; the runtime may be on that host, so it is neither gone nor made elsewhere",
        error.message
    );
    ProviderError { message, ..error }
}
