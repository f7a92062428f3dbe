//! What happens to containers, as each host's engine tells it.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptionsBuilder;
use contracts::{InstallationId, RuntimeId};
use futures_util::stream::{self, StreamExt as _};
use provider_api::{Changes, Result};

use crate::engine::Engine;
use crate::lifecycle::DockerLifecycle;
use crate::names;

/// Of a container's events, those after which it may run, or not.
const EVENTS: [&str; 7] = ["start", "die", "oom", "pause", "unpause", "stop", "destroy"];

/// One host that is not heard ends it: it is listened to anew, with the others.
pub(crate) fn of(lifecycle: &DockerLifecycle, installation: InstallationId) -> Changes<'_> {
    let engines = match lifecycle.hosts.all() {
        Ok(engines) => engines,
        Err(error) => return stream::iter([Err(error)]).boxed(),
    };
    let hosts = engines.iter().map(|engine| of_host(engine.as_ref(), installation.clone()));
    stream::select_all(hosts.collect::<Vec<_>>()).boxed()
}

fn of_host(engine: &Engine, installation: InstallationId) -> Changes<'_> {
    let listen = async move {
        let mut filters: HashMap<_, _> = names::owned_by(&installation);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), EVENTS.map(str::to_owned).to_vec());
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        match engine.docker().await {
            Ok(docker) => {
                let events = docker.events(Some(options));
                events.filter_map(move |event| std::future::ready(read(engine, event))).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    };
    stream::once(listen).flatten().boxed()
}

fn read(
    engine: &Engine,
    event: std::result::Result<bollard::models::EventMessage, bollard::errors::Error>,
) -> Option<Result<RuntimeId>> {
    match event {
        Ok(event) => Some(Ok(names::owner(&event.actor?.attributes?)?.runtime_id)),
        Err(error) => Some(Err(engine.failed("listen to events", &error))),
    }
}
