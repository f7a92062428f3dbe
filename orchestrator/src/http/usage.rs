//! `/v1/usage`: what ran for whom, and how long.

use axum::Json;
use axum::extract::State;
use contracts::usage::UsageList;
use contracts::{Problem, WorkspaceRef};
use jiff::Timestamp;
use serde::Deserialize;

use super::extract::{Parameters, within};
use super::{Answer, Api};
use crate::lifecycle::request;
use crate::store::UsageQuery;

/// How many a page has when nobody says, and at most.
const PAGE: [u64; 2] = [100, 1000];

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// From when on, as RFC 3339; without it from the beginning.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Until when, as RFC 3339, which has to be later: what begins then does not count. Without it until now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Only what was this owner's.
    owner: Option<String>,
    /// Only that of this workspace: its id, or the slug of one that is there.
    workspace: Option<String>,
    /// How many lines at most; 100 by default.
    #[param(value_type = u64, required = false, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// How long instances ran, added up for each workspace, owner, provider and size. What was before and after the interval does not
/// count.
#[utoipa::path(get, path = "/v1/usage", params(Asked),
    responses((status = 200, body = UsageList), (status = "default", body = Problem)))]
pub async fn list(State(api): State<Api>, Parameters(asked): Parameters<Asked>) -> Answer<Json<UsageList>> {
    let [usual, most] = PAGE;
    let workspace: Option<WorkspaceRef> = asked.workspace.as_deref().map(request::workspace).transpose()?;
    let query = UsageQuery {
        from: asked.from,
        to: asked.to,
        owner: asked.owner.map(request::owner).transpose()?,
        workspace: None,
        after: asked.cursor,
        most: within("limit", asked.limit, usual, 1..=most)? as u32,
    };
    Ok(Json(api.lifecycle.usage(workspace.as_ref(), query).await?))
}
