//! All hosts, and on which of them a runtime is.
//!
//! Docker itself is the memory of that: whoever wants a runtime's objects asks all hosts (`locate`), so no crash and
//! no second program can make it wrong. Where there is nothing yet, all programs choose one host (`placement`, `claim`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::RuntimeId;
use futures_util::future::join_all;
use provider_api::{Result, RuntimeRef};
use provider_kit::Locks;
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::locate::{self, Holds};
use crate::placement::{Need, Room, choose, no_room};
use crate::{DockerConfig, Timing, claim, container, declare, names, room, settings};

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
                let chosen = config.env.choose(named)?;
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
        Ok(locate::on(self.all()?, runtime).await?.map(|found| found.engine))
    }

    /// The same where more of it is there than a claim.
    async fn locate_made(&self, runtime: &RuntimeId) -> Result<Option<Arc<Engine>>> {
        let found = locate::on(self.all()?, runtime).await?;
        Ok(found.filter(|found| found.holds > Holds::Claim).map(|found| found.engine))
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
    pub async fn place(&self, runtime: &RuntimeRef) -> Result<Arc<Engine>> {
        if let Some(only) = self.only()? {
            return Ok(only.clone());
        }
        let id = &runtime.runtime_id;
        if let Some(engine) = self.locate_made(id).await? {
            return Ok(engine);
        }
        let mut kept = self.kept.lock().await;
        let need = declare::smallest();
        let engines = self.all()?;
        let mut rooms = Vec::new();
        for room in
            join_all(engines.iter().map(|engine| self.room(engine, (id, &self.config.image), &kept))).await
        {
            rooms.push(room?);
        }
        let choice = &engines[choose(&rooms, need)?];
        let engine = match engines {
            [_] => choice.clone(),
            _ => self.agree(runtime, choice).await?,
        };
        kept.insert(id.clone(), (engine.host.name.clone(), need, Instant::now()));
        tracing::info!(runtime = %id, host = engine.host.name, "a host is chosen");
        Ok(engine)
    }

    /// The host on which all programs make it. A claim is removed after the home was made, so whoever reads one looks for a home
    /// again: without one, nobody has removed a claim, and all have read the same.
    async fn agree(&self, runtime: &RuntimeRef, choice: &Arc<Engine>) -> Result<Arc<Engine>> {
        let claimed = claim::settle(self.all()?, runtime, choice).await?;
        match locate::on(self.all()?, &runtime.runtime_id).await? {
            Some(found) if found.holds == Holds::Home => {
                claim::discard(self.all()?, runtime).await;
                Ok(found.engine)
            }
            Some(found) if found.holds == Holds::Other => Ok(found.engine),
            _ => Ok(claimed),
        }
    }

    /// Removes the claim of a runtime, whose home is there.
    pub async fn placed(&self, runtime: &RuntimeRef) {
        if let Ok(engines @ [_, _, ..]) = self.all() {
            claim::discard(engines, runtime).await;
        }
    }

    /// The same of a runtime that is wanted no more: it takes no place either.
    pub async fn gave_up(&self, runtime: &RuntimeRef) {
        self.kept.lock().await.remove(&runtime.runtime_id);
        self.placed(runtime).await;
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
