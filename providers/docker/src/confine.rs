//! What an operator may loosen or tighten of every instance's confinement.

use std::collections::HashMap;

use bollard::models::HostConfig;
use provider_api::{Result, Settings};

use crate::settings::unusable;

/// What `sudo` and package managers need and no more: neither the network's nor the kernel's are among them.
const DEV: [&str; 9] =
    ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID"];

/// gVisor, as engines name it.
pub(crate) const GVISOR: &str = "runsc";

/// What runs the containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum OciRuntime {
    /// gVisor on hosts that have it, the engine's own elsewhere.
    #[default]
    Auto,
    /// The engine's own, whatever there is.
    Engines,
    /// This one; a host without it refuses.
    Named(String),
}

/// The same for all instances of an installation; a change holds for what is made from then on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// Programs inside may become root of the container.
    dev: bool,
    pub runtime: OciRuntime,
    disk_mib: Option<u32>,
}

impl Confinement {
    pub fn read(settings: &Settings) -> Result<Self> {
        let dev = match settings.get("profile") {
            None | Some("strict") => false,
            Some("dev") => true,
            Some(other) => {
                return Err(unusable("profile", &format!("{other:?} is neither strict nor dev")));
            }
        };
        let disk_mib = settings.get("diskMib").map(|text| {
            let number = text.parse::<u32>().ok().filter(|mib| *mib >= 1024);
            number.ok_or_else(|| unusable("diskMib", &format!("{text:?} is no number from 1024 on")))
        });
        let runtime = match settings.get("runtime") {
            None | Some("auto") => OciRuntime::Auto,
            Some("default") => OciRuntime::Engines,
            Some(name) => OciRuntime::Named(name.to_owned()),
        };
        Ok(Self { dev, runtime, disk_mib: disk_mib.transpose()? })
    }

    /// With the runtime that was found for the host.
    pub fn apply(&self, host: HostConfig, runtime: Option<String>) -> HostConfig {
        HostConfig {
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: self.dev.then(|| DEV.map(str::to_owned).to_vec()),
            security_opt: (!self.dev).then(|| vec!["no-new-privileges:true".to_owned()]),
            runtime,
            storage_opt: self.disk_mib.map(|mib| HashMap::from([("size".to_owned(), format!("{mib}M"))])),
            ..host
        }
    }
}
