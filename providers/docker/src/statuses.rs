//! Whether many containers run: one list of each host, told of as soon as that has answered.

use std::collections::HashSet;
use std::sync::Arc;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use contracts::{InstallationId, RuntimeId};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use provider_api::{ProviderError, Result, RunStatus, Statuses, lifecycle};

use crate::engine::Engine;
use crate::lifecycle::DockerLifecycle;
use crate::{egress, locate, names};

type Listed = Result<Vec<(RuntimeId, RunStatus)>>;

/// What is left to be told.
struct Rest<'a> {
    hosts: FuturesUnordered<BoxFuture<'a, (&'a Engine, Listed)>>,
    runtimes: HashSet<RuntimeId>,
    /// Of the last host that did not answer.
    silent: Option<ProviderError>,
}

pub(crate) fn many<'a>(
    of: &'a DockerLifecycle,
    installation: InstallationId,
    runtimes: Vec<RuntimeId>,
) -> Statuses<'a> {
    let engines = match of.hosts.all() {
        Ok(engines) => engines,
        Err(error) => return all_failed(runtimes, error),
    };
    let ask = |engine: &'a Arc<Engine>| {
        let installation = installation.clone();
        async move { (engine.as_ref(), list(engine, &installation).await) }.boxed()
    };
    let hosts = engines.iter().map(ask).collect();
    let rest = Rest { hosts, runtimes: runtimes.into_iter().collect(), silent: None };
    let step = move |rest: Option<Rest<'a>>| {
        let installation = installation.clone();
        async move {
            let mut rest = rest?;
            Some(match rest.hosts.next().await {
                Some((_, Ok(listed))) => {
                    let told = listed.into_iter().filter(|(id, _)| rest.runtimes.remove(id));
                    let told: Vec<_> = told.map(|(id, status)| (id, Ok(status))).collect();
                    (stream::iter(told).boxed(), Some(rest))
                }
                Some((engine, Err(error))) => {
                    // A host of several may have what the others have not; the only one is what was asked.
                    rest.silent = Some(if engine.is_named() { locate::may_be_there(error) } else { error });
                    (stream::empty().boxed(), Some(rest))
                }
                None => (unlisted(of, installation, rest), None),
            })
        }
    };
    stream::unfold(Some(rest), step).flatten().boxed()
}

/// What no list has is gone, another's, or in a state that needs a look.
fn unlisted<'a>(of: &'a DockerLifecycle, installation: InstallationId, rest: Rest<'a>) -> Statuses<'a> {
    let runtimes = rest.runtimes.into_iter().collect();
    match rest.silent {
        Some(error) => all_failed(runtimes, error),
        None => lifecycle::status_each(of, installation, runtimes),
    }
}

fn all_failed(runtimes: Vec<RuntimeId>, error: ProviderError) -> Statuses<'static> {
    stream::iter(runtimes).map(move |id| (id, Err(error.clone()))).boxed()
}

async fn list(engine: &Arc<Engine>, installation: &InstallationId) -> Listed {
    let docker = engine.docker().await?;
    let filters = names::owned_by(installation);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = engine.look("list containers", docker.list_containers(Some(options))).await?;
    // Nobody waits for this.
    egress::look_after(engine, installation, &listed);
    Ok(listed.iter().filter_map(read).collect())
}

/// `None` where an inspection has to tell.
fn read(container: &ContainerSummary) -> Option<(RuntimeId, RunStatus)> {
    let runtime = names::owner(container.labels.as_ref()?)?.runtime_id;
    let is_named = |name: &String| name.strip_prefix('/') == Some(&names::name(&runtime));
    container.names.as_ref()?.iter().any(is_named).then_some(())?;
    let status = match container.state? {
        ContainerSummaryStateEnum::RUNNING => RunStatus::Running,
        ContainerSummaryStateEnum::PAUSED => RunStatus::Suspended,
        ContainerSummaryStateEnum::CREATED => RunStatus::Stopped { exit_code: None },
        // In words for people: "Exited (137) 5 minutes ago".
        ContainerSummaryStateEnum::EXITED => {
            let code = container.status.as_deref()?.strip_prefix("Exited (")?.split(')').next()?;
            RunStatus::Stopped { exit_code: Some(code.parse().ok()?) }
        }
        _ => return None,
    };
    Some((runtime, status))
}
