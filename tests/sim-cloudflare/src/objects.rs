//! What an account holds, as it is journaled. Secrets are not here: they lie in files of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::Object;

/// A Worker script and its current version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Script {
    pub name: String,
    pub created_on: jiff::Timestamp,
    pub modified_on: jiff::Timestamp,
    /// The newest migration that was applied.
    pub migration_tag: Option<String>,
    /// Since when it is on `https://NAME.SUBDOMAIN.workers.dev`.
    pub on_subdomain: Option<jiff::Timestamp>,
    pub tags: Vec<String>,
    pub secrets: Vec<String>,
    /// The last is the deployed one.
    pub versions: Vec<Version>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    pub id: String,
    pub number: u64,
    pub created_on: jiff::Timestamp,
    pub main_module: String,
    pub modules: Vec<String>,
    pub compatibility_date: String,
    pub compatibility_flags: Vec<String>,
    /// As they were sent, without the texts of secrets.
    pub bindings: Vec<Value>,
    /// Classes whose objects have a container.
    pub containers: Vec<String>,
}

impl Object for Script {
    const KIND: &'static str = "script";

    fn id(&self) -> &str {
        &self.name
    }
}

impl Script {
    pub fn current(&self) -> Option<&Version> {
        self.versions.last()
    }
}

/// A host name of a zone that leads to a script.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Domain {
    pub id: String,
    pub hostname: String,
    pub service: String,
    pub environment: String,
    pub zone_id: String,
    pub zone_name: String,
    /// Since when it leads somewhere.
    #[serde(default)]
    pub attached_on: jiff::Timestamp,
}

impl Object for Domain {
    const KIND: &'static str = "worker_domain";

    fn id(&self) -> &str {
        &self.id
    }
}

/// The Durable Objects of one class of one script.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Namespace {
    pub id: String,
    pub script: String,
    pub class: String,
    pub use_sqlite: bool,
}

impl Object for Namespace {
    const KIND: &'static str = "durable_object_namespace";

    fn id(&self) -> &str {
        &self.id
    }
}

/// A container application: which image the objects of a namespace run, and how many at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Application {
    pub id: String,
    pub created_at: jiff::Timestamp,
    pub account_id: String,
    pub name: String,
    pub version: u64,
    pub scheduling_policy: String,
    pub instances: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u64>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub configuration: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Value>,
    pub durable_objects: DurableObjects,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_active_grace_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_rollout_id: Option<String>,
}

impl Application {
    /// Whether each Durable Object chooses image and size at its start.
    pub fn is_by_object(&self) -> bool {
        self.scheduling_policy == "durable_object"
    }
}

/// The file system of a container at a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub size: u64,
    /// What it was started from.
    pub image: String,
    pub created: jiff::Timestamp,
    /// At its last restore.
    pub used: jiff::Timestamp,
}

impl Object for Snapshot {
    const KIND: &'static str = "container_snapshot";

    fn id(&self) -> &str {
        &self.id
    }
}

/// An image that containers may be started from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prepared {
    pub image: String,
    pub asked: jiff::Timestamp,
    /// `pending`, `ready` or `error`
    pub status: String,
}

impl Prepared {
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

impl Object for Prepared {
    const KIND: &'static str = "prepared_image";

    fn id(&self) -> &str {
        &self.image
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DurableObjects {
    pub namespace_id: String,
}

impl Object for Application {
    const KIND: &'static str = "container_application";

    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rollout {
    pub id: String,
    pub application_id: String,
    pub created_at: jiff::Timestamp,
    pub description: String,
    pub strategy: String,
    pub kind: String,
    pub status: String,
    pub current_version: u64,
    pub target_version: u64,
    pub target_configuration: Value,
    pub steps: Vec<Value>,
}

impl Object for Rollout {
    const KIND: &'static str = "container_rollout";

    fn id(&self) -> &str {
        &self.id
    }
}

/// A running container of a Durable Object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instance {
    /// The Durable Object's id.
    pub id: String,
    pub application_id: String,
    /// On the local Docker engine.
    pub container: String,
    pub image: String,
    pub assigned_at: jiff::Timestamp,
}

impl Object for Instance {
    const KIND: &'static str = "container_instance";

    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Zone {
    pub id: String,
    pub name: String,
    pub status: String,
}

impl Object for Zone {
    const KIND: &'static str = "zone";

    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DnsRecord {
    pub id: String,
    pub zone_id: String,
    pub created_on: jiff::Timestamp,
    pub modified_on: jiff::Timestamp,
    /// `type`, `name`, `content`, `ttl` and what else was sent.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

impl Object for DnsRecord {
    const KIND: &'static str = "dns_record";

    fn id(&self) -> &str {
        &self.id
    }
}

impl DnsRecord {
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Ids are 32 hexadecimal digits, as Cloudflare's are.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
