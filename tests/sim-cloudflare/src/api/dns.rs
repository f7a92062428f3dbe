//! Zones and their DNS records.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use crate::cloud::Cloud;
use crate::envelope::{Answer, ApiError, Page, Success};
use crate::objects::{DnsRecord, Zone, new_id};

/// What a record is searched by.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    name: Option<String>,
    r#type: Option<String>,
    content: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

impl Filter {
    fn page(&self) -> Page {
        Page { page: self.page, per_page: self.per_page }
    }
}

pub async fn zones(State(cloud): Shared, filter: Query<Filter>) -> Answer {
    let mut all = cloud.journal.all::<Zone>();
    all.retain(|zone| filter.name.as_ref().is_none_or(|name| *name == zone.name));
    Success::page(&all, &filter.page())
}

pub async fn list(State(cloud): Shared, Path(zone): Path<String>, filter: Query<Filter>) -> Answer {
    find_zone(&cloud, &zone)?;
    let mut all = cloud.listed::<DnsRecord>(|record| record.created_on);
    let matches = |record: &DnsRecord, field, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| record.text(field).eq_ignore_ascii_case(wanted))
    };
    all.retain(|record| {
        record.zone_id == zone
            && matches(record, "type", &filter.r#type)
            && matches(record, "name", &filter.name)
            && matches(record, "content", &filter.content)
    });
    Success::page(&all, &filter.page())
}

pub async fn one(State(cloud): Shared, Path((zone, id)): Path<(String, String)>) -> Answer {
    Success::of(find(&cloud, &zone, &id)?)
}

pub async fn create(
    State(cloud): Shared,
    Path(zone): Path<String>,
    fields: Json<BTreeMap<String, Value>>,
) -> Answer {
    let _change = cloud.changes.lock().await;
    let now = cloud.now();
    let record =
        DnsRecord { id: new_id(), zone_id: zone, created_on: now, modified_on: now, fields: fields.0 };
    keep(&cloud, record)
}

pub async fn modify(
    State(cloud): Shared,
    Path((zone, id)): Path<(String, String)>,
    fields: Json<BTreeMap<String, Value>>,
) -> Answer {
    let _change = cloud.changes.lock().await;
    let mut record = find(&cloud, &zone, &id)?;
    record.fields.extend(fields.0);
    record.modified_on = cloud.now();
    keep(&cloud, record)
}

pub async fn remove(State(cloud): Shared, Path((zone, id)): Path<(String, String)>) -> Answer {
    let _change = cloud.changes.lock().await;
    find(&cloud, &zone, &id)?;
    cloud.journal.remove::<DnsRecord>(&id)?;
    Success::of(json!({"id": id}))
}

fn find_zone(cloud: &Cloud, id: &str) -> Result<Zone, ApiError> {
    let message = "Could not route to /zones, perhaps your object identifier is invalid?";
    cloud.journal.get(id).ok_or_else(|| ApiError::not_found(7003, message))
}

fn find(cloud: &Cloud, zone: &str, id: &str) -> Result<DnsRecord, ApiError> {
    find_zone(cloud, zone)?;
    let record = cloud.journal.get::<DnsRecord>(id).filter(|record| record.zone_id == zone);
    record.ok_or_else(|| ApiError::not_found(81044, "Record does not exist."))
}

/// Checks the record against the zone's others and writes it.
fn keep(cloud: &Cloud, mut record: DnsRecord) -> Answer {
    let zone = find_zone(cloud, &record.zone_id)?;
    for field in ["type", "name", "content"] {
        if record.text(field).is_empty() {
            return Err(ApiError::bad_request(9005, format!("DNS Validation Error: {field} is missing")));
        }
    }
    // A name may be given relative to its zone.
    let mut name = record.text("name").to_ascii_lowercase();
    if name == "@" {
        name.clone_from(&zone.name);
    } else if name != zone.name && !name.ends_with(&format!(".{}", zone.name)) {
        name = format!("{name}.{}", zone.name);
    }
    record.fields.insert("name".to_owned(), name.into());
    record.fields.entry("ttl".to_owned()).or_insert(1.into());
    record.fields.entry("proxied".to_owned()).or_insert(false.into());
    let ttl = record.fields["ttl"].as_u64().unwrap_or_default();
    if ttl != 1 && !(60..=86_400).contains(&ttl) {
        return Err(ApiError::bad_request(
            9021,
            "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.",
        ));
    }
    for other in cloud.journal.all::<DnsRecord>() {
        let same = |field| other.text(field).eq_ignore_ascii_case(record.text(field));
        if other.id == record.id || other.zone_id != record.zone_id || !same("name") {
            continue;
        }
        if same("type") && other.text("content") == record.text("content") {
            return Err(match record.text("type") {
                "TXT" => ApiError::bad_request(81058, "An identical record already exists."),
                _ => ApiError::bad_request(81057, "The record already exists."),
            });
        }
        if [other.text("type"), record.text("type")].contains(&"CNAME") {
            let message = "An A, AAAA, or CNAME record with that host already exists.";
            return Err(ApiError::bad_request(81053, message));
        }
    }
    cloud.journal.put(&record)?;
    Success::of(record)
}
