//! What an instance may send, as a table of nftables of this installation's own. Pure.
//!
//! The table says nothing of what comes to an instance, and nothing of other traffic of the host: its rules begin with the
//! name of the bridge, which is one of this installation. A refusal here is final, whatever other tables allow.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use contracts::egress::Host;
use contracts::{InstallationId, RuntimeId};

use super::list::{RESOLVER, RESOLVER_PORT};

/// Private, shared, local, multicast and reserved; 168.63.129.16 is the host's agent on Azure.
const CLOSED4: [&str; 12] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// The same. The first has the addresses of IPv4 as IPv6 writes them, and 2002::/16 hides one in each.
const CLOSED6: [&str; 6] = ["::/16", "64:ff9b:1::/48", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"];

/// A host without IPv4 reaches that by these, 96 bits before the address, so of them the closed ones alone are closed.
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// How long it is remembered that an address was refused, after it was refused last.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// So many addresses that are closed for all are remembered for all instances together.
pub(super) const MOST_CLOSED: usize = 4096;

/// A destination that stays open although it is private: `10.0.0.5` or `10.0.0.0/24`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    address: IpAddr,
    bits: u8,
}

impl Destination {
    /// `None` when it is no address or network.
    pub fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// In the words of lists.
    pub fn host(&self) -> Host {
        Host::Network(self.address, self.bits)
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        let same = |ours: u128, theirs: u128, most: u8| {
            let rest = u32::from(most.saturating_sub(self.bits));
            ours.checked_shr(rest) == theirs.checked_shr(rest)
        };
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same(u32::from(ours).into(), u32::from(theirs).into(), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same(ours.into(), theirs.into(), 128),
            _ => false,
        }
    }
}

/// All that the rules close, in the words of lists.
pub(super) fn closed() -> Vec<Host> {
    let nat64 = CLOSED4.into_iter().filter_map(through_nat64);
    let all = CLOSED4.into_iter().chain(CLOSED6).map(str::to_owned).chain(nat64);
    all.filter_map(|range| Destination::read(&range)).map(|range| range.host()).collect()
}

/// Whether the rules close this address for every instance, where `open` stays open.
pub(super) fn is_closed(address: IpAddr, open: &[Destination]) -> bool {
    let mut closed = CLOSED4.into_iter().chain(CLOSED6).filter_map(Destination::read);
    !open.iter().any(|open| open.has(address)) && closed.any(|closed| closed.has(address))
}

