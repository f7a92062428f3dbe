//! A list of destinations: what a workspace may reach, and nothing else.
//!
//! An entry is a name (`github.com`), all names below one (`*.npmjs.org`, which is not `npmjs.org` itself), an address or a
//! network (`203.0.113.0/24`), each with a port or for every port (`api.anthropic.com:443`). Names are kept as DNS has them:
//! small letters, `xn--` for others, no dot at the end. `all` and `none` are words of their own.

mod reach;
pub mod report;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything that the provider lets instances reach.
pub const ALL: &str = "all";
/// No destination at all.
pub const NONE: &str = "none";
/// More entries are refused: each takes room in the rules of a host.
pub const MOST: usize = 128;
/// Each port that names have takes sets of its own.
pub const MOST_PORTS: usize = 16;

/// Why an entry or a list is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidList(String);

/// Whom an entry names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// This name alone.
    Name(String),
    /// Every name that ends with a dot and this one; not this one.
    Below(String),
    /// Addresses whose first bits are these.
    Network(IpAddr, u8),
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Whom it names.
    pub host: Host,
    /// `None`: every port, and what has none.
    pub port: Option<NonZeroU16>,
}

/// What a workspace reaches, and nothing else. Empty: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressAllow(Vec<Destination>);

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressChoice {
    /// What the provider lets every instance reach.
    All,
    /// This, and nothing else.
    Only(EgressAllow),
}

impl EgressAllow {
    /// The entries, each once, in the order in which they were given.
    pub fn entries(&self) -> &[Destination] {
        &self.0
    }

    /// As people and programs write them. Of none one word, because empty lists are lost easily on their way.
    pub fn texts(&self) -> Vec<String> {
        match self.0.is_empty() {
            true => vec![NONE.to_owned()],
            false => self.0.iter().map(ToString::to_string).collect(),
        }
    }

    fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidList> {
        let mut entries = Vec::new();
        for text in texts {
            if entries.len() == MOST {
                return Err(InvalidList(format!("a list has {MOST} entries at most")));
            }
            let entry: Destination = text.parse()?;
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        let named = entries.iter().filter(|entry| !matches!(entry.host, Host::Network(..)));
        let ports: BTreeSet<_> = named.filter_map(|entry| entry.port).collect();
        if ports.len() > MOST_PORTS {
            return Err(InvalidList(format!(
                "the names of a list have {MOST_PORTS} different ports at most"
            )));
        }
        Ok(Self(entries))
    }
}

impl EgressChoice {
    /// From entries, one a text.
    pub fn read(texts: &[String]) -> Result<Self, InvalidList> {
        match texts {
            [] => Ok(EgressChoice::Only(EgressAllow::default())),
            [one] if one.trim() == ALL => Ok(EgressChoice::All),
            [one] if one.trim() == NONE => Ok(EgressChoice::Only(EgressAllow::default())),
            _ => EgressAllow::read(texts.iter().map(String::as_str)).map(EgressChoice::Only),
        }
    }

    /// The one that leads to this list, or to none.
    pub fn of(list: Option<EgressAllow>) -> Self {
        list.map_or(EgressChoice::All, EgressChoice::Only)
    }

    /// As [`EgressChoice::read`] takes it.
    pub fn texts(&self) -> Vec<String> {
        match self {
            EgressChoice::All => vec![ALL.to_owned()],
            EgressChoice::Only(list) => list.texts(),
        }
    }

    /// `None` where nothing is closed beside what always is.
    pub fn list(self) -> Option<EgressAllow> {
        match self {
            EgressChoice::All => None,
            EgressChoice::Only(list) => Some(list),
        }
    }
}

/// `all`, `none`, or entries with commas or spaces between them.
impl FromStr for EgressChoice {
    type Err = InvalidList;

    fn from_str(text: &str) -> Result<Self, InvalidList> {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        let parts: Vec<_> = parts.map(str::to_owned).collect();
        if parts.is_empty() {
            return Err(InvalidList(format!("it names nothing: write {NONE}, {ALL} or destinations")));
        }
        Self::read(&parts)
    }
}

/// One text: `none`, or the entries with commas.
impl fmt::Display for EgressAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(","))
    }
}

impl FromStr for EgressAllow {
    type Err = InvalidList;

    fn from_str(text: &str) -> Result<Self, InvalidList> {
        text.parse::<EgressChoice>()?.list().ok_or_else(|| InvalidList(format!("{ALL} is no list")))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        match &self.host {
            Host::Name(name) => write!(f, "{name}{port}"),
            Host::Below(name) => write!(f, "*.{name}{port}"),
            Host::Network(address, bits) => {
                let is_one = *bits == most_bits(address);
                let network = if is_one { address.to_string() } else { format!("{address}/{bits}") };
                match (address.is_ipv6(), self.port) {
                    (true, Some(port)) => write!(f, "[{network}]:{port}"),
                    _ => write!(f, "{network}{port}"),
                }
            }
        }
    }
}

