//! The parts of a machine's configuration that the simulator acts on. The rest is kept and given back
//! as it came.

use std::collections::BTreeMap;

use base64::Engine;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Answer, Refusal};

/// `config` of a create or update, read for what it means.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    pub image: String,
    pub size: Option<String>,
    pub guest: Guest,
    pub env: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    pub init: Init,
    pub mounts: Vec<Mount>,
    pub services: Vec<Service>,
    pub restart: Restart,
    pub stop_config: StopConfig,
    pub files: Vec<File>,
    pub processes: Vec<Process>,
    pub schedule: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Guest {
    pub cpu_kind: String,
    pub cpus: u32,
    pub memory_mb: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Init {
    pub exec: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub swap_size_mb: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Mount {
    pub volume: String,
    pub path: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    pub internal_port: u16,
    pub autostart: bool,
    /// A word, or a boolean in the old form.
    pub autostop: Value,
    pub min_machines_running: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Restart {
    pub policy: Option<String>,
    pub max_retries: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StopConfig {
    pub signal: Option<String>,
    /// `"15s"`, or nanoseconds.
    pub timeout: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct File {
    pub guest_path: String,
    pub raw_value: Option<String>,
    pub secret_name: Option<String>,
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// The application's secrets are not in its environment.
    pub ignore_app_secrets: bool,
    /// In place of the image's.
    pub user: Option<String>,
}

/// What happens to an idle machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autostop {
    Off,
    Stop,
    Suspend,
}

impl Service {
    pub fn autostop(&self) -> Autostop {
        match &self.autostop {
            Value::Bool(true) => Autostop::Stop,
            Value::String(word) if word == "stop" => Autostop::Stop,
            Value::String(word) if word == "suspend" => Autostop::Suspend,
            _ => Autostop::Off,
        }
    }
}

/// Checks a configuration as the vendor does, and fills in what the vendor fills in.
pub fn accept(config: &Value) -> Answer<(Config, Value)> {
    let read: Config = read(config)?;
    if read.image.is_empty() {
        return Err(Refusal::bad("invalid_argument: config.image is required"));
    }
    if read.mounts.len() > 1 {
        return Err(Refusal::bad("invalid_argument: a machine can have only one volume"));
    }
    for file in &read.files {
        let sources = usize::from(file.raw_value.is_some()) + usize::from(file.secret_name.is_some());
        if !file.guest_path.starts_with('/') || sources != 1 {
            return Err(Refusal::bad(
                "invalid_argument: a file needs an absolute guest_path and one of raw_value and secret_name",
            ));
        }
        if file.raw_value.as_ref().is_some_and(|raw| decode(raw).is_none()) {
            return Err(Refusal::bad("invalid_argument: raw_value must be base64"));
        }
    }
    if read.metadata.keys().any(|key| key.is_empty()) {
        return Err(Refusal::bad("invalid_argument: a metadata key must not be empty"));
    }
    let mut kept = config.as_object().cloned().unwrap_or_default();
    let guest = guest(&read, &kept)?;
    kept.insert("guest".to_owned(), guest);
    kept.remove("size");
    for key in ["metadata", "env"] {
        kept.entry(key).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(services) = kept.get_mut("services").and_then(Value::as_array_mut) {
        services.iter_mut().for_each(old_form);
    }
    let kept = Value::Object(kept);
    Ok((self::read(&kept)?, kept))
}

/// What was accepted before, read again.
pub fn read(config: &Value) -> Answer<Config> {
    let read = Config::deserialize(config);
    read.map_err(|error| Refusal::bad(format!("invalid_argument: config: {error}")))
}

/// Base64 as secrets and files hold it.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()
}

/// Answers use booleans for two of three words, for the sake of old clients.
fn old_form(service: &mut Value) {
    if let Some(autostop) = service.get_mut("autostop") {
        match autostop.as_str() {
            Some("off") => *autostop = false.into(),
            Some("stop") => *autostop = true.into(),
            _ => {}
        }
    }
}

/// The guest of a preset `size`, or the given one with its gaps filled.
fn guest(read: &Config, kept: &Map<String, Value>) -> Answer<Value> {
    let given = kept.get("guest").and_then(Value::as_object);
    let mut guest = given.cloned().unwrap_or_default();
    if let Some(size) = &read.size {
        if given.is_some() {
            return Err(Refusal::bad("invalid_argument: give either size or guest"));
        }
        let (kind, cpus, memory) = preset(size)
            .ok_or_else(|| Refusal::bad(format!("invalid_argument: {size} is not a valid machine size")))?;
        return Ok(json!({"cpu_kind": kind, "cpus": cpus, "memory_mb": memory}));
    }
    let defaults = [("cpu_kind", json!("shared")), ("cpus", json!(1)), ("memory_mb", json!(256))];
    for (key, value) in defaults {
        guest.entry(key).or_insert(value);
    }
    let filled: Guest = Guest::deserialize(&Value::Object(guest.clone()))
        .map_err(|error| Refusal::bad(format!("invalid_argument: guest: {error}")))?;
    check(&filled)?;
    Ok(Value::Object(guest))
}

/// `shared-cpu-2x` and the like.
fn preset(size: &str) -> Option<(&'static str, u32, u32)> {
    let (kind, each, number) = match (size.strip_prefix("shared-cpu-"), size.strip_prefix("performance-")) {
        (Some(rest), _) => ("shared", 256, rest),
        (_, Some(rest)) => ("performance", 2048, rest),
        _ => return None,
    };
    let cpus: u32 = number.strip_suffix('x')?.parse().ok()?;
    [1, 2, 4, 8, 16].contains(&cpus).then_some((kind, cpus, cpus * each))
}

fn check(guest: &Guest) -> Answer<()> {
    let (least, most) = match guest.cpu_kind.as_str() {
        "shared" => (256, 2048),
        "performance" => (2048, 8192),
        other => return Err(Refusal::bad(format!("invalid_argument: unknown cpu_kind {other:?}"))),
    };
    if ![1, 2, 4, 8, 16].contains(&guest.cpus) {
        return Err(Refusal::bad(format!("invalid_argument: {} is not a valid number of CPUs", guest.cpus)));
    }
    if !guest.memory_mb.is_multiple_of(256) {
        return Err(Refusal::bad("invalid_argument: memory_mb must be a multiple of 256"));
    }
    if !(guest.cpus * least..=guest.cpus * most).contains(&guest.memory_mb) {
        let words = format!("{} MB do not go with {} {} CPUs", guest.memory_mb, guest.cpus, guest.cpu_kind);
        return Err(Refusal::bad(format!("invalid_argument: {words}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_becomes_its_guest_and_words_become_booleans_for_old_clients() {
        let (read, kept) = accept(&json!({
            "image": "i", "size": "shared-cpu-2x",
            "services": [{"internal_port": 3000, "autostop": "suspend"}, {"autostop": "off"}, {"autostop": "stop"}],
        }))
        .unwrap();
        assert_eq!(kept["guest"], json!({"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}));
        assert_eq!(kept["services"][1]["autostop"], json!(false));
        let stops: Vec<_> = read.services.iter().map(Service::autostop).collect();
        assert_eq!(stops, [Autostop::Suspend, Autostop::Off, Autostop::Stop]);
    }

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        for config in [
            json!({}),
            json!({"image": "i", "size": "huge"}),
            json!({"image": "i", "size": "shared-cpu-1x", "guest": {}}),
            json!({"image": "i", "guest": {"cpus": 3}}),
            json!({"image": "i", "guest": {"cpus": 1, "memory_mb": 4096}}),
            json!({"image": "i", "guest": {"cpus": 1, "memory_mb": 300}}),
            json!({"image": "i", "mounts": [{"volume": "a", "path": "/a"}, {"volume": "b", "path": "/b"}]}),
            json!({"image": "i", "files": [{"guest_path": "relative", "raw_value": ""}]}),
            json!({"image": "i", "files": [{"guest_path": "/a"}]}),
            json!({"image": "i", "env": {"A": 1}}),
        ] {
            assert_eq!(accept(&config).unwrap_err().status, 400, "{config}");
        }
    }
}
