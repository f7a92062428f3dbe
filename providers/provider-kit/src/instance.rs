//! What an instance's init reads from its environment: who it is, where it listens, and what it clones. A vendor shows these to whoever may
//! look at the instance, so there is no secret among them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use contracts::network::network;
use provider_api::RuntimeRef;

use crate::inputs::Git;

/// Whose installation it is in.
pub const INSTALLATION: &str = "PILOT_INSTALLATION";
/// Which runtime it is.
pub const RUNTIME: &str = "PILOT_RUNTIME";
/// For people, and of no meaning to the init: a module that changes the generation in place leaves it out.
pub const GENERATION: &str = "PILOT_GENERATION";
/// Where the backend listens.
pub const LISTEN: &str = "PILOT_LISTEN";
/// Where OpenCode does, on loopback.
pub const OPENCODE_PORT: &str = "PILOT_OPENCODE_PORT";
/// What is cloned into a new home.
pub const GIT_URL: &str = "PILOT_GIT_URL";
/// Its branch or tag.
pub const GIT_REF: &str = "PILOT_GIT_REF";

/// Where the two servers of an instance listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Of the backend, which the gateway reaches.
    pub backend: SocketAddr,
    /// Of OpenCode, on loopback.
    pub opencode: u16,
}

impl Ports {
    /// Of an instance that has a network of its own.
    pub fn inside() -> Self {
        let ports = &network().instance;
        Self { backend: (Ipv4Addr::UNSPECIFIED, ports.backend).into(), opencode: ports.opencode }
    }
}

/// The environment of an instance, besides what is the vendor's alone.
pub fn variables(runtime: &RuntimeRef, git: &Git, ports: Ports) -> BTreeMap<&'static str, String> {
    let mut variables = BTreeMap::from([
        (INSTALLATION, runtime.installation.to_string()),
        (RUNTIME, runtime.runtime_id.to_string()),
        (LISTEN, ports.backend.to_string()),
        (OPENCODE_PORT, ports.opencode.to_string()),
    ]);
    variables.extend(git.git_url.clone().map(|url| (GIT_URL, url)));
    variables.extend(git.git_ref.clone().map(|reference| (GIT_REF, reference)));
    variables
}

/// What an instance that is there was told to clone. `variable` gives its variables by name.
pub fn git(variable: impl Fn(&str) -> Option<String>) -> Git {
    Git { git_url: variable(GIT_URL), git_ref: variable(GIT_REF) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_told_who_it_is_and_tells_what_it_was_to_clone() {
        let runtime = RuntimeRef::new("rt-1".parse().unwrap(), "in-1".parse().unwrap());
        let source = Git { git_url: Some("https://git.example.com/a.git".to_owned()), git_ref: None };
        let told = variables(&runtime, &source, Ports::inside());
        assert_eq!((told[RUNTIME].as_str(), told[INSTALLATION].as_str()), ("rt-1", "in-1"));
        assert_eq!(told[LISTEN], format!("0.0.0.0:{}", network().instance.backend));
        assert_eq!(git(|name| told.get(name).cloned()), source);
    }
}
