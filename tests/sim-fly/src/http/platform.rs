//! Regions, placements and the token: what a client asks before it makes anything.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Caller};
use crate::core::Core;
use crate::error::{Answer, Refusal};

/// What an organisation may place in one region when it has no limit.
const PLENTY: usize = 1000;

pub async fn regions(State(core): State<Arc<Core>>) -> Json<Value> {
    let view = |region: &crate::settings::Region| {
        json!({
            "code": region.code, "name": region.name, "latitude": 0.0, "longitude": 0.0,
            "gateway_available": true, "requires_paid_plan": false, "deprecated": false,
        })
    };
    let regions: Vec<Value> = core.settings.regions.iter().map(view).collect();
    let nearest = core.settings.regions.first().map(|region| region.code.clone());
    Json(json!({"regions": regions, "nearest": nearest}))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Placements {
    org_slug: String,
    region: String,
    count: usize,
}

/// Where so many machines would find room now. A region without any is left out.
pub async fn placements(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<Placements>,
) -> Answer<Json<Value>> {
    if asked.org_slug != caller.org {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "unauthorized"));
    }
    let wanted: Vec<&str> = asked.region.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let is_wanted = |code: &str| wanted.is_empty() || wanted.contains(&"any") || wanted.contains(&code);
    Ok(core.look(|world| {
        let mut left = if asked.count == 0 { usize::MAX } else { asked.count };
        let mut placed = Vec::new();
        for region in core.settings.regions.iter().filter(|region| is_wanted(&region.code)) {
            let used = world.living(|machine| machine.region == region.code);
            let room = region.capacity.map_or(PLENTY, |capacity| capacity.saturating_sub(used)).min(left);
            if room > 0 {
                left -= room;
                placed.push(json!({"region": region.code, "count": room, "concurrency": room}));
            }
        }
        Json(json!({"regions": placed}))
    }))
}

pub async fn token(Extension(caller): Extension<Caller>) -> Json<Value> {
    let token = json!({
        "token_id": "sim", "org_slug": caller.org, "organization": caller.org,
        "apps": null, "user": "", "restricted_to_machine": "", "source_machine_id": "",
    });
    Json(json!({"tokens": [token]}))
}
