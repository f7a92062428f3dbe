//! A runtime's list of destinations as its keeper reads it: a table of nftables of the runtime's own, and the settings of the
//! resolver that answers on its bridge. Pure.
//!
//! The table only takes away from what all instances reach: the other table closes what is private, whatever a list says. What
//! the resolver answers it adds to two sets; the keeper empties them in turns (`keeper.sh`), so that an address stays for a
//! while after it was answered last, and not for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use contracts::egress::{Destination, EgressAllow, Host};
use contracts::{InstallationId, RuntimeId};

use super::rules;

/// Where the resolvers of bridges listen: a port of its own, so that whatever serves names on the host does not matter.
pub(super) const RESOLVER_PORT: u16 = 10_053;
/// What instances with a list ask. It is nobody's address: on its way out the question is turned to the bridge's resolver, and no
/// other question reaches one, so that no instance asks another's.
pub(crate) const RESOLVER: &str = "198.18.0.53";
/// Seconds. Who remembers an answer for longer than this asks too late.
const TTL: u32 = 60;
/// So many addresses that a list has refused are remembered, of each kind.
pub(super) const MOST_REFUSED: usize = 256;
/// In place of a resolver's address: the keeper knows those of the host.
const UPSTREAM: &str = "@";

/// As the keeper has it, by the name of the bridge.
pub(super) fn file(
    installation: &InstallationId,
    runtime: &RuntimeId,
    allow: &EgressAllow,
    question: &str,
) -> String {
    let bridge = rules::bridge(installation, runtime, true);
    let Parts { sets, names, rules, version } = parts(installation, &bridge, allow);
    let mut file = format!("v {version}\nr {question}\ns {}\n", all_sets(&sets).join(" "));
    let mut lines = |letter: char, text: &str| {
        text.lines().for_each(|line| {
            let _ = writeln!(file, "{letter} {line}");
        });
    };
    lines(
        'n',
        &format!("table inet {} {{\n  chain v_{version} {{ }}\n{rules}}}", table(installation, &bridge)),
    );
    lines('d', &names);
    file + "end\n"
}

/// What is in a file, and what tells it from others.
struct Parts {
    sets: BTreeSet<u16>,
    names: String,
    rules: String,
    version: String,
}

fn parts(installation: &InstallationId, bridge: &str, allow: &EgressAllow) -> Parts {
    let (sets, names) = (sets(allow), names(allow, &table(installation, bridge)));
    let rules = table_of(bridge, allow, &sets);
    let version = rules::version([&rules, &names, ""]);
    Parts { sets, names, rules, version }
}

/// What tells this list from others in the words of its keeper.
pub(super) fn version(installation: &InstallationId, runtime: &RuntimeId, allow: &EgressAllow) -> String {
    parts(installation, &rules::bridge(installation, runtime, true), allow).version
}

/// In place of a list that is not needed any more.
pub(super) const GONE: &str = "v none\nend\n";

/// The keeper makes the same name.
fn table(installation: &InstallationId, bridge: &str) -> String {
    format!("{}_{bridge}", rules::table(installation))
}

/// `0` for every port.
fn port(entry: &Destination) -> u16 {
    entry.port.map(std::num::NonZeroU16::get).unwrap_or_default()
}

/// For each port that names have, where what they lead to is kept.
fn sets(allow: &EgressAllow) -> BTreeSet<u16> {
    allow.entries().iter().filter(|entry| !matches!(entry.host, Host::Network(..))).map(port).collect()
}

fn all_sets(ports: &BTreeSet<u16>) -> Vec<String> {
    ports.iter().flat_map(|port| [format!("n4_{port}"), format!("n6_{port}")]).collect()
}

fn table_of(bridge: &str, allow: &EgressAllow, ports: &BTreeSet<u16>) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    for port in ports {
        for (version, turn) in [(4, 'a'), (4, 'b'), (6, 'a'), (6, 'b')] {
            line(format!("set n{version}_{port}_{turn} {{ type ipv{version}_addr; }}"));
        }
    }
    line("chain listed {".to_owned());
    let to = |port: u16| match port {
        0 => String::new(),
        port => format!(" meta l4proto {{ tcp, udp }} th dport {port}"),
    };
    for entry in allow.entries() {
        if let Host::Network(address, bits) = &entry.host {
            line(format!("  {} daddr {address}/{bits}{} accept", family(address), to(port(entry))));
        }
    }
    for port in ports {
        for (family, version, turn) in [("ip", 4, 'a'), ("ip", 4, 'b'), ("ip6", 6, 'a'), ("ip6", 6, 'b')] {
            line(format!("  {family} daddr @n{version}_{port}_{turn}{} accept", to(*port)));
        }
    }
    line("}".to_owned());
    let refuse = rules::refuse(("", ""), MOST_REFUSED);
    let _ = write!(
        text,
        "\
{refuse}  chain out {{
    ct state established,related accept
    jump listed
    jump refuse
  }}
  chain host {{
    ct original ip daddr {RESOLVER} meta l4proto {{ tcp, udp }} th dport {RESOLVER_PORT} accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    jump out
  }}
  chain forward {{
    type filter hook forward priority -11; policy accept;
    iifname \"{bridge}\" jump out
  }}
  chain input {{
    type filter hook input priority -11; policy accept;
    iifname \"{bridge}\" jump host
  }}
  chain ask {{
    type nat hook prerouting priority -110; policy accept;
    iifname \"{bridge}\" ip daddr {RESOLVER} meta l4proto {{ tcp, udp }} th dport 53 redirect to :{RESOLVER_PORT}
  }}
