//! What an instance really reaches, asked from inside one: rules that look right are no proof.

use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use contracts::InstallationId;
use futures_util::future::join_all;
use provider_api::{Finding, Result};

use super::keeper::{self, Keeper};
use super::lists::enforce;
use crate::engine::Engine;
use crate::{container, exec, generation, logs, names};

/// Where clouds answer whoever asks from inside with the machine's credentials.
const METADATA: &str = "169.254.169.254";
/// Nobody serves it, so whoever is reached refuses it at once.
const DISCARD: u16 = 9;
const LIMIT: Duration = Duration::from_secs(10);
/// Says `reached` when a connection is made or refused by whoever is there: a rule says otherwise.
const PROBE: &str = "said=$(timeout 2 bash -c \"exec 3<>/dev/tcp/$0/$1\" 2>&1) && echo reached || \
                     case $said in *refused*) echo reached ;; *) echo closed ;; esac";
const LOG_BYTES: usize = 4000;
/// What people clone from.
const NAME: &str = "github.com";
/// As `keeper.sh` says it.
const UNDONE: &str = "had been changed or removed";

/// What instances of the installation reach on each host.
pub(crate) async fn look(engines: &[std::sync::Arc<Engine>], installation: &InstallationId) -> Vec<Finding> {
    join_all(engines.iter().map(|engine| host(engine, installation))).await
}

async fn host(engine: &Engine, installation: &InstallationId) -> Finding {
    let name = format!("egress of host {}", engine.host.name);
    match reached(engine, installation).await {
        Ok(Ok(detail)) => Finding { name, ok: true, detail, action: None },
        Ok(Err(what)) => Finding {
            name,
            ok: engine.egress.allow_open,
            detail: what,
            action: Some(if engine.egress.allow_open { ALLOWED } else { OPEN }.to_owned()),
        },
        Err(error) => Finding { name, ok: false, detail: error.message, action: error.action },
    }
}

const OPEN: &str = "`pilot ws restart NAME` puts rules in place for what ran before there were any. Where the rules were removed by \
                    hand they are back within seconds; look at `docker ps -a --filter label=pilot.egress` when they are not.";
const ALLOWED: &str = "You have allowed it by PILOT_DOCKER_EGRESS=allow-open.";

/// What is well, or what is reached that should not be.
async fn reached(
    engine: &Engine,
    installation: &InstallationId,
) -> Result<std::result::Result<String, String>> {
    let keeper = keeper(&Keeper { engine, installation }).await?;
    let is_kept = keeper.is_ok();
    let (Ok(keeper) | Err(keeper)) = keeper;
    let running = running(engine, installation).await?;
    let has_list =
        |one: &ContainerSummary| one.labels.as_ref().is_some_and(|labels| names::egress(labels).is_some());
    let look = |one: &ContainerSummary| Some((one.id.clone()?, gateway(one)?, has_list(one)));
    // One without a list tells more.
    let first = running.iter().filter(|one| !has_list(one)).chain(&running).find_map(look);
    let Some((one, gateway, is_listed)) = first else {
        return Ok(Ok(format!("no instance runs from which to look; {keeper}")));
    };
    let mut reached = Vec::new();
    for (address, port, what) in
        [(gateway.as_str(), DISCARD, "its host"), (METADATA, 80, "the metadata address")]
    {
        let words = ["bash", "-c", PROBE, address, &port.to_string()].map(str::to_owned);
        let said = exec::run(engine, &one, &words, LIMIT, None).await?;
        match String::from_utf8_lossy(&said.stdout).trim() {
            "reached" => reached.push(format!("{what} at {address}")),
            "closed" => {}
            _ => return Ok(Ok(format!("nobody looked: the image of instances has no `bash`; {keeper}"))),
        }
    }
    Ok(match (reached.is_empty(), is_kept) {
        (true, true) => {
            let names = if is_listed { String::new() } else { resolves(engine, &one).await? };
            let lists = lists_in_force(engine, installation, &running).await?;
            Ok(format!("closed, seen from inside an instance{names}{lists}; {keeper}"))
        }
        (true, false) => Err(format!("closed now, seen from inside an instance, but {keeper}")),
        (false, _) => Err(format!("an instance reaches {}; {keeper}", reached.join(" and "))),
    })
}

/// The keeper says so of each, having looked at the kernel's rules; what is not in force is put in force by that.
async fn lists_in_force(
    engine: &Engine,
    installation: &InstallationId,
    running: &[ContainerSummary],
) -> Result<String> {
    let mut lists = 0;
    for labels in
        running.iter().filter_map(|one| one.labels.as_ref()).filter(|one| names::egress(one).is_some())
    {
        let Some(runtime) = names::owner(labels).filter(|owner| owner.installation == *installation) else {
            continue;
        };
        let found = container::inspect(engine, &names::name(&runtime.runtime_id)).await?;
        let Some(found) = found else { continue };
        if let Some(list) = generation::seen(engine, &found).await?.egress {
            enforce(engine, &runtime, &list).await?;
            lists += 1;
        }
    }
    Ok(match lists {
        0 => String::new(),
        1 => "; 1 list of destinations is in force".to_owned(),
        more => format!("; {more} lists of destinations are in force"),
    })
}

/// A site may have no names of the internet, so that is told and is no fault.
async fn resolves(engine: &Engine, container: &str) -> Result<String> {
    let words = ["timeout", "5", "getent", "hosts", NAME].map(str::to_owned);
    Ok(match exec::run(engine, container, &words, LIMIT, None).await?.exit_code {
        0 => String::new(),
        // No such program.
        126 | 127 => String::new(),
        _ => format!(
            " (there the name {NAME} is not known: where the engine's resolvers have changed, a restart of this container reads them anew)"
        ),
    })
}

/// In words. That somebody has changed the rules is told as long as the log says so.
async fn keeper(keeper: &Keeper<'_>) -> Result<std::result::Result<String, String>> {
    let Some(found) = keeper.find().await? else { return Ok(Err("nothing keeps rules here".to_owned())) };
    if !keeper::runs(&found) {
        let why = found.state.as_ref().and_then(container::why_it_ended);
        let why = if keeper::is_paused(&found) { Some("it is paused".to_owned()) } else { why };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        return Ok(Err(format!("the container {} that keeps the rules does not run{why}", keeper.name())));
    }
    let log = logs::tail(keeper.engine, &keeper.name(), LOG_BYTES).await?;
    Ok(Ok(match log.lines().filter(|line| line.contains(UNDONE)).count() {
        0 => format!("{} keeps the rules", keeper.name()),
        times => format!(
            "{} keeps the rules, and found them changed or removed by somebody else {times} times: `docker logs -t {}` says when",
            keeper.name(),
            keeper.name()
        ),
    }))
}

async fn running(engine: &Engine, installation: &InstallationId) -> Result<Vec<ContainerSummary>> {
    let docker = engine.docker().await?;
    let mut filters = names::owned_by(installation);
    filters.insert("status".to_owned(), vec!["running".to_owned()]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    Ok(engine.ask("list containers", docker.list_containers(Some(options))).await?)
}

/// The host's address on the instance's own network.
fn gateway(container: &ContainerSummary) -> Option<String> {
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    networks.values().find_map(|network| network.gateway.clone().filter(|gateway| !gateway.is_empty()))
}
