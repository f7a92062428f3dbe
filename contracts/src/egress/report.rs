//! What became of a list of destinations: whether it is in force, and what was refused lately:
//! `GET /v1/workspaces/{workspace}/egress`.
//!
//! What was refused is what programs in the workspace wanted, and not what they should have: a name among it may be one that
//! somebody else has put there. So a wider list is a proposal, and nothing opens by itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Destination, EgressAllow, Host, MOST};

/// So many destinations a proposal adds: a longer line nobody reads before it is typed.
const MOST_PROPOSED: usize = 8;
/// What `apt` asks for before each name of a mirror, and does without.
const SEARCHES: [&str; 2] = ["_http._tcp.", "_https._tcp."];
/// Names that turn addresses into names, and no destinations.
const REVERSE: &str = ".arpa";

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RefusedKind {
    /// It was asked for, and the list does not have it.
    Name,
    /// Something was sent there.
    Address,
}

/// A destination that an instance wanted and did not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    pub kind: RefusedKind,
    /// The name as DNS has it, or the address.
    pub destination: String,
    /// Of an address: `tcp`, `udp`, `icmp` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Of an address, where the protocol has ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Questions for a name, of which one look-up often makes two; packets to an address.
    pub count: u64,
    #[schema(value_type = String, format = DateTime)]
    pub last: Timestamp,
    /// No list opens it: it is closed for every instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed_for_all: bool,
}

/// What a workspace reaches, whether that is so now, and what was refused lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressReport {
    /// The destinations that it reaches, and nothing else. Absent where it has no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub egress_allow: Option<EgressAllow>,
    /// Whether where it runs holds it to the list. Absent where it has no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<bool>,
    /// Why the list is not in force, or why nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Each destination once, the last first; of an hour at most.
    pub refused: Vec<Refused>,
    /// More was refused than is remembered.
    pub more_refused: bool,
    /// A list with what was refused: a proposal for `POST /v1/workspaces/{workspace}/update`. Absent where there is nothing to add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub proposed: Option<EgressAllow>,
}

impl Refused {
    /// The entry of a list that would open it, where one can.
    pub fn entry(&self) -> Option<Destination> {
        if self.closed_for_all {
            return None;
        }
        let entry: Destination = self.destination.parse().ok()?;
        match (self.kind, &entry.host) {
            // What has no dot is a host of the site, or a program's search for one.
            (RefusedKind::Name, Host::Name(name))
                if name.contains('.')
                    && !name.ends_with(REVERSE)
                    && !SEARCHES.iter().any(|begin| name.starts_with(begin)) =>
            {
                Some(entry)
            }
            (RefusedKind::Address, Host::Network(..)) => {
                Some(Destination { port: self.port.and_then(std::num::NonZeroU16::new), ..entry })
            }
            _ => None,
        }
    }
}

impl EgressAllow {
    /// With what was refused beside it, the last first. Addresses only where no name was refused: who asks for a name that is not
    /// known sends nothing, and what is sent all the same is mostly to a resolver that a program brings along.
    pub fn with_refused(&self, refused: &[Refused]) -> Option<Self> {
        let of = |kind: RefusedKind| {
            let mut entries = Vec::new();
            for entry in refused.iter().filter(|one| one.kind == kind).filter_map(Refused::entry) {
                if !self.0.contains(&entry) && !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
            entries
        };
        let mut added = of(RefusedKind::Name);
        if added.is_empty() {
            added = of(RefusedKind::Address);
        }
        added.truncate(MOST_PROPOSED.min(MOST.saturating_sub(self.0.len())));
        (!added.is_empty()).then(|| Self(self.0.iter().chain(&added).cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: RefusedKind, destination: &str, port: Option<u16>) -> Refused {
        Refused {
            kind,
            destination: destination.to_owned(),
            protocol: port.map(|_| "tcp".to_owned()),
            port,
            count: 1,
            last: Timestamp::UNIX_EPOCH,
            closed_for_all: false,
        }
    }

    fn wider(list: &str, refused: &[Refused]) -> Option<String> {
        list.parse::<EgressAllow>().unwrap().with_refused(refused).map(|list| list.to_string())
    }

    #[test]
    fn a_proposal_has_the_list_and_the_names_that_were_refused() {
        let name = |name: &str| refused(RefusedKind::Name, name, None);
        let address = refused(RefusedKind::Address, "203.0.113.9", Some(443));
        let names = [name("registry.npmjs.org"), name("Files.example."), address.clone()];
        let proposed = Some("a.example,*.b.example:443,registry.npmjs.org,files.example".to_owned());
        assert_eq!(wider("a.example,*.b.example:443", &names), proposed);
        assert_eq!(wider("none", &names[..1]).as_deref(), Some("registry.npmjs.org"));
        assert_eq!(wider("none", std::slice::from_ref(&address)).as_deref(), Some("203.0.113.9:443"));
        // What cannot be typed as an entry, or is no destination, is in no proposal.
        for useless in
            ["_http._tcp.deb.debian.org", "7.113.0.203.in-addr.arpa", "wpad", "a;b.example", "a.example"]
        {
            assert_eq!(wider("a.example", &[name(useless)]), None, "{useless}");
        }
        let service = name("_mongodb._tcp.cluster.example");
        assert_eq!(wider("none", &[service]).as_deref(), Some("_mongodb._tcp.cluster.example"));
        let private = Refused { closed_for_all: true, ..refused(RefusedKind::Address, "10.0.0.9", Some(80)) };
        assert_eq!(wider("none", &[private]), None);
        let many: Vec<_> = (0..200).map(|each| name(&format!("n{each}.example"))).collect();
        assert_eq!(wider("none", &many).unwrap().split(',').count(), MOST_PROPOSED);
        let full: Vec<_> = (0..MOST).map(|each| format!("f{each}.example")).collect();
        assert_eq!(wider(&full.join(","), &many), None);
    }
}
