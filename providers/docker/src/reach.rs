//! What doctor says of a host's network beside Pilot's own rules: whether instances lack the internet that their host has, and whether
//! their networks lie over one that the host is in. Looked at from the container that keeps the host's rules: it has the host's network.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
use contracts::InstallationId;
use futures_util::future::join_all;
use provider_api::{Finding, Result};

use crate::egress::BRIDGES;
use crate::engine::Engine;
use crate::{container, exec, names};

const LIMIT: Duration = Duration::from_secs(10);
/// What people clone from, where it serves it.
const CONNECT: &str =
    "timeout 4 bash -c 'exec 3<>/dev/tcp/github.com/443' 2>/dev/null && echo yes || echo no";
const ROUTES: &str = "cat /proc/net/route";

/// A network as routes and pools have it: its first address, and how many bits are fixed.
type Range = (u32, u32);

/// Only what is wrong is told: a site without the internet, or a host without a keeper, is as it is.
pub(crate) async fn look(engines: &[Arc<Engine>], installation: &InstallationId) -> Vec<Finding> {
    let each = engines.iter().map(|engine| async move {
        match of_host(engine, installation).await {
            Ok(found) => found,
            // Others tell that the host does not answer.
            Err(error) => {
                tracing::debug!(host = engine.host.name, %error, "the host's network could not be looked at");
                Vec::new()
            }
        }
    });
    join_all(each).await.concat()
}

async fn of_host(engine: &Engine, installation: &InstallationId) -> Result<Vec<Finding>> {
    let keeper = format!("pilot-egress-{installation}");
    let runs = |found: &bollard::models::ContainerInspectResponse| {
        found.state.as_ref().is_some_and(|state| state.running == Some(true) && state.paused != Some(true))
    };
    if !container::inspect(engine, &keeper).await?.is_some_and(|found| runs(&found)) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let routes = said(engine, &keeper, ROUTES).await?;
    found.extend(overlap(&engine.host.name, &networks(engine, installation).await?, &routes));
    if let Some(instance) = instance(engine, installation).await? {
        let (host, inside) =
            tokio::try_join!(said(engine, &keeper, CONNECT), said(engine, &instance, CONNECT))?;
        found.extend(cut_off(&engine.host.name, host.trim(), inside.trim()));
    }
    Ok(found)
}

