//! The parts of Fly's answers that this module reads. Everything else is ignored, and what is missing
//! is as if it were empty, because Fly leaves things out when a host does not answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Fly's servers write an empty list as null.
fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct App {
    pub name: String,
    pub network: String,
    /// Absent when the answer does not tell.
    pub machine_count: Option<u64>,
    pub volume_count: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AppPage {
    #[serde(deserialize_with = "null_is_empty")]
    pub apps: Vec<App>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    pub id: String,
    pub name: String,
    pub state: String,
    pub region: String,
    /// The newer name of `version`.
    pub instance_id: String,
    pub version: String,
    pub host_status: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub image_ref: ImageRef,
    /// Whole, because an update sends all of it; absent when the host does not answer.
    pub config: Option<Value>,
    #[serde(deserialize_with = "null_is_empty")]
    pub events: Vec<Event>,
}

/// What the image's name meant when the machine was made or changed last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImageRef {
    pub registry: String,
    pub repository: String,
    pub digest: Option<String>,
}

impl ImageRef {
    /// By its digest, where it is told.
    pub fn exact(&self) -> Option<String> {
        let digest = self.digest.as_deref().filter(|digest| !digest.is_empty())?;
        Some(format!("{}/{}@{digest}", self.registry, self.repository))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub image: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    pub guest: Guest,
    #[serde(deserialize_with = "null_is_empty")]
    pub mounts: Vec<Mount>,
    #[serde(deserialize_with = "null_is_empty")]
    pub files: Vec<File>,
    #[serde(deserialize_with = "null_is_empty")]
    pub services: Vec<Service>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    #[serde(deserialize_with = "null_is_empty")]
    pub ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Port {
    pub port: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Guest {
    pub cpus: u32,
    pub memory_mb: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mount {
    pub volume: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct File {
    pub secret_name: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    pub kind: String,
    pub request: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrgMachine {
    pub app_name: String,
    pub id: String,
    pub state: String,
    pub config: Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrgMachines {
    #[serde(deserialize_with = "null_is_empty")]
    pub machines: Vec<OrgMachine>,
    pub next_cursor: Option<String>,
    pub error_regions: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Volume {
    pub id: String,
    pub app_name: String,
    pub name: String,
    pub state: String,
    pub region: String,
    pub size_gb: u32,
    pub attached_machine_id: Option<String>,
    pub created_at: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrgVolumes {
    #[serde(deserialize_with = "null_is_empty")]
    pub volumes: Vec<Volume>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    pub version: u64,
    #[serde(deserialize_with = "null_is_empty")]
    pub secrets: Vec<Secret>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Secret {
    pub name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Waited {
    pub state: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LeaseAnswer {
    pub data: Lease,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    pub nonce: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Executed {
    pub exit_code: i32,
    pub exit_signal: i32,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    pub id: String,
    pub created_at: String,
    pub size: Option<u64>,
    pub retention_days: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Placements {
    #[serde(deserialize_with = "null_is_empty")]
    pub regions: Vec<Placement>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Placement {
    pub region: String,
    pub count: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    #[serde(deserialize_with = "null_is_empty")]
    pub tokens: Vec<Token>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Token {
    pub org_slug: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Addresses {
    #[serde(deserialize_with = "null_is_empty")]
    pub ips: Vec<Address>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Address {
    pub ip: String,
    pub shared: bool,
    /// Of a private address: where it is reached from.
    #[serde(deserialize_with = "null_is_empty")]
    pub network: Network,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    pub name: String,
}

impl Machine {
    /// This version, under whichever name it came.
    pub fn version(&self) -> &str {
        if self.version.is_empty() { &self.instance_id } else { &self.version }
    }

    pub fn is_gone(&self) -> bool {
        self.state == "destroyed"
    }

    /// The parts of the configuration that are read.
    pub fn config(&self) -> Option<Config> {
        Config::deserialize(self.config.as_ref()?).ok()
    }

    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.config().map(|config| config.metadata).unwrap_or_default()
    }

    /// Of the last end of its program.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit()?["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok())
    }

    fn exit(&self) -> Option<&Value> {
        let exit = self.events.iter().find(|event| event.kind == "exit")?;
        Some(&exit.request["exit_event"])
    }

    /// Why it does not run although nobody has stopped it; `None` of all others.
    pub fn why_not_well(&self) -> Option<String> {
        match self.state.as_str() {
            "failed" => Some("it could not be started".to_owned()),
            // Fly says of each end whether it was asked for.
            "stopped" if self.exit()?["requested_stop"] == Value::Bool(false) => {
                Some(match self.exit_code() {
                    Some(code) => format!("exit code {code}"),
                    None => "it ended".to_owned(),
                })
            }
            "created" if self.events.iter().all(|event| event.kind == "launch") => {
                Some("it was never started".to_owned())
            }
            _ => None,
        }
    }
}

impl Volume {
    /// On its way out, so as good as gone.
    pub fn is_going(&self) -> bool {
        let states = [
            "scheduling_destroy",
            "fork_cleanup",
            "waiting_for_detach",
            "pending_destroy",
            "destroying",
            "destroyed",
        ];
        states.contains(&self.state.as_str())
    }
}
