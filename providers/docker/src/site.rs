//! Which engines are reached: each says who it is, and keeps that with its data over restarts and upgrades.
//!
//! An engine without such a word has none here: Podman's answers to the same call with another one each time.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, FuturesUnordered};
use provider_api::{Located, Result, RuntimeRef, Site, Sites};

use crate::engine::Engine;
use crate::hosts::Hosts;
use crate::locate::{self, Holds};

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
        let found = locate::on(self.hosts.all()?, &runtime.runtime_id).await?;
        // What was said of where it is to be made is nothing of it.
        match found.filter(|found| found.holds > Holds::Claim) {
            Some(found) => {
                let site = site(&found.engine).await?;
                Ok(Some(Located { site, home: found.holds == Holds::Home }))
            }
            None => Ok(None),
        }
    }
}

async fn site(engine: &Arc<Engine>) -> Result<Site> {
    Ok(Site { id: engine.id().await?.unwrap_or_default(), via: engine.via() })
}
