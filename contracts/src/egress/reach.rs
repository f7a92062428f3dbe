//! Whether a list of destinations has somebody, by a name or an address as a URL has it, and whether networks lie in others.
//!
//! A name is compared with names alone: one that the list does not have is not known in the workspace, whatever its addresses are.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::{Destination, EgressAllow, Host};

impl EgressAllow {
    /// The entry that a program needs which connects there, where the list has none that allows it.
    pub fn lacks(&self, host: &str, port: u16) -> Option<Destination> {
        let port = NonZeroU16::new(port)?;
        let wanted = match host.parse::<Destination>() {
            Ok(Destination { host: host @ (Host::Name(_) | Host::Network(..)), port: None }) => host,
            _ => return None,
        };
        let allows =
            |entry: &Destination| entry.host.has(&wanted) && entry.port.is_none_or(|allowed| allowed == port);
        (!self.0.iter().any(allows)).then_some(Destination { host: wanted, port: Some(port) })
    }

    /// With one entry more.
    pub fn with(&self, entry: Destination) -> Self {
        Self(self.0.iter().cloned().chain([entry]).collect())
    }
}

impl Host {
    /// Whether all of the other is in this one.
    pub fn has(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Name(ours), Host::Name(theirs)) => ours == theirs,
            (Host::Below(ours), Host::Name(theirs)) => {
                theirs.strip_suffix(ours.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            (Host::Network(ours, bits), Host::Network(theirs, longer)) => {
                bits <= longer && has_address((ours, *bits), theirs)
            }
            _ => false,
        }
    }

    /// Whether both have an address, as networks.
    pub fn meets(&self, other: &Host) -> bool {
        self.has(other) || other.has(self)
    }
}

fn has_address((network, bits): (&IpAddr, u8), address: &IpAddr) -> bool {
    let same = |ours: u128, theirs: u128, most: u32| {
        let rest = most.saturating_sub(u32::from(bits));
        ours.checked_shr(rest) == theirs.checked_shr(rest)
    };
    match (network, address) {
        (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
            same(u32::from(*ours).into(), u32::from(*theirs).into(), 32)
        }
        (IpAddr::V6(ours), IpAddr::V6(theirs)) => same((*ours).into(), (*theirs).into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_needs_is_the_entry_that_no_other_stands_for() {
        let list: EgressAllow =
            "github.com:443,*.gitlab.example,203.0.113.0/24:22,2001:db8::/32".parse().unwrap();
        let lacks = |host: &str, port: u16| list.lacks(host, port).map(|entry| entry.to_string());
        for (host, port) in [
            ("github.com", 443),
            ("GitHub.com.", 443),
            ("git.gitlab.example", 22),
            ("203.0.113.7", 22),
            ("[2001:db8::7]", 443),
        ] {
            assert_eq!(lacks(host, port), None, "{host}:{port}");
        }
        for (host, port, entry) in [
            ("github.com", 22, "github.com:22"),
            ("gitlab.example", 443, "gitlab.example:443"),
            ("evilgitlab.example", 443, "evilgitlab.example:443"),
            ("203.0.113.7", 443, "203.0.113.7:443"),
            ("203.0.114.7", 22, "203.0.114.7:22"),
            ("[2001:db9::7]", 443, "[2001:db9::7]:443"),
        ] {
            assert_eq!(lacks(host, port).as_deref(), Some(entry));
        }
        assert!(EgressAllow::default().lacks("a.example", 443).is_some());
        let wider = list.with("github.com:22".parse().unwrap());
        assert_eq!(wider.lacks("github.com", 22), None);
    }

    #[test]
    fn a_network_is_in_one_with_fewer_bits_and_meets_what_it_is_in() {
        let host = |text: &str| text.parse::<Destination>().unwrap().host;
        assert!(
            host("10.0.0.0/8").has(&host("10.1.0.0/16")) && !host("10.1.0.0/16").has(&host("10.0.0.0/8"))
        );
        assert!(host("0.0.0.0/0").has(&host("10.0.0.5")) && !host("::/0").has(&host("10.0.0.5")));
        assert!(
            host("10.1.0.0/16").meets(&host("10.0.0.0/8"))
                && !host("10.1.0.0/16").meets(&host("10.2.0.0/16"))
        );
    }
}
