//! Which Docker hosts there are, as an operator writes them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use provider_api::{ProviderError, Result, Setting, Settings};

use crate::chosen::Chosen;
use crate::confine::Confinement;
use crate::declare::NAME;
use crate::egress::{self, Egress};
use crate::subnet::Pool;
use crate::{lasting, ssh};

/// Every setting; see the description of each.
pub const SETTINGS: &[Setting] = &[
    Setting::optional(
        "hosts",
        "the Docker hosts as NAME=ADDRESS, separated by commas; an address is unix:///path/to/docker.sock, \
         tcp://HOST:2376 (mutual TLS) or ssh://USER@HOST",
    ),
    Setting::optional(
        "tls",
        "a folder with ca.pem, cert.pem and key.pem for hosts by TCP; a folder NAME in it is for that host alone",
    ),
    Setting::optional(
        "publish",
        "the private address of each host on which instances are reached, as NAME=ADDRESS separated by \
         commas; 127.0.0.1 for hosts by socket",
    ),
    Setting::optional(
        "subnets",
        "a private range like 10.213.0.0/16 of which each instance's network gets a small part; \
         without it Docker's own pools, which have room for about thirty",
    ),
    Setting::optional(
        "egress",
        "`closed`: instances reach the internet, and neither the host nor private networks nor metadata services, or are not \
         started; `allow-open`: where a host cannot be closed they run all the same",
    )
    .default("closed"),
    Setting::optional(
        "egressOpen",
        "addresses and networks that instances reach although they are private, separated by commas",
    ),
    Setting::optional(
        "egressImage",
        "what the rules are put in place by: an image with `sh` and `nft`, and `dnsmasq` where workspaces have lists of \
         destinations; without it the image of instances",
    ),
    Setting::optional(
        "egressAllow",
        "the destinations that new workspaces reach of which nobody says another list, such as \
         `github.com,*.npmjs.org,api.anthropic.com:443,203.0.113.0/24`; `none`, or `all`",
    ),
    Setting::optional(
        "profile",
        "`strict`, or `dev` for images whose programs become root of their container (sudo, apt)",
    )
    .default("strict"),
    Setting::optional(
        "runtime",
        "what runs the containers: `auto` is gVisor's `runsc` on hosts whose engine has it, `default` the \
         engine's own, any other word a runtime that each host must have",
    )
    .default("auto"),
    Setting::optional(
        "diskMib",
        "a limit of each container's own files, where the engine has one (xfs with pquota)",
    ),
    Setting::optional(
        "homeMib",
        "a limit of each home, and of each snapshot, where Docker's data is on a file system with project quotas (xfs with pquota)",
    ),
    Setting::optional(
        "sshConfig",
        "a configuration file of OpenSSH for hosts by SSH, other than the account's own",
    ),
];

/// How an engine is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(String),
    Tls {
        authority: String,
        folder: PathBuf,
    },
    /// A URL as OpenSSH takes it, and a configuration file other than the account's.
    Ssh {
        url: String,
        config: Option<PathBuf>,
    },
}

/// As an operator writes it.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{path}"),
            Address::Tls { authority, .. } => write!(f, "tcp://{authority}"),
            Address::Ssh { url, .. } => f.write_str(url),
        }
    }
}

/// One machine with a Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub name: String,
    pub address: Address,
    /// On which the backend's port is published.
    pub publish: IpAddr,
}

/// Whether what is given can be meant; `engine` is the one that is named instead of hosts. No host is asked.
pub fn check(settings: &Settings, engine: Option<&str>) -> Result<()> {
    hosts_unless(settings, engine)?;
    if let Some(engine) = engine {
        Chosen::named(engine).host(Ipv4Addr::LOCALHOST.into())?;
    }
    subnets(settings)?;
    Egress::read(settings, "")?;
    egress::usual(settings)?;
    lasting::home_mib(settings)?;
    Confinement::read(settings).map(drop)
}