"
    );
    text
}

fn family(address: &IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

/// Settings of dnsmasq: what is not allowed is not known, and asked nobody.
fn names(allow: &EgressAllow, table: &str) -> String {
    let below: BTreeSet<&str> = allow
        .entries()
        .iter()
        .filter_map(|entry| match &entry.host {
            Host::Below(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let is_below = |name: &str| below.iter().any(|above| name.ends_with(&format!(".{above}")));
    let exact: BTreeSet<&str> = allow
        .entries()
        .iter()
        .filter_map(|entry| match &entry.host {
            Host::Name(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut text = format!(
        "port={RESOLVER_PORT}\nbind-dynamic\nexcept-interface=lo\nno-resolv\nno-hosts\nno-poll\ncache-size=0\nmax-ttl={TTL}\n\
         local=/#/\n"
    );
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    for name in &exact {
        line(format!("server=/{name}/{UPSTREAM}"));
        // Else a name is all names below it as well.
        if !below.contains(name) && !is_below(name) {
            line(format!("local=/*.{name}/"));
        }
    }
    for name in &below {
        line(format!("server=/*.{name}/{UPSTREAM}"));
    }
    // The longest of them decides which sets an answer goes to, so it has those of all that allow it.
    let mut opened: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for name in exact.union(&below) {
        let allows = |entry: &&Destination| match &entry.host {
            Host::Name(other) => other == name,
            Host::Below(other) => other == name || name.ends_with(&format!(".{other}")),
            Host::Network(..) => false,
        };
        opened.insert(name, allow.entries().iter().filter(allows).map(port).collect());
    }
    for (name, ports) in opened {
        let sets = ports.iter().flat_map(|port| {
            [(4, 'a'), (4, 'b'), (6, 'a'), (6, 'b')]
                .map(|(version, turn)| format!("{version}#inet#{table}#n{version}_{port}_{turn}"))
        });
        line(format!("nftset=/{name}/{}", sets.collect::<Vec<_>>().join(",")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        file(&"in-1".parse().unwrap(), &"rt-1".parse().unwrap(), &text.parse().unwrap(), "q")
    }

    fn lines<'a>(file: &'a str, begin: &str) -> Vec<&'a str> {
        file.lines().filter_map(|line| line.strip_prefix("d ")?.strip_prefix(begin)).collect()
    }

    #[test]
    fn a_name_is_no_name_below_it_unless_a_wildcard_says_so() {
        let file = of("a.com,b.com,*.b.com,x.b.com,*.c.com");
        assert_eq!(lines(&file, "local="), ["/#/", "/*.a.com/"]);
        let mut asked = lines(&file, "server=");
        asked.sort_unstable();
        assert_eq!(asked, ["/*.b.com/@", "/*.c.com/@", "/a.com/@", "/b.com/@", "/x.b.com/@"]);
    }

    #[test]
    fn a_name_below_another_has_the_ports_of_both() {
        let file = of("*.b.com:443,git.b.com:22");
        let sets: Vec<_> = lines(&file, "nftset=");
        assert!(
            sets[0].starts_with("/b.com/") && sets[0].contains("n4_443_a") && !sets[0].contains("n4_22_a")
        );
        assert!(
            sets[1].starts_with("/git.b.com/") && sets[1].contains("n4_443_b") && sets[1].contains("n6_22_a")
        );
        assert!(file.contains("\ns n4_22 n6_22 n4_443 n6_443\n"), "{file}");
    }

    #[test]
    fn addresses_are_rules_and_nothing_is_resolved_for_them() {
        let file = of("203.0.113.0/24:443,[2001:db8::1]:22,198.51.100.7");
        assert!(file.contains("ip daddr 203.0.113.0/24 meta l4proto { tcp, udp } th dport 443 accept"));
        assert!(file.contains("ip6 daddr 2001:db8::1/128 meta l4proto { tcp, udp } th dport 22 accept"));
        assert!(file.contains("ip daddr 198.51.100.7/32 accept"));
        assert!(lines(&file, "server=").is_empty() && !file.contains("n4_"), "{file}");
    }

    #[test]
    fn a_version_says_what_is_in_it_and_not_who_asked() {
        let version = |file: &str| file.lines().next().unwrap().to_owned();
        let (one, two) = (of("a.com"), of("b.com"));
        assert_ne!(version(&one), version(&two));
        let again = file(&"in-1".parse().unwrap(), &"rt-1".parse().unwrap(), &"a.com".parse().unwrap(), "r");
        assert_eq!(version(&one), version(&again));
        assert!(of("none").contains("reject") && !of("none").contains("server="));
    }
}
