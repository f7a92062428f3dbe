//! The ports and domains of `NETWORK.yml`, which is compiled in and parsed once.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub version: u32,
    pub host: HostPorts,
    pub instance: InstancePorts,
    pub domains: Domains,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPorts {
    pub gateway: GatewayPorts,
    pub orchestrator: u16,
    pub admin: u16,
    pub instances: PortRange,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayPorts {
    pub http: u16,
    pub https: u16,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl std::str::FromStr for PortRange {
    type Err = String;

    /// `FIRST-LAST`
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(first, last)| {
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (0 < first && first <= last).then_some(Self { first, last })
        });
        parsed.ok_or_else(|| format!("{text:?} is not a range of ports like 14300-14399"))
    }
}

impl PortRange {
    pub fn iter(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstancePorts {
    pub backend: u16,
    pub opencode: u16,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domains {
    pub workspaces: String,
}

const TEXT: &str = include_str!("../../NETWORK.yml");

/// The parsed file. A test proves that it parses, so the empty fallback is never used.
pub fn network() -> &'static Network {
    static NETWORK: LazyLock<Network> = LazyLock::new(|| {
        serde_saphyr::from_str(TEXT).unwrap_or_else(|_| Network {
            version: 0,
            host: HostPorts {
                gateway: GatewayPorts { http: 0, https: 0 },
                orchestrator: 0,
                admin: 0,
                instances: PortRange { first: 0, last: 0 },
            },
            instance: InstancePorts { backend: 0, opencode: 0 },
            domains: Domains { workspaces: String::new() },
        })
    });
    &NETWORK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_parses_and_host_ports_are_14xxx_and_distinct() {
        let parsed: Network = serde_saphyr::from_str(TEXT).unwrap();
        let host = &parsed.host;
        let mut ports = vec![host.gateway.http, host.gateway.https, host.orchestrator, host.admin];
        ports.extend([host.instances.first, host.instances.last]);
        for port in &ports {
            assert!((14_000..15_000).contains(port), "{port}");
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6);
        assert!(!host.instances.iter().contains(&host.orchestrator));
        assert_eq!((network().instance.backend, network().instance.opencode), (3000, 4096));
    }
}
