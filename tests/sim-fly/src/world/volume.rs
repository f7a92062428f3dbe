//! Volumes and their snapshots. The bytes are a folder that outlives every machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Volume {
    pub id: String,
    pub app: String,
    pub name: String,
    pub region: String,
    /// `created`, `pending_destroy` or `destroyed`.
    pub state: String,
    pub size_gb: u32,
    pub encrypted: bool,
    pub fstype: String,
    pub snapshot_retention: u32,
    pub auto_backup_enabled: bool,
    /// Whether it was made with the machine's size in mind, so that the machine finds room beside it.
    pub has_compute_hint: bool,
    pub attached_machine: Option<String>,
    /// `ok`, `unknown` or `unreachable`.
    pub host_status: String,
    pub snapshots: Vec<Snapshot>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: String,
    pub size: u64,
    pub created_at: Timestamp,
}

impl Volume {
    pub fn view(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "region": self.region,
            "zone": "0000",
            "size_gb": self.size_gb,
            "encrypted": self.encrypted,
            "fstype": self.fstype,
            "snapshot_retention": self.snapshot_retention,
            "auto_backup_enabled": self.auto_backup_enabled,
            "attached_machine_id": self.attached_machine,
            "attached_alloc_id": null,
            "host_status": self.host_status,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }

    pub fn org_view(&self) -> Value {
        let mut view = self.view();
        view["app_name"] = self.app.clone().into();
        view
    }
}

impl Snapshot {
    pub fn view(&self, volume: &Volume) -> Value {
        json!({
            "id": self.id,
            "status": "created",
            "size": self.size,
            "volume_size": u64::from(volume.size_gb) << 30,
            "digest": self.id,
            "retention_days": volume.snapshot_retention,
            "created_at": self.created_at,
        })
    }
}
