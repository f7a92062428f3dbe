//! Two homes of one runtime: what is told of them, so that a person can choose.
//!
//! It comes of a volume that was copied to another host and stayed on the first, or of a host that is back after its homes were
//! moved. Every call about the runtime is refused until one is left: what is in the other is found by nobody but a person.

pub(crate) mod look;

use std::collections::HashMap;
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, Volume};
use bollard::query_parameters::ListContainersOptionsBuilder;
use contracts::{ErrorCode, RuntimeId};
use futures_util::future::join_all;
use provider_api::{ProviderError, Result, RunStatus};

use crate::engine::Engine;
use crate::{container, names};

pub(crate) async fn error(runtime: &RuntimeId, homes: Vec<(Arc<Engine>, Volume)>) -> ProviderError {
    let told = homes.iter().map(|(engine, home)| async move {
        let used = match last_use(engine, &home.name).await {
            Ok(used) => used,
            Err(error) => format!("who uses it is not known ({error})"),
        };
        let made = home.created_at.as_ref().map(|at| format!(", made {at}")).unwrap_or_default();
        let looked = look::at(engine, home).await;
        format!("{} has the volume {}{made}, {looked}, {used}", engine.via(), home.name)
    });
    let told = join_all(told).await.join("; ");
    let name = names::volume_name(runtime);
    let each = |command: String| {
        move |(engine, _): &(Arc<Engine>, Volume)| format!("`docker -H {} {command}`", engine.host.address)
    };
    let sizes: Vec<_> = homes
        .iter()
        .map(each(format!("run --rm -v {name}:/home:ro debian:bookworm-slim du -sh /home")))
        .collect();
    let removals: Vec<_> = homes.iter().map(each(format!("volume rm {name}"))).collect();
    let message = format!(
        "the home of {runtime} is there {} times, and nothing says which one is right: {told}",
        homes.len()
    );
    ProviderError::new(ErrorCode::HomeDoubled, message).with_action(format!(
        "Look how large they are ({}) and what is in them, keep a copy of the one that goes, remove that host's container \
         `{}`, if there is one, and remove its volume: {}.",
        sizes.join(", "),
        names::name(runtime),
        removals.join(" or ")
    ))
}

/// When the containers that have it last ran.
async fn last_use(engine: &Engine, volume: &str) -> Result<String> {
    let docker = engine.docker().await?;
    let filters = HashMap::from([("volume".to_owned(), vec![volume.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = engine.look("list who uses the volume", docker.list_containers(Some(options))).await?;
    let mut last = None;
    // A look at it is no use of it.
    let users = listed.into_iter().filter(|container| !container.labels.as_ref().is_some_and(names::is_copy));
    for id in users.filter_map(|container| container.id) {
        let Some(found) = container::inspect(engine, &id).await? else { continue };
        if container::status(&found) == RunStatus::Running {
            return Ok("in use by a container that runs now".to_owned());
        }
        last = last.max(ended(&found));
    }
    Ok(match last {
        Some(at) => format!("last used {at}"),
        None => "not used by any container that is there".to_owned(),
    })
}

fn ended(found: &ContainerInspectResponse) -> Option<jiff::Timestamp> {
    let at: jiff::Timestamp = found.state.as_ref()?.finished_at.as_ref()?.parse().ok()?;
    // Docker's word for never.
    (at > jiff::Timestamp::UNIX_EPOCH).then_some(at)
}