/// The configured hosts; `None` when there are none. One engine that is named as well would contradict them.
pub(crate) fn hosts_unless(settings: &Settings, engine: Option<&str>) -> Result<Option<Vec<Host>>> {
    match (hosts(settings)?, engine) {
        (Some(_), Some(_)) => Err(unusable("hosts", "it is given, and one Docker engine as well")),
        (hosts, _) => Ok(hosts),
    }
}

/// The configured hosts; `None` when there are none.
fn hosts(settings: &Settings) -> Result<Option<Vec<Host>>> {
    let Some(text) = settings.get("hosts") else { return Ok(None) };
    let mut publish = pairs("publish", settings.get("publish").unwrap_or_default())?;
    let [tls, config] = ["tls", "sshConfig"].map(|name| settings.get(name).map(PathBuf::from));
    let mut hosts: Vec<Host> = Vec::new();
    for (name, text) in list("hosts", text)? {
        if hosts.iter().any(|host| host.name == name) {
            return Err(unusable("hosts", &format!("{name} is there twice")));
        }
        let address = address(&name, &text, (tls.as_ref(), config.as_ref()))?;
        let publish = match (publish.remove(&name), &address) {
            (Some(text), _) => published(&name, &text)?,
            (None, Address::Unix(_)) => Ipv4Addr::LOCALHOST.into(),
            (None, _) => {
                let reason =
                    format!("it has no {name}=ADDRESS, the address on which its instances are reached");
                return Err(unusable("publish", &reason));
            }
        };
        hosts.push(Host { name, address, publish });
    }
    if let Some(name) = publish.keys().next() {
        return Err(unusable("publish", &format!("there is no host {name}")));
    }
    Ok(Some(hosts))
}

/// The range for networks; `None` leaves it to Docker.
pub(crate) fn subnets(settings: &Settings) -> Result<Option<Pool>> {
    let pool = |text| {
        let reason = format!("{text:?} is no private IPv4 range of at least 16 addresses");
        Pool::read(text).ok_or_else(|| unusable("subnets", &reason))
    };
    settings.get("subnets").map(pool).transpose()
}

fn address(name: &str, text: &str, (tls, config): (Option<&PathBuf>, Option<&PathBuf>)) -> Result<Address> {
    let refuse = |reason: String| Err(unusable("hosts", &format!("{name}: {reason}")));
    // Nothing in an address may look like an option or a second word to `ssh`.
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._@:[]".contains(letter))
    };
    match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Address::Unix(path.to_owned())),
        Some(("tcp", authority)) if plain(authority) && authority.contains(':') => match tls {
            Some(folder) => {
                let own = folder.join(name);
                let folder = if own.is_dir() { own } else { folder.clone() };
                Ok(Address::Tls { authority: authority.to_owned(), folder })
            }
            None => refuse(
                "plain TCP would give the host to everybody who reaches the port; \
                 set PILOT_DOCKER_TLS to a folder with ca.pem, cert.pem and key.pem"
                    .to_owned(),
            ),
        },
        Some((_, host)) if host.split_once('@').is_some_and(|(user, _)| user.contains(':')) => {
            refuse("a password has no place in an address; `ssh` uses a key or an agent".to_owned())
        }
        Some(("ssh", host)) if plain(host) && ssh::destination(text).is_some() => {
            Ok(Address::Ssh { url: text.to_owned(), config: config.cloned() })
        }
        _ => refuse(format!("{text:?} is none of unix:///path, tcp://HOST:PORT, ssh://USER@HOST")),
    }
}

/// A port on a public address would be open to everybody: Docker's rules go before a firewall's.
fn published(name: &str, text: &str) -> Result<IpAddr> {
    let address: IpAddr =
        text.parse().map_err(|_| unusable("publish", &format!("{name}: {text:?} is no IP address")))?;
    let private = match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            v4.is_private() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[0] & 0xfe00 == 0xfc00,
    };
    match private {
        true => Ok(address),
        false => Err(unusable("publish", &format!("{name}: {address} is not a private address of one host"))),
    }
}

