//! The account itself: who calls, what may be used, the subdomain, the registry.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::new_id;

pub async fn verify() -> Answer {
    Success::of(json!({"id": new_id(), "status": "active"}))
}

pub async fn accounts(State(cloud): Shared) -> Answer {
    Success::of(json!([{"id": cloud.options.account, "name": "Simulated", "type": "standard"}]))
}

pub async fn memberships(State(cloud): Shared) -> Answer {
    let account = json!({"id": cloud.options.account, "name": "Simulated"});
    Success::of(
        json!([{"id": new_id(), "status": "accepted", "account": account, "roles": ["Administrator"]}]),
    )
}

pub async fn subdomain(State(cloud): Shared) -> Answer {
    match cloud.options.subdomain.as_str() {
        "" => Err(ApiError::not_found(10007, "There is no workers.dev subdomain on your account.")),
        name => Success::of(json!({"subdomain": name})),
    }
}

/// `wrangler` looks for those of a script that it deletes. There is no key-value storage here.
pub async fn no_namespaces() -> Answer {
    Success::of(json!([]))
}

/// The limits that `wrangler` checks a configuration against.
pub async fn containers(State(cloud): Shared) -> Answer {
    Success::of(json!({
        "external_account_id": cloud.options.account,
        "legacy_identity": "",
        "capabilities": [],
        "limits": {
            "account_id": cloud.options.account,
            "vcpu_per_deployment": 4,
            "memory_mib_per_deployment": 12_288,
            "memory_per_deployment": "12288MiB",
            "disk_per_deployment": "20GB",
            "disk_mb_per_deployment": 20_000,
            "total_vcpu": 1500,
            "total_memory_mib": 6_291_456,
            "node_group": "metal",
            "ipv4s": 0,
            "network_modes": ["private"],
        },
        "locations": [],
        "defaults": {"vcpus": 0.0625, "memory_mib": 256, "memory": "256MiB", "disk_mb": 2000},
    }))
}

#[derive(Deserialize)]
pub struct Wanted {
    expiration_minutes: u32,
    permissions: Vec<String>,
}

pub async fn registry_credentials(
    State(cloud): Shared,
    Path((_, domain)): Path<(String, String)>,
    wanted: Json<Wanted>,
) -> Answer {
    let _ = (wanted.expiration_minutes, &wanted.permissions);
    // Those of other registries are good for nothing here.
    let login = cloud.registry.login();
    Success::of(json!({
        "account_id": cloud.options.account,
        "registry_host": domain,
        "username": login.username,
        "password": login.password,
    }))
}