impl FromStr for Destination {
    type Err = InvalidList;

    fn from_str(text: &str) -> Result<Self, InvalidList> {
        read(text.trim()).map_err(|why| {
            let shown: String = text.chars().take(80).collect();
            InvalidList(format!("{shown:?} is no destination: {why}"))
        })
    }
}

fn read(text: &str) -> Result<Destination, String> {
    if [ALL, NONE].contains(&text) {
        return Err(format!("{text} stands alone, with nothing beside it"));
    }
    if text.contains("://") {
        return Err("write its name and perhaps its port, such as example.com:443, and no URL".to_owned());
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (network, after) = inside.split_once(']').ok_or("its ] is missing")?;
        let port = match after {
            "" => None,
            _ => Some(port(after.strip_prefix(':').ok_or("after ] comes a port, such as ]:443")?)?),
        };
        return Ok(Destination { host: network_of(network)?.ok_or("in [ ] is an address of IPv6")?, port });
    }
    // An address of IPv6 has colons of its own.
    if text.matches(':').count() > 1 {
        let host = network_of(text)?.ok_or("it has several colons and is no address of IPv6")?;
        return Ok(Destination { host, port: None });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, after)) => (host, Some(port(after)?)),
        None => (text, None),
    };
    let host = match network_of(host)? {
        Some(network) => network,
        None => named(host)?,
    };
    Ok(Destination { host, port })
}

fn port(text: &str) -> Result<NonZeroU16, String> {
    let digits = text.chars().all(|c| c.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("{text:?} is no port: a port is a number from 1 to 65535"))
}

fn most_bits(address: &IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `None` when it is a name.
fn network_of(text: &str) -> Result<Option<Host>, String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return match bits {
            Some(_) => {
                Err("before a / is an address, such as 203.0.113.0/24; paths cannot be told apart".to_owned())
            }
            None => Ok(None),
        };
    };
    let most = most_bits(&address);
    let bits = match bits {
        None => most,
        Some(bits) => {
            let known = bits.parse::<u8>().ok().filter(|&known| known <= most && known.to_string() == bits);
            known.ok_or_else(|| format!("/{bits} is no length of a network: 0 to {most}"))?
        }
    };
    // What IPv6 writes for an address of IPv4 never is on the wire.
    if let (IpAddr::V6(v6), 96..) = (address, bits)
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Ok(Some(masked(v4.into(), bits - 96)));
    }
    Ok(Some(masked(address, bits)))
}

/// Without the bits that say nothing.
fn masked(address: IpAddr, bits: u8) -> Host {
    let address = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    };
    Host::Network(address, bits)
}

/// What is in no name. Not `_`, which names of hosts do not have and names of services and buckets do.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, r##"!"#$%&'()*+,/:;<=>?@[\]^`{|}~"##);

fn named(text: &str) -> Result<Host, String> {
    if text == "*" {
        return Err(format!("write {ALL} for every destination"));
    }
    let (is_below, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    if name.contains('*') {
        return Err("a * stands alone at the beginning, such as *.example.com".to_owned());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let ascii = Uts46::new().to_ascii(name.as_bytes(), DENIED, Hyphens::CheckFirstLast, DnsLength::Verify);
    let name = ascii.map_err(|_| {
        "a name has labels of 1 to 63 letters, digits, '-' and '_', with dots between them, and 253 in all"
            .to_owned()
    })?;
    let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.is_empty() || name.len() > 253 || name.split('.').any(str::is_empty) || !name.chars().all(plain) {
        return Err("it is no name of DNS".to_owned());
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = |label: &str| {
        label.chars().all(|c| c.is_ascii_digit())
            || label.strip_prefix("0x").is_some_and(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()))
    };
    if is_number(last) {
        return Err("it looks like an address and is none".to_owned());
    }
    Ok(if is_below { Host::Below(name) } else { Host::Name(name) })
}

/// A list of texts; `["all"]` for everything.
impl Serialize for EgressChoice {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.texts().serialize(to)
    }
}

impl<'de> Deserialize<'de> for EgressChoice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        EgressChoice::read(&Vec::<String>::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl Serialize for EgressAllow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.texts().serialize(to)
    }
}

impl<'de> Deserialize<'de> for EgressAllow {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let list = EgressChoice::deserialize(from)?.list();
        list.ok_or_else(|| D::Error::custom(format!("{ALL} is no list")))
    }
}

#[cfg(test)]
mod tests;
