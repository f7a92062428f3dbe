//! Everything of an organisation in one list, for sweeps.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};

use super::Caller;
use super::machines::Filter;
use super::paging::{self, Query, Wanted};
use crate::bend;
use crate::core::Core;
use crate::error::{Answer, Refusal};

fn must_own(caller: &Caller, org: &str) -> Answer<()> {
    match caller.org == org {
        true => Ok(()),
        false => Err(Refusal::new(StatusCode::FORBIDDEN, "unauthorized")),
    }
}

fn updated_after(query: &Query) -> Answer<Option<jiff::Timestamp>> {
    let given = query.get("updated_after").filter(|text| !text.is_empty());
    let parsed = given.map(|text| text.parse()).transpose();
    parsed.map_err(|_| Refusal::bad("updated_after must be a time as in RFC 3339"))
}

pub async fn machines(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    must_own(&caller, &org)?;
    let (wanted, filter) = (Wanted::read(&query, 1000, false)?, Filter::read(&query));
    let (after, summary) = (updated_after(&query)?, paging::says_yes(&query, "summary"));
    Ok(core.look(|world| {
        let all = world.machines.values().filter(|machine| {
            let owned = world.apps.get(&machine.app).is_some_and(|app| app.org == org);
            owned && filter.wants(machine) && after.is_none_or(|after| machine.updated_at > after)
        });
        let page = wanted.page(all, |machine| &machine.id);
        let views: Vec<Value> = page.items.iter().map(|machine| machine.org_view(!summary)).collect();
        let mut answer = json!({"machines": views, "error_regions": []});
        if let Some(last) = page.items.last() {
            answer["last_machine_id"] = last.id.clone().into();
            answer["last_updated_at"] = json!(last.updated_at);
        }
        answer["next_cursor"] = page.next.unwrap_or_default().into();
        Json(answer)
    }))
}

pub async fn volumes(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(org): Path<String>,
    query: Query,
) -> Answer<Json<Value>> {
    must_own(&caller, &org)?;
    let (wanted, after) = (Wanted::read(&query, 1000, false)?, updated_after(&query)?);
    Ok(core.look(|world| {
        let all = world.volumes.values().filter(|volume| {
            let owned = world.apps.get(&volume.app).is_some_and(|app| app.org == org);
            owned && bend::shows(volume.created_at) && after.is_none_or(|after| volume.updated_at > after)
        });
        let page = wanted.page(all, |volume| &volume.id);
        let views: Vec<Value> = page.items.iter().map(|volume| volume.org_view()).collect();
        let mut answer = json!({"volumes": views});
        if let Some(last) = page.items.last() {
            answer["last_volume_id"] = last.id.clone().into();
            answer["last_updated_at"] = json!(last.updated_at);
        }
        answer["next_cursor"] = page.next.unwrap_or_default().into();
        Json(answer)
    }))
}
