//! Which engines are reached: each says who it is, and keeps that with its data over restarts and upgrades.
//!
//! An engine without such a word has none here: Podman's answers to the same call with another one each time.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, FuturesUnordered};
use provider_api::{Located, Result, RuntimeRef, Site, Sites};

use crate::engine::Engine;
use crate::hosts::{Hosts, has_other, has_volume, may_be_there};

pub(crate) struct DockerSites {
    pub hosts: Arc<Hosts>,
}

#[async_trait]
impl Sites for DockerSites {
    fn kind(&self) -> &'static str {
        "the Docker engine"
    }

    fn recovery_hint(&self) -> String {
        match self.hosts.all().ok().and_then(<[_]>::first).is_some_and(|engine| engine.is_named()) {
            true => "Name that engine in PILOT_DOCKER_HOSTS, and start Pilot again.".to_owned(),
            false => "Lead Pilot back to that engine with `docker context use NAME`, DOCKER_HOST or \
                      `pilot serve --docker-host ADDRESS`, and start Pilot again; `docker info` says an engine's ID."
                .to_owned(),
        }
    }

    fn all(&self) -> BoxStream<'_, Result<Site>> {
        let engines = match self.hosts.all() {
            Ok(engines) => engines,
            Err(error) => return futures_util::stream::once(async { Err(error) }).boxed(),
        };
        engines.iter().map(site).collect::<FuturesUnordered<_>>().boxed()
    }

    async fn locate(&self, runtime: &RuntimeRef) -> Result<Option<Located>> {
        let (engines, id) = (self.hosts.all()?, &runtime.runtime_id);
        let mut asked: FuturesUnordered<_> =
            engines.iter().map(|engine| async move { (engine, has_volume(engine, id).await) }).collect();
        let mut silent = None;
        while let Some((engine, has)) = asked.next().await {
            match has {
                Ok(true) => return Ok(Some(Located { site: site(engine).await?, home: true })),
                Ok(false) => {}
                Err(error) if engine.is_named() => silent = Some(may_be_there(error)),
                Err(error) => silent = Some(error),
            }
        }
        if let Some(error) = silent {
            return Err(error);
        }
        let others = engines.iter().map(|engine| async move { (engine, has_other(engine, id).await) });
        for (engine, has) in join_all(others).await {
            if has? {
                return Ok(Some(Located { site: site(engine).await?, home: false }));
            }
        }
        Ok(None)
    }
}

async fn site(engine: &Arc<Engine>) -> Result<Site> {
    Ok(Site { id: engine.id().await?.unwrap_or_default(), via: engine.via() })
}
