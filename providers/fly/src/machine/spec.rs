//! From inputs to what Fly is asked for, and back. Pure.

use contracts::boot::{self, HOME, USER};
use provider_kit::inputs::{Git, Owned};
use provider_kit::instance::{self, Ports};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::boot::{Delivery, FOLDER};
use crate::settings::Reach;
use crate::{names, wire};

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
    /// `None` in programs that were written before it was an input; then the setting says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    #[serde(flatten)]
    pub git: Git,
}

impl Inputs {
    /// The inputs that would make this machine; `None` when it is not one of Pilot's.
    pub fn of(app: &str, machine: &wire::Machine) -> Option<Self> {
        let config = machine.config()?;
        let owner = names::owner(&config.metadata)?;
        Some(Self {
            owned: Owned::new(owner, names::generation(&config.metadata)),
            app: app.to_owned(),
            region: machine.region.clone(),
            image: declared_image(&config),
            volume: config.mounts.first().map(|mount| mount.volume.clone()).unwrap_or_default(),
            cpus: config.guest.cpus,
            memory_mib: config.guest.memory_mb,
            reach: reach_of(&config.services),
            git: instance::git(|name| config.env.get(name).cloned()),
        })
    }

    /// Who does not say how the machine is reached sees no difference there.
    pub fn seen_with(self, reach: Option<Reach>) -> Self {
        Self { reach: self.reach.filter(|_| reach.is_some()), ..self }
    }

    /// What creates or updates the machine; `usual` is how machines are reached whose inputs do not say it.
    pub fn body(&self, delivery: &Delivery, usual: Reach, fence: Option<u64>) -> Value {
        let (ports, reach) = (Ports::inside(), self.reach.unwrap_or(usual));
        let mut env = instance::variables(&self.owned.runtime(), &self.git, ports);
        env.extend([
            ("HOME", HOME.to_owned()),
            ("PILOT_USER", USER.to_string()),
            (boot::FOLDER, FOLDER.to_owned()),
        ]);
        let config = json!({
            "image": self.image,
            "guest": {"cpu_kind": "shared", "cpus": self.cpus, "memory_mb": self.memory_mib},
            "env": env,
            "metadata": names::metadata(&self.owned.runtime().under(fence), self.owned.generation),
            "mounts": [{"volume": self.volume, "path": HOME}],
            "services": services(reach, ports.backend.port()),
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

pub(crate) const HTTPS: u16 = 443;
pub(crate) const HTTP: u16 = 80;

/// The gateway decides what runs, so Fly's proxy neither starts nor stops anything.
fn services(reach: Reach, port: u16) -> Value {
    let ports = match reach {
        Reach::Edge => json!([{"port": HTTPS, "handlers": ["tls", "http"]}]),
        Reach::Flycast => json!([{"port": HTTP, "handlers": ["http"]}]),
    };
    json!([{"protocol": "tcp", "internal_port": port, "autostart": false, "autostop": "off", "ports": ports}])
}

/// How a machine with these services is reached; `None` for one that nobody outside its network reaches.
fn reach_of(services: &[wire::Service]) -> Option<Reach> {
    services.iter().flat_map(|service| &service.ports).find_map(|port| match port.port {
        HTTPS => Some(Reach::Edge),
        HTTP => Some(Reach::Flycast),
        _ => None,
    })
}

/// The image as it was declared, also where [`pin`] has put what it means.
fn declared_image(config: &wire::Config) -> String {
    let metadata = |key| config.metadata.get(key);
    match metadata(names::PINNED) == Some(&config.image) {
        true => metadata(names::IMAGE).unwrap_or(&config.image).clone(),
        false => config.image.clone(),
    }
}

/// An image that stays is named by its digest: Fly would look a tag up anew, and find what it means today.
pub(crate) fn pin(body: &mut Value, machine: &wire::Machine) {
    let Some((exact, before)) = machine.image_ref.exact().zip(machine.config()) else { return };
    let config = &mut body["config"];
    config["metadata"][names::IMAGE] = declared_image(&before).into();
    config["metadata"][names::PINNED] = exact.clone().into();
    config["image"] = exact.into();
}

/// The same machine with other boot files, when only what Fly tells of it is known.
pub(crate) fn body_of(machine: &wire::Machine, delivery: &Delivery) -> Value {
    let mut config = machine.config.clone().unwrap_or_default();
    config["files"] = delivery.files.clone();
    // One that was made before is not told of it.
    config["env"][boot::FOLDER] = FOLDER.into();
    let mut body = json!({"config": config});
    pin(&mut body, machine);
    body
}
