//! What an instance really reaches, asked from inside one: rules that look right are no proof.

use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{ContainerSummary, EndpointSettings};
use bollard::query_parameters::ListContainersOptionsBuilder;
use contracts::InstallationId;
use futures_util::future::{join_all, try_join_all};
use provider_api::{Finding, Result};

use super::keeper::{self, Keeper};
use super::lists::enforce;
use super::{Egress, OPENED_BY};
use crate::engine::Engine;
use crate::{container, exec, generation, logs, names};

/// Where clouds answer whoever asks from inside with the machine's credentials.
const METADATA: &str = "169.254.169.254";
/// The same over IPv6; who has no address of IPv6 cannot ask it.
const METADATA6: &str = "fd00:ec2::254";
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
    // One without a list tells more, and one with IPv6.
    let mut from: Vec<_> = running.iter().filter(|one| one.id.is_some() && !hosts(one).is_empty()).collect();
    from.sort_by_key(|one| (has_list(one), !has_ipv6(one)));
    let Some((one, id)) = from.first().and_then(|&one| Some((one, one.id.as_deref()?))) else {
        return Ok(Ok(format!("no instance runs from which to look; {keeper}")));
    };
    let is_listed = has_list(one);
    let asked = asked(one, &from, &engine.egress);
    if asked.is_empty() {
        return Ok(Ok(format!("{OPENED_BY} opens all of it, and nobody looked; {keeper}")));
    }
    let mut reached = Vec::new();
    for (said, (address, _, what)) in
        try_join_all(asked.iter().map(|to| ask(engine, id, to))).await?.iter().zip(&asked)
    {
        match said.trim() {
            "reached" => reached.push(format!("{what} at {address}")),
            "closed" => {}
            _ => return Ok(Ok(format!("nobody looked: the image of instances has no `bash`; {keeper}"))),
        }
    }
    Ok(match (reached.is_empty(), is_kept) {
        (true, true) => {
            let names = if is_listed { String::new() } else { resolves(engine, id).await? };
            let lists = lists_in_force(engine, installation, &running).await?;
            Ok(format!("closed, seen from inside an instance{names}{lists}; {keeper}"))
        }
        (true, false) => Err(format!("closed now, seen from inside an instance, but {keeper}")),
        (false, _) => Err(format!("an instance reaches {}; {keeper}", reached.join(" and "))),
    })
}

/// Where an instance calls, and who is there.
type Question = (IpAddr, u16, &'static str);

/// What instances never reach, unless the operator has opened it: all of it is a cloud's, this host's or an instance's, so nobody else
/// gets a call that he has not asked for.
fn asked(one: &ContainerSummary, running: &[&ContainerSummary], egress: &Egress) -> Vec<Question> {
    let metadata = [Some(METADATA), has_ipv6(one).then_some(METADATA6)].into_iter().flatten();
    let metadata = metadata.filter_map(|address| Some((address.parse().ok()?, 80, "the metadata address")));
    let hosts = hosts(one).into_iter().map(|address| (address, DISCARD, "its host"));
    let mut all: Vec<Question> = hosts.chain(metadata).collect();
    // One of each kind of address: what holds for one neighbour holds for all.
    for is_v4 in [true, false] {
        let own = addresses(one);
        let others = running.iter().flat_map(|other| addresses(other));
        let other = others.filter(|other| other.is_ipv4() == is_v4).find(|other| !own.contains(other));
        let can = is_v4 || has_ipv6(one);
        all.extend(other.filter(|_| can).map(|address| (address, DISCARD, "another instance")));
    }
    all.retain(|(address, ..)| !egress.has_opened(*address));
    all
}

async fn ask(engine: &Engine, id: &str, (address, port, _): &Question) -> Result<String> {
    let words = ["bash", "-c", PROBE, &address.to_string(), &port.to_string()].map(str::to_owned);
    let said = exec::run(engine, id, &words, LIMIT, None).await?;
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
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

fn networks(container: &ContainerSummary) -> impl Iterator<Item = &EndpointSettings> {
    container
        .network_settings
        .iter()
        .filter_map(|settings| settings.networks.as_ref())
        .flat_map(|all| all.values())
}

/// What is no address says that there is none.
fn parsed<'a>(all: impl IntoIterator<Item = &'a Option<String>>) -> Vec<IpAddr> {
    all.into_iter().filter_map(|address| address.as_deref()?.parse().ok()).collect()
}

/// The host's addresses on the instance's own network.
fn hosts(container: &ContainerSummary) -> Vec<IpAddr> {
    parsed(networks(container).flat_map(|network| [&network.gateway, &network.ipv6_gateway]))
}

/// The instance's own.
fn addresses(container: &ContainerSummary) -> Vec<IpAddr> {
    parsed(networks(container).flat_map(|network| [&network.ip_address, &network.global_ipv6_address]))
}

fn has_ipv6(container: &ContainerSummary) -> bool {
    addresses(container).iter().any(IpAddr::is_ipv6)
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerSummaryNetworkSettings;
    use provider_api::Settings;

    use super::*;

    fn instance(address: &str, address6: &str) -> ContainerSummary {
        let gateway = |address: &str| address.replace("::2", "::1").replace(".2", ".1");
        let network = EndpointSettings {
            ip_address: Some(address.to_owned()),
            gateway: Some(gateway(address)),
            global_ipv6_address: Some(address6.to_owned()),
            ipv6_gateway: Some(gateway(address6)),
            ..Default::default()
        };
        let networks = Some([("one".to_owned(), network)].into());
        let network_settings = Some(ContainerSummaryNetworkSettings { networks });
        ContainerSummary { network_settings, ..Default::default() }
    }

    fn questions(all: &[ContainerSummary], open: &str) -> Vec<String> {
        let var = |name: &str| (name == OPENED_BY).then(|| open.to_owned()).filter(|open| !open.is_empty());
        let settings = Settings::read(&"docker".parse().unwrap(), crate::SETTINGS, var).unwrap();
        let egress = Egress::read(&settings, "").unwrap();
        let asked = asked(&all[0], &all.iter().collect::<Vec<_>>(), &egress);
        asked.into_iter().map(|(address, port, _)| format!("{address} {port}")).collect()
    }

    #[test]
    fn it_asks_over_ipv6_where_the_instance_has_it_and_a_neighbour_where_there_is_one() {
        let (four, both) = (instance("172.18.0.2", ""), instance("172.19.0.2", "fd00:19::2"));
        assert_eq!(questions(std::slice::from_ref(&four), ""), ["172.18.0.1 9", "169.254.169.254 80"]);
        assert_eq!(
            questions(&[four.clone(), both.clone()], ""),
            ["172.18.0.1 9", "169.254.169.254 80", "172.19.0.2 9"]
        );
        let more = instance("172.20.0.2", "fd00:20::2");
        let [host, host6, metadata, metadata6] =
            ["172.19.0.1 9", "fd00:19::1 9", "169.254.169.254 80", "fd00:ec2::254 80"];
        assert_eq!(
            questions(&[both, four, more], ""),
            [host, host6, metadata, metadata6, "172.18.0.2 9", "fd00:20::2 9"]
        );
    }

    #[test]
    fn what_the_operator_has_opened_is_not_asked() {
        let all = [instance("172.18.0.2", "fd00:18::2"), instance("172.19.0.2", "fd00:19::2")];
        assert_eq!(questions(&all, "172.18.0.0/15,fd00::/8"), ["169.254.169.254 80"]);
        assert_eq!(questions(&all, "0.0.0.0/0,::/0"), [""; 0]);
    }
}
