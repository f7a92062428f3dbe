//! Custom domains: host names of the account's zones that lead to scripts.

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, scripts};
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::{DnsRecord, Domain, Zone, new_id};

#[derive(Deserialize)]
pub struct Filter {
    hostname: Option<String>,
}

pub async fn list(State(cloud): Shared, filter: Query<Filter>) -> Answer {
    let mut all = cloud.journal.all::<Domain>();
    all.retain(|domain| filter.hostname.as_ref().is_none_or(|host| *host == domain.hostname));
    Success::of(all.iter().map(shown).collect::<Vec<_>>())
}

fn shown(domain: &Domain) -> Value {
    let Domain { id, hostname, service, environment, zone_id, zone_name, attached_on: _ } = domain;
    json!({
        "id": id,
        "hostname": hostname,
        "service": service,
        "environment": environment,
        "zone_id": zone_id,
        "zone_name": zone_name,
    })
}

#[derive(Deserialize)]
pub struct Attach {
    hostname: String,
    service: String,
    environment: String,
    zone_id: String,
}

/// One that is there already leads to this script from now on.
pub async fn attach(State(cloud): Shared, wanted: Json<Attach>) -> Answer {
    let _change = cloud.changes.lock().await;
    let Attach { hostname, service, environment, zone_id } = wanted.0;
    scripts::find(&cloud, &service)?;
    if hostname.contains('*') {
        let words = "Wildcard hostnames are not supported for custom domains.";
        return Err(ApiError::bad_request(100_114, words));
    }
    let zone = cloud.journal.get::<Zone>(&zone_id).filter(|zone| {
        hostname == zone.name || hostname.strip_suffix(&zone.name).is_some_and(|rest| rest.ends_with('.'))
    });
    let zone = zone.ok_or_else(|| ApiError::bad_request(100_114, "The hostname is not in that zone."))?;
    if cloud.journal.all::<DnsRecord>().iter().any(|record| record.text("name") == hostname) {
        let words = "Hostname already has externally managed DNS records (A, CNAME, etc). Delete them first.";
        return Err(ApiError::new(StatusCode::CONFLICT, 100_117, words));
    }
    let before = cloud.journal.all::<Domain>().into_iter().find(|domain| domain.hostname == hostname);
    let (id, attached_on) =
        before.map_or_else(|| (new_id(), cloud.now()), |domain| (domain.id, domain.attached_on));
    let domain = Domain { id, hostname, service, environment, zone_id, zone_name: zone.name, attached_on };
    cloud.journal.put(&domain)?;
    Success::of(shown(&domain))
}

pub async fn remove(State(cloud): Shared, Path((_, id)): Path<(String, String)>) -> Answer {
    let _change = cloud.changes.lock().await;
    if cloud.journal.get::<Domain>(&id).is_none() {
        return Err(ApiError::not_found(100_103, "There is no such domain."));
    }
    cloud.journal.remove::<Domain>(&id)?;
    Success::of(Value::Null)
}
