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
/// Of a name: for each kind of addresses two sets, which are emptied in turns.
const TURNS: [(u8, char); 4] = [(4, 'a'), (4, 'b'), (6, 'a'), (6, 'b')];
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
    let all: Vec<_> =
        sets.values().flat_map(|set| [4, 6].map(|version| format!("n{version}_{}", set.id))).collect();
    let mut file = format!("v {version}\nr {question}\ns {}\n", all.join(" "));
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
    sets.iter().for_each(|(name, set)| lines('k', &set.heirs(name)));
    file + "end\n"
}

/// What is in a file, and what tells it from others.
struct Parts<'a> {
    sets: BTreeMap<&'a str, Set>,
    names: String,
    rules: String,
    version: String,
}

fn parts<'a>(installation: &InstallationId, bridge: &str, allow: &'a EgressAllow) -> Parts<'a> {
    let sets = sets(allow);
    let names = names(allow, &sets, &table(installation, bridge));
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

/// Where what one name of the list leads to is kept. A resolver takes no line that is longer than about a thousand letters, so it is
/// one for each name and not for each port; and so another list takes it over as it is where it has the name as well.
struct Set {
    id: String,
    scope: Scope,
    /// `0` for every port.
    ports: BTreeSet<u16>,
}

/// Whose addresses are in a set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Name,
    Below,
    Both,
}

impl Set {
    fn id(name: &str, scope: Scope) -> String {
        let letter = match scope {
            Scope::Name => 'e',
            Scope::Below => 'w',
            Scope::Both => 'b',
        };
        format!("{}{letter}", rules::short(name, 12))
    }

    /// Itself, and which sets of another list may have what is in it: those that allow all of it.
    fn heirs(&self, name: &str) -> String {
        let mut ids = vec![self.id.clone(), self.id.clone(), Set::id(name, Scope::Both)];
        let mut above = name;
        while let Some((_, rest)) = above.split_once('.') {
            ids.extend([Set::id(rest, Scope::Below), Set::id(rest, Scope::Both)]);
            above = rest;
        }
        ids.join(" ")
    }
}

/// The longest name decides to which set an answer goes, so that has the ports of all that allow it.
fn sets(allow: &EgressAllow) -> BTreeMap<&str, Set> {
    let entries = allow.entries();
    let is_exact =
        |name: &str| entries.iter().any(|entry| matches!(&entry.host, Host::Name(own) if own == name));
    let is_above =
        |name: &str| entries.iter().any(|entry| matches!(&entry.host, Host::Below(own) if own == name));
    let names = entries.iter().filter_map(|entry| match &entry.host {
        Host::Name(name) | Host::Below(name) => Some(name.as_str()),
        Host::Network(..) => None,
    });
    names
        .map(|name| {
            let allows = |entry: &&Destination| match &entry.host {
                Host::Name(other) => other == name,
                Host::Below(other) => other == name || is_below(name, other),
                Host::Network(..) => false,
            };
            let ports: BTreeSet<_> = entries.iter().filter(allows).map(port).collect();
            let inside = entries
                .iter()
                .any(|entry| matches!(&entry.host, Host::Below(other) if is_below(name, other)));
            let scope = match (inside || is_exact(name), inside || is_above(name)) {
                (true, true) => Scope::Both,
                (false, _) => Scope::Below,
                (true, false) => Scope::Name,
            };
            (name, Set { id: Set::id(name, scope), scope, ports })
        })
        .collect()
}

fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
}

