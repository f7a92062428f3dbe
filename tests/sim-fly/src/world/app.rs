//! Applications: a name, a network, secrets and addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct App {
    pub id: String,
    pub name: String,
    pub org: String,
    pub network: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    pub created_at: Timestamp,
    /// Rises with every change of a secret.
    pub secrets_version: u64,
    pub secrets: BTreeMap<String, SecretMark>,
    pub addresses: Vec<Address>,
    /// Somebody has ordered its end.
    #[serde(default)]
    pub deleting: bool,
    // What follows is an index and is made anew at a restart.
    #[serde(skip)]
    pub machines: BTreeSet<String>,
    /// From a machine's name to its id.
    #[serde(skip)]
    pub names: HashMap<String, String>,
    #[serde(skip)]
    pub volumes: BTreeSet<String>,
}

/// What may be told of a secret. The value is in a file of its own and is never answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretMark {
    pub digest: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// As it was asked for, for example `shared_v4`.
    pub kind: String,
    pub ip: String,
    pub region: String,
    pub shared: bool,
    pub service_name: String,
    /// Only for addresses in a private network.
    pub network: Option<String>,
    pub created_at: Timestamp,
}

impl App {
    pub fn view(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "status": if self.deleting || self.machines.is_empty() { "pending" } else { "deployed" },
            "network": self.network,
            "machine_count": self.machines.len(),
            "volume_count": self.volumes.len(),
            "internal_numeric_id": number(&self.id),
            "organization": {"name": self.org, "slug": self.org, "internal_numeric_id": number(&self.org)},
        })
    }
}

impl App {
    /// Whether the proxy serves the application under this host: its public name where it has a public address, or a private
    /// address of its own.
    pub fn is_served_at(&self, host: &str) -> bool {
        let private = host.trim_start_matches('[').split(']').next().unwrap_or_default();
        self.addresses.iter().any(|address| match address.kind.as_str() {
            "v4" | "v6" | "shared_v4" => !host.starts_with('['),
            "private_v6" => address.ip == private,
            _ => false,
        })
    }
}

impl SecretMark {
    pub fn view(&self, name: &str) -> Value {
        json!({
            "name": name,
            "digest": self.digest,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }
}

impl Address {
    pub fn view(&self, org: &str) -> Value {
        json!({
            "ip": self.ip,
            "region": self.region,
            "shared": self.shared,
            "service_name": self.service_name,
            "network": self.network.as_ref().map(|name| json!({"name": name, "org_slug": org})),
            "created_at": self.created_at,
        })
    }
}

/// A stable number for a name; the vendor has internal ones.
fn number(text: &str) -> u32 {
    text.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) >> 8
}
