//! Where an instance is reached, and which addresses are used.
//!
//! The gateway connects where the orchestrator says. Should that answer ever be wrong, the gateway must not become a way to a
//! cloud's metadata service or to whatever the network's names lead to: plain HTTP goes to loopback and private addresses
//! only, and a name is used with TLS only, where the certificate proves who answers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ErrorCode, Problem};

/// AWS serves instance metadata on this private IPv6 address as well.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The address of an instance's backend, as the gateway reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// A name or an IP address.
    pub host: String,
    pub port: u16,
    /// Whether the backend is reached through TLS, with a certificate for `host`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Sent with each request, for example what names one instance behind a shared address. Never a
    /// credential. `host` replaces the one of the address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl Endpoint {
    /// An address that speaks plain HTTP and has no other instance behind it.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: false, headers: BTreeMap::new() }
    }

    /// Where to connect, as `HOST:PORT`; or `upstream_unreachable` with why nobody connects there.
    pub fn usable(&self) -> Result<String, Problem> {
        let has_name = self.host.parse::<IpAddr>().is_err() && self.host != "localhost";
        let found = match self.tls && has_name {
            true => self.named(),
            false => self.socket_address().map(|address| address.to_string()),
        };
        found.map_err(|why| {
            let detail = format!("The instance's address {self} was not used: {why}.");
            Problem::new(ErrorCode::UpstreamUnreachable, detail).with_action(
                "Check the provider's network settings; instances need a loopback or private address, or a name with TLS.",
            )
        })
    }

    fn named(&self) -> Result<String, &'static str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !self.host.chars().all(plain) || !self.host.contains('.') || self.port == 0 {
            return Err("it is neither an IP address nor a full name");
        }
        Ok(self.to_string())
    }

    /// The socket address of an endpoint whose host is a loopback or private IP address.
    fn socket_address(&self) -> Result<SocketAddr, &'static str> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => host.parse::<IpAddr>().map_err(|_| "it is not an IP address")?.to_canonical(),
        };
        if self.port == 0 {
            return Err("it has no port");
        }
        if !is_inside(ip) {
            return Err("it is not a loopback or private address");
        }
        Ok(SocketAddr::new(ip, self.port))
    }
}

fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_loopback() || (ip.is_unique_local() && ip != METADATA_V6),
    }
}

/// 100.64.0.0/10: private networks between machines (overlays) use it. One cloud's metadata service
/// lives in it too.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && (64..128).contains(&second) && ip != Ipv4Addr::new(100, 100, 100, 200)
}

/// As in a URL: an IPv6 address in brackets.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.parse::<Ipv6Addr>() {
            Ok(ip) => write!(f, "[{ip}]:{}", self.port),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str) -> Result<String, ErrorCode> {
        Endpoint::plain(host, 3000).usable().map_err(|problem| problem.code.known().unwrap())
    }

    #[test]
    fn loopback_and_private_addresses_are_used() {
        for host in ["127.0.0.1", "10.0.0.7", "172.17.0.2", "192.168.1.9", "100.64.3.2"] {
            assert_eq!(check(host), Ok(format!("{host}:3000")));
        }
        assert_eq!(check("localhost"), Ok("127.0.0.1:3000".to_owned()));
        assert_eq!(check("::1"), Ok("[::1]:3000".to_owned()));
        assert_eq!(check("[fdaa::3]"), Ok("[fdaa::3]:3000".to_owned()));
        assert_eq!(check("::ffff:10.0.0.7"), Ok("10.0.0.7:3000".to_owned()));
        assert_eq!(Endpoint::plain("fdaa::3", 80).to_string(), "[fdaa::3]:80", "as a URL has it");
    }

    #[test]
    fn a_name_is_used_with_tls_only() {
        let tls = |host: &str| Endpoint { tls: true, ..Endpoint::plain(host, 443) }.usable();
        assert_eq!(tls("app.fly.dev").unwrap(), "app.fly.dev:443");
        assert!(Endpoint::plain("app.fly.dev", 80).usable().is_err());
        for odd in ["", "metadata", "a b.example", "user@host.example", "host.example/path"] {
            assert!(tls(odd).is_err(), "{odd}");
        }
        assert!(tls("169.254.169.254").is_err());
    }

    #[test]
    fn metadata_link_local_public_and_odd_addresses_are_not() {
        for host in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "100.100.100.200",
            "fe80::1",
            "0.0.0.0",
            "::",
            "8.8.8.8",
            "2001:db8::1",
            "224.0.0.1",
            "metadata.google.internal",
            "2130706433",
            "127.1",
            "",
        ] {
            assert_eq!(check(host), Err(ErrorCode::UpstreamUnreachable), "{host}");
        }
        assert!(Endpoint::plain("127.0.0.1", 0).usable().is_err());
    }
}
