//! The host ports of `NETWORK.yml`. `contracts` holds the full type; xtask reads only what it needs, so
//! that it can be built alone.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Network {
    pub host: Host,
}

#[derive(Deserialize)]
pub struct Host {
    pub gateway: Gateway,
    pub orchestrator: u16,
    pub admin: u16,
    pub instances: Range,
}

#[derive(Deserialize)]
pub struct Gateway {
    pub http: u16,
    pub https: u16,
}

#[derive(Deserialize)]
pub struct Range {
    pub first: u16,
    pub last: u16,
}

impl Network {
    /// True when the file says something about this host port.
    pub fn names(&self, port: u16) -> bool {
        let host = &self.host;
        [host.gateway.http, host.gateway.https, host.orchestrator, host.admin].contains(&port)
            || (host.instances.first..=host.instances.last).contains(&port)
    }
}