fn list(setting: &str, text: &str) -> Result<Vec<(String, String)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) if is_name(name.trim()) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(unusable(setting, &format!("{part:?} is not NAME=ADDRESS, with a name of a-z, 0-9 and -"))),
    };
    let found: Vec<_> = parts.map(pair).collect::<Result<_>>()?;
    if found.is_empty() && setting == "hosts" {
        Err(unusable(setting, "it names no host"))
    } else {
        Ok(found)
    }
}

fn pairs(setting: &str, text: &str) -> Result<BTreeMap<String, String>> {
    Ok(list(setting, text)?.into_iter().collect())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

pub(crate) fn unusable(name: &str, reason: &str) -> ProviderError {
    provider_api::settings::unusable(&NAME, name, reason)
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Vec<Host>>> {
        let var = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        hosts(&Settings::read(&NAME, SETTINGS, var).unwrap())
    }

    #[test]
    fn each_way_to_a_host_is_read_with_where_its_instances_are_reached() {
        assert_eq!(read(&[]).unwrap(), None);
        let found = read(&[
            ("PILOT_DOCKER_HOSTS", "a=unix:///run/docker.sock, b=tcp://10.0.0.5:2376,c=ssh://pilot@vps:2222"),
            ("PILOT_DOCKER_TLS", "/etc/pilot/tls"),
            ("PILOT_DOCKER_PUBLISH", "b=10.0.0.5,c=fd00::6"),
        ]);
        let found = found.unwrap().unwrap();
        assert_eq!(found[0].publish, IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(
            found[1].address,
            Address::Tls { authority: "10.0.0.5:2376".to_owned(), folder: "/etc/pilot/tls".into() }
        );
        assert_eq!(found[2].address, Address::Ssh { url: "ssh://pilot@vps:2222".to_owned(), config: None });
    }

    #[test]
    fn what_would_be_open_to_others_or_cannot_be_meant_is_refused() {
        for (hosts, publish, word) in [
            ("a=tcp://10.0.0.5:2375", "a=10.0.0.5", "plain TCP"),
            ("a=ssh://-oProxyCommand=x", "a=10.0.0.5", "none of"),
            ("a=ssh://vps", "", "no a=ADDRESS"),
            ("a=ssh://vps:99999", "a=10.0.0.5", "none of"),
            ("a=ssh://ada:canary@vps", "a=10.0.0.5", "a password has no place"),
            ("a=ssh://vps", "a=0.0.0.0", "not a private address"),
            ("a=ssh://vps", "a=93.184.216.34", "not a private address"),
            ("a=unix:///x,a=unix:///y", "", "twice"),
            ("a=unix:///x", "b=10.0.0.5", "no host b"),
            ("unix:///x", "", "NAME=ADDRESS"),
        ] {
            let error =
                read(&[("PILOT_DOCKER_HOSTS", hosts), ("PILOT_DOCKER_PUBLISH", publish)]).unwrap_err();
            assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
            assert!(error.message.contains(word) && !error.message.contains("canary"), "{hosts}: {error}");
        }
    }

    #[test]
    fn a_usual_list_of_destinations_names_nothing_that_no_list_opens() {
        let check = |allow: &str, open: &str| {
            let variables = [("PILOT_DOCKER_EGRESS_ALLOW", allow), ("PILOT_DOCKER_EGRESS_OPEN", open)];
            let var = |name: &str| {
                let found = variables.iter().find(|(known, value)| *known == name && !value.is_empty());
                found.map(|(_, value)| (*value).to_owned())
            };
            super::check(&Settings::read(&NAME, SETTINGS, var).unwrap(), None)
        };
        for allow in ["github.com, 10.0.0.5", "169.254.169.254:80"] {
            let error = check(allow, "").unwrap_err();
            assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
            assert!(error.message.contains("PILOT_DOCKER_EGRESS_OPEN"), "{allow}: {error}");
        }
        check("github.com, 203.0.113.7:443", "").unwrap();
        check("github.com, 10.0.0.5", "10.0.0.0/24").unwrap();
    }
}