async fn said(engine: &Engine, container: &str, command: &str) -> Result<String> {
    let words = ["sh", "-c", command].map(str::to_owned);
    let done = exec::run(engine, container, &words, LIMIT, None).await?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

async fn instance(engine: &Engine, installation: &InstallationId) -> Result<Option<String>> {
    let docker = engine.docker().await?;
    let mut filters = names::owned_by(installation);
    filters.insert("status".to_owned(), vec!["running".to_owned()]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let running = engine.look("list containers", docker.list_containers(Some(options))).await?;
    // One with a list of destinations reaches what that names.
    let has_list = |labels: &Option<_>| labels.as_ref().and_then(names::egress).is_some();
    Ok(running.into_iter().find(|container| !has_list(&container.labels)).and_then(|container| container.id))
}

/// Name and subnet of each.
async fn networks(engine: &Engine, installation: &InstallationId) -> Result<Vec<(String, String)>> {
    let docker = engine.docker().await?;
    let filters = names::owned_by(installation);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let listed = engine.look("list networks", docker.list_networks(Some(options))).await?;
    let subnets = listed.into_iter().flat_map(|network| {
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let name = network.name.unwrap_or_default();
        configs.into_iter().filter_map(move |config| Some((name.clone(), config.subnet?)))
    });
    Ok(subnets.collect())
}

fn cut_off(host: &str, from_host: &str, from_inside: &str) -> Option<Finding> {
    ((from_host, from_inside) == ("yes", "no")).then(|| Finding {
        name: format!("internet on host {host}"),
        ok: false,
        detail: "an instance does not reach github.com:443, and its host does".to_owned(),
        action: Some(
            "Docker's own rules are gone where somebody ran `nft flush ruleset`, or a firewall was loaded anew after Docker: `systemctl restart docker` \
             puts them back (instances end with it, and are started again). Else look at the host's firewall, which may drop what it forwards."
                .to_owned(),
        ),
    })
}

/// A network of an instance over one that the host is in: what is there is not reached from the host any more.
fn overlap(host: &str, networks: &[(String, String)], routes: &str) -> Option<Finding> {
    let routes: Vec<_> = routes.lines().filter_map(route).collect();
    let mut over = networks.iter().filter_map(|(name, subnet)| {
        let range = range(subnet)?;
        let (interface, _) = routes.iter().find(|(_, route)| meets(*route, range))?;
        Some((name, subnet, interface))
    });
    let (name, subnet, interface) = over.next()?;
    let others = over.count();
    let others = if others > 0 { format!(", and {others} others are") } else { String::new() };
    Some(Finding {
        name: format!("networks of host {host}"),
        ok: false,
        detail: format!("the network {name} ({subnet}) lies over one that the host is in, at {interface}{others}"),
        action: Some(
            "Give instances a range that nothing else uses, PILOT_DOCKER_SUBNETS or default-address-pools in /etc/docker/daemon.json, and make the network \
             anew: `pilot ws stop NAME`, `docker network rm` of it, `pilot ws start NAME`."
                .to_owned(),
        ),
    })
}

/// One line of the kernel's table, of a network that is no bridge of Docker's and not the way to everywhere.
fn route(line: &str) -> Option<(String, Range)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [interface, destination, _, _, _, _, _, mask, ..] = fields[..] else { return None };
    // In the byte order of the machine, which is little-endian on all that Docker runs on.
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::swap_bytes);
    let (destination, mask) = (number(destination)?, number(mask)?);
    let of_docker = ["docker", "br-", "veth", "lo"];
    let ours = of_docker.iter().chain(&BRIDGES).any(|prefix| interface.starts_with(prefix));
    (!ours && mask != 0).then(|| (interface.to_owned(), (destination, mask.leading_ones())))
}

fn range(text: &str) -> Option<Range> {
    let (address, bits) = text.split_once('/')?;
    let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
    Some((address.parse::<Ipv4Addr>().ok()?.into(), bits))
}

fn meets((one, bits): Range, (other, others): Range) -> bool {
    let mask = u32::MAX.checked_shl(32 - bits.min(others)).unwrap_or(0);
    one & mask == other & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host in 192.168.1.0/24, with a way to everywhere, Docker's bridge and two of Pilot's.
    const TABLE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
pl1234\t000014AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
pm1234\t000015AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0";

    fn told(subnet: &str) -> Option<Finding> {
        overlap("a", &[("pilot-rt-1".to_owned(), subnet.to_owned())], TABLE)
    }

    #[test]
    fn a_network_over_the_hosts_own_is_told_and_dockers_bridges_and_the_internet_are_not() {
        for subnet in ["192.168.1.64/28", "192.168.0.0/16", "192.168.1.0/24"] {
            let found = told(subnet).unwrap();
            assert!(
                !found.ok && found.detail.contains("at eth0") && found.detail.contains(subnet),
                "{found:?}"
            );
        }
        for subnet in ["172.20.0.0/16", "172.21.0.0/16", "10.0.0.0/8", "192.168.2.0/24", "fd00::/64"] {
            assert_eq!(told(subnet), None, "{subnet}");
        }
    }

    #[test]
    fn an_internet_that_only_the_host_has_is_told_and_a_site_without_one_is_not() {
        let found = cut_off("a", "yes", "no").unwrap();
        assert!(found.action.unwrap().contains("systemctl restart docker"));
        for (host, inside) in [("yes", "yes"), ("no", "no"), ("no", "yes"), ("", "no"), ("yes", "")] {
            assert_eq!(cut_off("a", host, inside), None, "{host:?} {inside:?}");
        }
    }
}