fn table_of(bridge: &str, allow: &EgressAllow, sets: &BTreeMap<&str, Set>) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    for Set { id, .. } in sets.values() {
        for (version, turn) in TURNS {
            line(format!("set n{version}_{id}_{turn} {{ type ipv{version}_addr; }}"));
        }
    }
    line("chain listed {".to_owned());
    let to = |ports: &BTreeSet<u16>| match ports.contains(&0) {
        true => String::new(),
        false => {
            let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
            format!(" meta l4proto {{ tcp, udp }} th dport {{ {} }}", ports.join(", "))
        }
    };
    for entry in allow.entries() {
        if let Host::Network(address, bits) = &entry.host {
            line(format!("  {} daddr {address}/{bits}{} accept", family(address), to(&[port(entry)].into())));
        }
    }
    for Set { id, ports, .. } in sets.values() {
        for (version, turn) in TURNS {
            let family = if version == 4 { "ip" } else { "ip6" };
            line(format!("  {family} daddr @n{version}_{id}_{turn}{} accept", to(ports)));
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
fn names(allow: &EgressAllow, sets: &BTreeMap<&str, Set>, table: &str) -> String {
    let mut text = format!(
        "port={RESOLVER_PORT}\nbind-dynamic\nexcept-interface=lo\nno-resolv\nno-hosts\nno-poll\ncache-size=0\nmax-ttl={TTL}\n\
         local=/#/\n"
    );
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    let entries: BTreeSet<_> = allow.entries().iter().map(|entry| &entry.host).collect();
    for host in entries {
        match host {
            Host::Name(name) => {
                line(format!("server=/{name}/{UPSTREAM}"));
                // Else a name is all names below it as well.
                if sets.get(name.as_str()).is_some_and(|set| set.scope == Scope::Name) {
                    line(format!("local=/*.{name}/"));
                }
            }
            Host::Below(name) => line(format!("server=/*.{name}/{UPSTREAM}")),
            Host::Network(..) => {}
        }
    }
    for (name, Set { id, .. }) in sets {
        let sets = TURNS.map(|(version, turn)| format!("{version}#inet#{table}#n{version}_{id}_{turn}"));
        line(format!("nftset=/{name}/{}", sets.join(",")));
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
        assert_eq!(ports(&file, "b.com"), "443");
        assert_eq!(ports(&file, "git.b.com"), "22, 443");
        assert_eq!(ports(&of("*.b.com,git.b.com:22"), "git.b.com"), "all");
    }

    /// What is open of the addresses that a name leads to.
    fn ports(file: &str, name: &str) -> String {
        let line =
            lines(file, "nftset=").into_iter().find(|line| line.starts_with(&format!("/{name}/"))).unwrap();
        let set = line.rsplit('#').next().unwrap();
        let rule = file.lines().find_map(|line| line.split_once(&format!("daddr @{set} "))).unwrap().1;
        match rule.split_once("th dport { ") {
            Some((_, ports)) => ports.strip_suffix(" } accept").unwrap().to_owned(),
            None => "all".to_owned(),
        }
    }

    #[test]
    fn addresses_are_rules_and_nothing_is_resolved_for_them() {
        let file = of("203.0.113.0/24:443,[2001:db8::1]:22,198.51.100.7");
        assert!(file.contains("ip daddr 203.0.113.0/24 meta l4proto { tcp, udp } th dport { 443 } accept"));
        assert!(file.contains("ip6 daddr 2001:db8::1/128 meta l4proto { tcp, udp } th dport { 22 } accept"));
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

    #[test]
    fn what_a_name_has_opened_goes_to_sets_of_another_list_that_allow_all_of_it() {
        let kept = |before: &str, after: &str, name: &str| {
            let (before, after) = (of(before), of(after));
            let set = sets(&after.lines().nth(2).unwrap()[2..]);
            let id = Set::id(name, Scope::Name);
            let line = before.lines().find_map(|line| line.strip_prefix(&format!("k {id} "))).unwrap();
            line.split(' ').find(|id| set.contains(*id)).map(str::to_owned)
        };
        fn sets(line: &str) -> BTreeSet<&str> {
            line.split(' ').filter_map(|set| set.strip_prefix("n4_")).collect()
        }
        let id = Set::id;
        assert_eq!(kept("a.com:22", "b.com,a.com:80", "a.com"), Some(id("a.com", Scope::Name)));
        assert_eq!(kept("a.com", "a.com,*.a.com", "a.com"), Some(id("a.com", Scope::Both)));
        assert_eq!(kept("x.a.com", "*.a.com", "x.a.com"), Some(id("a.com", Scope::Below)));
        assert_eq!(kept("a.com", "*.a.com,x.a.com", "a.com"), None);
        // Names below it may be in its set, and the other list does not have them.
        let wide = of("a.com,*.a.com");
        assert!(!wide.contains(&Set::id("a.com", Scope::Name)), "{wide}");
    }

    proptest::proptest! {
        /// dnsmasq refuses longer ones, and with them all of the list.
        #[test]
        fn no_line_for_the_resolver_is_longer_than_it_reads(
            names in proptest::collection::vec(("(\\*\\.)?", "[a-z]{1,63}(\\.[a-z]{1,63}){0,2}\\.[a-z]{1,61}", proptest::option::of(1..17)), 1..64),
        ) {
            let all = names.iter().flat_map(|(wild, name, port)| match port {
                Some(port) => vec![format!("{wild}{name}:{port}")],
                None => (1..=2).map(|port| format!("{wild}{name}:{port}")).collect(),
            });
            let file = of(&all.collect::<Vec<_>>().join(","));
            for line in lines(&file, "") {
                proptest::prop_assert!(line.len() <= 1000, "{}", line);
            }
        }

        #[test]
        fn nor_is_it_with_every_port_that_a_list_may_name(most in 1..=contracts::egress::MOST_PORTS) {
            let name = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
            let all: Vec<_> = (1..=most).map(|port| format!("{name}:{port},*.{name}:{port}")).collect();
            let file = of(&all.join(","));
            proptest::prop_assert_eq!(lines(&file, "nftset=").len(), 1);
            proptest::prop_assert!(lines(&file, "").iter().all(|line| line.len() <= 1000));
            let all: Vec<_> = (1..=most).map(|port| port.to_string()).collect();
            proptest::prop_assert_eq!(ports(&file, &name), all.join(", "));
        }
    }
}