/// The chain `refuse`, which remembers what it refuses in sets. A set that is full takes no more, and who is refused keeps nothing
/// from being refused: so each rule that remembers stands for itself. `of`: what an element begins with, as a type and as a rule has it.
pub(super) fn refuse(of: (&str, &str), most: usize) -> String {
    let (kind, key) = of;
    let life = REMEMBERED.as_secs();
    let (mut sets, mut fills) = (String::new(), String::new());
    for (version, family) in [(4, "ip"), (6, "ip6")] {
        let bounds = format!("flags dynamic,timeout; size {most}; timeout {life}s;");
        let address = format!("{kind}ipv{version}_addr . inet_proto");
        let _ = writeln!(sets, "  set refused{version} {{ type {address} . inet_service; {bounds} }}");
        let _ = writeln!(sets, "  set others{version} {{ type {address}; {bounds} }}");
        let (only, to) =
            (format!("meta nfproto ipv{version}"), format!("{key}{family} daddr . meta l4proto"));
        let _ = writeln!(
            fills,
            "    {only} meta l4proto {{ tcp, udp }} update @refused{version} {{ {to} . th dport counter }}"
        );
        let _ = writeln!(
            fills,
            "    {only} meta l4proto != {{ tcp, udp }} update @others{version} {{ {to} counter }}"
        );
    }
    format!("{sets}  chain refuse {{\n{fills}    reject with icmpx type admin-prohibited\n  }}\n")
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The table's name.
pub(crate) fn table(installation: &InstallationId) -> String {
    format!("pilot_{}", short(installation.as_str(), 8))
}

/// How the bridges of every installation begin: those of runtimes without a list of destinations, and of those with one.
pub(crate) const BRIDGES: [&str; 2] = ["pl", "pm"];

/// How the bridges of all networks of this installation begin, and no other's.
pub(crate) fn bridges(installation: &InstallationId) -> String {
    format!("{}{}", BRIDGES[0], short(installation.as_str(), 5))
}

/// The same of those that have a list of destinations: nothing leaves one of them before its list is in force.
pub(crate) fn listed_bridges(installation: &InstallationId) -> String {
    format!("{}{}", BRIDGES[1], short(installation.as_str(), 5))
}

/// The bridge of a runtime's network. The kernel has room for 15 letters.
pub(crate) fn bridge(installation: &InstallationId, runtime: &RuntimeId, is_listed: bool) -> String {
    let begin = if is_listed { listed_bridges(installation) } else { bridges(installation) };
    format!("{begin}{}", short(runtime.as_str(), 8))
}

/// Letters that are the same for the same text, in every version of Pilot.
pub(super) fn short(text: &str, letters: usize) -> String {
    let hash = contracts::hash::stable(text);
    let all = format!("{:016x}", hash ^ (hash >> 29));
    all[..letters].to_owned()
}

/// The whole table, in place of the one that is there. Other instances are closed by where they are, because a network with IPv6 may
/// have public addresses. A refusal is told by ICMP: a reset would be heard a second earlier by who connects,
/// and nobody who looks from inside could tell it from a host on which nothing listens.
pub(crate) fn rules(installation: &InstallationId, open: &[Destination]) -> String {
    let (table, bridges, listed) = (table(installation), bridges(installation), listed_bridges(installation));
    let (open4, open6): (Vec<_>, Vec<_>) = open.iter().partition(|open| open.address.is_ipv4());
    let elements = |of: Vec<&Destination>| match of.as_slice() {
        [] => String::new(),
        _ => format!("elements = {{ {} }};", join(&of)),
    };
    let (open4, open6) = (elements(open4), elements(open6));
    let closed4 = CLOSED4.join(", ");
    let closed6: Vec<_> = CLOSED6
        .iter()
        .map(|&range| range.to_owned())
        .chain(CLOSED4.into_iter().filter_map(through_nat64))
        .collect();
    let closed6 = closed6.join(", ");
    let refuse = refuse(("ifname . ", "iifname . "), MOST_CLOSED);
    format!(
        "\
add table inet {table}
delete table inet {table}
table inet {table} {{
  set resolvers4 {{ type ipv4_addr; }}
  set resolvers6 {{ type ipv6_addr; }}
  set listed {{ type ifname; }}
  set open4 {{ type ipv4_addr; flags interval; auto-merge; {open4} }}
  set open6 {{ type ipv6_addr; flags interval; auto-merge; {open6} }}
  set closed4 {{ type ipv4_addr; flags interval; elements = {{ {closed4} }}; }}
  set closed6 {{ type ipv6_addr; flags interval; elements = {{ {closed6} }}; }}
{refuse}  chain known {{
    ct state established,related accept
    ip daddr @resolvers4 meta l4proto {{ tcp, udp }} th dport 53 accept
    ip6 daddr @resolvers6 meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr @open4 accept
    ip6 daddr @open6 accept
  }}
  chain others {{
    jump known
    oifname \"{bridges}*\" jump refuse
    oifname \"{listed}*\" jump refuse
    ip daddr @closed4 jump refuse
    ip6 daddr @closed6 jump refuse
  }}
  chain host {{
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    jump known
    jump refuse
  }}
  chain names {{
    ct original ip daddr {RESOLVER} meta l4proto {{ tcp, udp }} th dport {RESOLVER_PORT} accept
    jump host
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname \"{bridges}*\" jump others
    iifname \"{listed}*\" iifname != @listed reject with icmpx type admin-prohibited
    iifname \"{listed}*\" jump others
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname \"{bridges}*\" jump host
    iifname \"{listed}*\" iifname != @listed reject with icmpx type admin-prohibited
    iifname \"{listed}*\" jump names
  }}
}}"
    )
}

/// `64:ff9b::a00:0/104` for 10.0.0.0/8.
fn through_nat64(range: &str) -> Option<String> {
    let (address, bits) = range.split_once('/')?;
    let (address, bits): (Ipv4Addr, u8) = (address.parse().ok()?, bits.parse().ok()?);
    let address = Ipv6Addr::from(u128::from(NAT64) | u128::from(u32::from(address)));
    Some(format!("{address}/{}", 96 + bits))
}

fn join(all: &[&Destination]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Differs when a keeper has to be another one.
pub(crate) fn version(parts: [&str; 3]) -> String {
    short(&parts.join("\0"), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_fit_the_kernel_and_tell_runtimes_and_installations_apart() {
        let (one, two): (InstallationId, InstallationId) =
            (InstallationId::random(), InstallationId::random());
        let (first, second) = (RuntimeId::random(), RuntimeId::random());
        let name = bridge(&one, &first, false);
        assert_eq!(name.len(), 15);
        assert!(name.starts_with(&bridges(&one)) && !name.starts_with(&bridges(&two)));
        assert_ne!(name, bridge(&one, &second, false));
        assert_ne!(name, bridge(&one, &first, true));
        assert_eq!(bridge(&"in-1".parse().unwrap(), &"rt-1".parse().unwrap(), false), "plf4ebfca404719");
    }

    #[test]
    fn a_destination_is_an_address_or_a_network() {
        let read = |text: &str| Destination::read(text).map(|open| open.to_string());
        assert_eq!(read("10.0.0.5"), Some("10.0.0.5/32".to_owned()));
        assert_eq!(read("fd00::/8"), Some("fd00::/8".to_owned()));
        for text in ["", "10.0.0.0/33", "host", "10.0.0.0/24/1", "10.0.0.0/x", "10.0.0.5; drop"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_list_opens_is_what_the_rules_close_and_no_operator_opens() {
        let open = [Destination::read("10.0.5.0/24").unwrap(), Destination::read("fd00::7").unwrap()];
        for (address, closed) in [
            ("10.0.6.1", true),
            ("10.0.5.1", false),
            ("fd00::8", true),
            ("fd00::7", false),
            ("169.254.169.254", true),
            ("203.0.113.7", false),
            ("2001:db8::1", false),
            ("::1", true),
        ] {
            assert_eq!(is_closed(address.parse().unwrap(), &open), closed, "{address}");
        }
        assert!(Destination::read("0.0.0.0/0").unwrap().has("203.0.113.7".parse().unwrap()));
    }

    #[test]
    fn an_entry_that_opens_nothing_is_told_from_one_that_opens_a_part() {
        let offer = |open: &str| {
            let settings = |name: &str| {
                (name == "PILOT_DOCKER_EGRESS_OPEN").then(|| open.to_owned()).filter(|open| !open.is_empty())
            };
            let settings =
                provider_api::Settings::read(&"docker".parse().unwrap(), crate::SETTINGS, settings).unwrap();
            let (closed, open) = crate::egress::closed(&settings);
            provider_api::EgressOffer { closed, open, ..Default::default() }
        };
        let closed = |entry: &str, open: &str| offer(open).stays_closed(&entry.parse().unwrap());
        for entry in
            ["10.0.0.5", "10.0.0.0/24:443", "[::1]", "169.254.169.254:80", "fd00::1", "64:ff9b::a00:5"]
        {
            assert!(closed(entry, ""), "{entry}");
        }
        for entry in
            ["203.0.113.7", "0.0.0.0/0", "9.0.0.0/7", "::/0", "2001:db8::1", "github.com", "localhost:3000"]
        {
            assert!(!closed(entry, ""), "{entry}");
        }
        assert!(!closed("10.0.0.5", "10.0.0.0/24") && !closed("10.0.0.0/16", "10.0.0.0/24"));
        assert!(closed("10.0.1.5", "10.0.0.0/24"));
    }

    #[test]
    fn what_stays_open_comes_before_what_is_closed() {
        let open = [Destination::read("10.0.0.0/24").unwrap(), Destination::read("fd00::1").unwrap()];
        let text = rules(&"in-1".parse().unwrap(), &open);
        assert!(text.contains("elements = { 10.0.0.0/24 };") && text.contains("elements = { fd00::1/128 };"));
        assert!(text.find("@open4 accept") < text.find("@closed4 jump refuse"), "{text}");
        assert_eq!(text.matches("64:ff9b::").count(), CLOSED4.len());
        assert!(text.contains("64:ff9b::a9fe:0/112"), "{text}");
    }
}
