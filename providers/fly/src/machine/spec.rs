//! From inputs to what Fly is asked for, and back. Pure.

use std::collections::BTreeMap;

use contracts::network::network;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::boot::{Delivery, HOME};
use crate::owned::Owned;
use crate::settings::Reach;
use crate::{names, wire};

const GIT_URL: &str = "PILOT_GIT_URL";
const GIT_REF: &str = "PILOT_GIT_REF";
/// The instance's user in the image.
const USER: &str = "1000";
/// How long the instance's init may take to end its children.
const GRACE: &str = "10s";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inputs {
    #[serde(flatten)]
    pub owned: Owned,
    pub app: String,
    pub region: String,
    pub image: String,
    pub volume: String,
    pub cpus: u32,
    pub memory_mib: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
}

impl Inputs {
    /// The inputs that would make this machine; `None` when it is not one of Pilot's.
    pub fn of(app: &str, machine: &wire::Machine) -> Option<Self> {
        let config = machine.config()?;
        let owner = names::owner(&config.metadata)?;
        Some(Self {
            owned: Owned::of(owner, names::generation(&config.metadata)),
            app: app.to_owned(),
            region: machine.region.clone(),
            image: config.image.clone(),
            volume: config.mounts.first().map(|mount| mount.volume.clone()).unwrap_or_default(),
            cpus: config.guest.cpus,
            memory_mib: config.guest.memory_mb,
            git_url: config.env.get(GIT_URL).cloned(),
            git_ref: config.env.get(GIT_REF).cloned(),
        })
    }

    /// What creates or updates the machine.
    pub fn body(&self, delivery: &Delivery, reach: Reach, fence: Option<u64>) -> Value {
        let ports = &network().instance;
        // A proxy comes from outside over IPv4, a neighbour in the private network over IPv6.
        let any = if reach == Reach::Internal { "[::]" } else { "0.0.0.0" };
        let mut env = BTreeMap::from([
            ("HOME", HOME.to_owned()),
            ("PILOT_INSTALLATION", self.owned.installation.to_string()),
            ("PILOT_RUNTIME", self.owned.runtime_id.to_string()),
            ("PILOT_USER", USER.to_owned()),
            ("PILOT_LISTEN", format!("{any}:{}", ports.backend)),
            ("PILOT_OPENCODE_PORT", ports.opencode.to_string()),
        ]);
        env.extend(self.git_url.clone().map(|url| (GIT_URL, url)));
        env.extend(self.git_ref.clone().map(|reference| (GIT_REF, reference)));
        let config = json!({
            "image": self.image,
            "guest": {"cpu_kind": "shared", "cpus": self.cpus, "memory_mb": self.memory_mib},
            "env": env,
            "metadata": names::metadata(&self.owned.runtime().under(fence), self.owned.generation),
            "mounts": [{"volume": self.volume, "path": HOME}],
            "services": services(reach, ports.backend),
            "files": delivery.files,
            // Secrets are files here; the environment is shown to everything that an agent starts. A new
            // volume and the files in it are root's, so the init begins as root and goes on as `PILOT_USER`.
            "processes": [{"ignore_app_secrets": true, "user": "root"}],
            // Whether an instance should run is Pilot's to know.
            "restart": {"policy": "no"},
            "stop_config": {"signal": "SIGTERM", "timeout": GRACE},
        });
        json!({"name": names::MACHINE, "region": self.region, "config": config})
    }
}

/// The gateway decides what runs, so Fly's proxy neither starts nor stops anything.
fn services(reach: Reach, port: u16) -> Value {
    let ports = match reach {
        Reach::Internal => return json!([]),
        Reach::Edge => json!([{"port": 443, "handlers": ["tls", "http"]}]),
        Reach::Flycast => json!([{"port": 80, "handlers": ["http"]}]),
    };
    json!([{"protocol": "tcp", "internal_port": port, "autostart": false, "autostop": "off", "ports": ports}])
}

/// The same machine with other boot files, when only what Fly tells of it is known.
pub(crate) fn body_of(machine: &wire::Machine, delivery: &Delivery) -> Value {
    let mut config = machine.config.clone().unwrap_or_default();
    config["files"] = delivery.files.clone();
    json!({"config": config})
}
