//! `/v1/workspaces`: what a workspace is and how it changes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use contracts::operation::OperationKind;
use contracts::plan::Plan;
use contracts::stack::{LogTail, RepairStack, StackExport, StackImport, StackRepair};
use contracts::why::Why;
use contracts::workspace::{
    Accepted, CreateWorkspace, Observed, RenameWorkspace, RestoreWorkspace, UpdateWorkspace, Woken,
    Workspace, WorkspaceList,
};
use contracts::{ErrorCode, Problem};
use http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;

use super::extract::{Body, Caller, Parameters, Repeatable, WorkspacePath, given, within};
use super::{Answer, Api};
use crate::lifecycle::request;
use crate::store::{Sort, WorkspaceQuery};

const DEFAULT_LOG_BYTES: u64 = 16 * 1024;
const MAX_LOG_BYTES: u64 = 1024 * 1024;

/// With the operation's address in `Location`.
pub(super) type AcceptedAnswer = Answer<(StatusCode, [(HeaderName, String); 1], Json<Accepted>)>;

/// A change that was accepted.
pub(super) async fn detached<F>(change: F) -> AcceptedAnswer
where
    F: Future<Output = Result<Accepted, Problem>> + Send + 'static,
{
    let accepted = super::detached(change).await?;
    let location = format!("/v1/operations/{}", accepted.operation.id);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(accepted)))
}

/// Create a workspace. The same `Idempotency-Key` with the same body answers with the same operation.
#[utoipa::path(post, path = "/v1/workspaces", request_body = CreateWorkspace,
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(body): Body<CreateWorkspace>,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.create(body, &caller.0).await }).await
}

/// How many a page has when nobody says, and at most.
const PAGE: [u64; 2] = [100, 1000];

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those of this owner.
    #[serde(default, deserialize_with = "given")]
    owner: Option<String>,
    /// Only those that were last seen so.
    #[serde(default, deserialize_with = "given")]
    state: Option<Observed>,
    /// Only those of this provider.
    #[serde(default, deserialize_with = "given")]
    provider: Option<String>,
    /// Only those with this label, as `name=value`; several have to be there all.
    #[serde(default)]
    #[param(value_type = Vec<String>, required = false)]
    label: Vec<String>,
    /// Those that are deleted and can be restored, instead of those that are there.
    #[serde(default)]
    deleted: bool,
    /// By name, which is the default, or by age.
    #[param(inline)]
    #[serde(default, deserialize_with = "given")]
    sort: Option<Sort>,
    /// How many at most; 100 by default.
    #[param(value_type = u64, required = false, minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "given")]
    limit: Option<u64>,
    /// The `next` of the page before.
    #[serde(default, deserialize_with = "given")]
    cursor: Option<String>,
}

/// Workspaces, in pages.
#[utoipa::path(get, path = "/v1/workspaces", params(ListQuery),
    responses((status = 200, body = WorkspaceList), (status = "default", body = Problem)))]
pub async fn list(
    State(api): State<Api>,
    Repeatable(query): Repeatable<ListQuery>,
) -> Answer<Json<WorkspaceList>> {
    let [usual, most] = PAGE;
    let pair = |text: &String| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Problem::new(ErrorCode::BadRequest, "A label is asked for as `name=value`."))
    };
    let wanted = WorkspaceQuery {
        owner: query.owner.map(request::owner).transpose()?,
        state: query.state,
        provider: query.provider,
        labels: query.label.iter().map(pair).collect::<Result<_, _>>()?,
        deleted: query.deleted,
        sort: query.sort.unwrap_or_default(),
        after: query.cursor,
        most: within("limit", query.limit, usual, 1..=most)? as u32,
    };
    Ok(Json(api.lifecycle.list(wanted).await?))
}

/// One workspace. Its `ETag` is for `If-None-Match` here and for `If-Match` with a change.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = Workspace), (status = 304, description = "It is as it was"),
              (status = "default", body = Problem)))]
pub async fn get(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    headers: HeaderMap,
) -> Answer<Response> {
    let (tag, workspace) = api.lifecycle.get_tagged(&name).await?;
    let tag = format!("\"{tag}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    Ok(match known == Some(tag.as_str()) {
        true => (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response(),
        false => ([(ETAG, tag)], Json(workspace)).into_response(),
    })
}

/// Why a workspace is as it is: who wants it so, what was tried, and what comes next.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/why", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = Why), (status = "default", body = Problem)))]
pub async fn why(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<Why>> {
    Ok(Json(api.lifecycle.why(&name).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Without its provider, which is gone for good: what exists there stays, and the operation's events name it.
    #[serde(default)]
    forget: bool,
    /// With its home, which else is kept for a while; also of one that was deleted and is kept.
    #[serde(default)]
    purge: bool,
    /// With one of the others: only what was deleted and is kept. Who has the name by now stays.
    #[serde(default)]
    deleted: bool,
}

/// Delete a workspace. Cancels what runs for it. Its home is kept for as long as the operator has set, and it can be restored
/// by its id until then.
#[utoipa::path(delete, path = "/v1/workspaces/{workspace}",
    params(("workspace" = String, Path, description = "Its id or its slug"), DeleteQuery),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn delete(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    Parameters(query): Parameters<DeleteQuery>,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move {
        let lifecycle = &api.lifecycle;
        match (query.forget, query.purge, query.deleted) {
            (true, _, true) => lifecycle.clear_kept(&name, OperationKind::Forget, &caller.0).await,
            (_, true, true) => lifecycle.clear_kept(&name, OperationKind::Purge, &caller.0).await,
            (_, _, true) => {
                Err(Problem::new(ErrorCode::BadRequest, "What is deleted cannot be deleted again.")
                    .with_action("Say `purge=true` as well to remove what is kept of it, or `forget=true`."))
            }
            (true, ..) => lifecycle.forget(&name, &caller.0).await,
            (_, true, _) => lifecycle.purge(&name, &caller.0).await,
            _ => lifecycle.delete(&name, &caller.0).await,
        }
    })
    .await
}

/// Bring back a deleted workspace with its files, while its home is kept.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/restore", params(("workspace" = String, Path, description = "Its id, or the slug that it had")),
    request_body = RestoreWorkspace,
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn restore(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(body): Body<RestoreWorkspace>,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.restore(&name, body, &caller.0).await }).await
}

/// Start a stopped workspace. Starting one that runs is a success.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/start", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn start(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.start(&name, &caller.0).await }).await
}

/// Stop a workspace; its data stays.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/stop", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn stop(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.stop(&name, &caller.0).await }).await
}

/// Suspend a workspace: its memory stays, its processors are free. For providers that can.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/suspend", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn suspend(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.suspend(&name, &caller.0).await }).await
}

/// Hibernate a workspace: it ends, its memory and processors are free, its disk stays, and a visit boots it. For providers with a
/// home that outlives a stop.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/hibernate", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn hibernate(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.hibernate(&name, &caller.0).await }).await
}

/// Resume a suspended workspace. One that is stopped is started.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/resume", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn resume(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.resume(&name, &caller.0).await }).await
}

/// Stop and start a workspace: its instance boots anew.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/restart", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn restart(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.restart(&name, &caller.0).await }).await
}

/// Make what exists of a workspace outside as its stack says: repairs its drift.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/apply", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn apply(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.apply(&name, &caller.0).await }).await
}

/// Give a workspace another image or another size. Its files stay, and what is stopped stays stopped.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/update", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = UpdateWorkspace,
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn update(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(body): Body<UpdateWorkspace>,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.update(&name, body, &caller.0).await }).await
}

/// Give a workspace another name. Its id and its files stay.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/rename", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = RenameWorkspace,
    responses((status = 200, body = Workspace), (status = "default", body = Problem)))]
pub async fn rename(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(body): Body<RenameWorkspace>,
) -> Answer<Json<Workspace>> {
    Ok(Json(super::detached(async move { api.lifecycle.rename(&name, body, &caller.0).await }).await?))
}

/// Wake a workspace that somebody wants to use: what is suspended goes on, what its user has stopped stays stopped. For
/// gateways.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/wake", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Woken), (status = "default", body = Problem)))]
pub async fn wake(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> Answer<(StatusCode, Json<Woken>)> {
    let woken = super::detached(async move { api.lifecycle.wake(&name, &caller.0).await }).await?;
    Ok((StatusCode::ACCEPTED, Json(woken)))
}

/// What applying the workspace's stack again would change: its drift. Changes nothing.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/preview", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = Plan), (status = "default", body = Problem)))]
pub async fn drift(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<Plan>> {
    Ok(Json(api.lifecycle.drift(&name).await?))
}

/// What a create would do. Changes nothing.
#[utoipa::path(post, path = "/v1/preview", request_body = CreateWorkspace,
    responses((status = 200, body = Plan), (status = "default", body = Problem)))]
pub async fn preview(State(api): State<Api>, Body(body): Body<CreateWorkspace>) -> Answer<Json<Plan>> {
    Ok(Json(api.lifecycle.preview(body).await?))
}

/// The workspace's stack as a Pulumi YAML project.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/stack", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = StackExport), (status = "default", body = Problem)))]
pub async fn stack(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<StackExport>> {
    Ok(Json(api.lifecycle.export(&name).await?))
}

/// Which good copy of a damaged state of the workspace's stack there is; with `apply`, it takes the state's place, and the
/// damaged file is kept.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/stack/repair", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = RepairStack,
    responses((status = 200, body = StackRepair), (status = "default", body = Problem)))]
pub async fn repair(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    Body(body): Body<RepairStack>,
) -> Answer<Json<StackRepair>> {
    Ok(Json(api.lifecycle.repair(&name, body.apply).await?))
}

/// Put a state in the place of that of the workspace's stack, which is kept: a deployment as `pulumi stack export` writes it, of
/// this stack. Refused while an operation of the workspace has not ended. Nothing outside is changed.
#[utoipa::path(put, path = "/v1/workspaces/{workspace}/stack/state", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = Object,
    responses((status = 200, body = StackImport), (status = "default", body = Problem)))]
pub async fn import(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(state): Body<serde_json::Map<String, serde_json::Value>>,
) -> Answer<Json<StackImport>> {
    let import = async move { api.lifecycle.import(&name, state.into(), &caller.0).await };
    Ok(Json(super::detached(import).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// How much of the log's end to return; 16 KiB by default.
    #[param(value_type = u64, required = false, minimum = 1, maximum = 1048576)]
    bytes: Option<u64>,
}

/// The end of the instance's log.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/logs", params(("workspace" = String, Path, description = "Its id or its slug"), LogQuery),
    responses((status = 200, body = LogTail), (status = "default", body = Problem)))]
pub async fn logs(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    Parameters(query): Parameters<LogQuery>,
) -> Answer<Json<LogTail>> {
    let bytes = within("bytes", query.bytes, DEFAULT_LOG_BYTES, 1..=MAX_LOG_BYTES)?;
    Ok(Json(api.lifecycle.logs(&name, bytes as usize).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_with_labels_of_any_number_and_with_nothing_that_is_not_known() {
        let read = serde_html_form::from_str::<ListQuery>;
        assert_eq!(read("").unwrap().label, Vec::<String>::new());
        assert_eq!(read("label=a%3D1").unwrap().label, ["a=1"]);
        let both = read("label=a%3D1&owner=&limit=5&label=b%3D2&deleted=true").unwrap();
        assert_eq!(both.label, ["a=1", "b=2"]);
        assert_eq!((both.owner.as_deref(), both.limit, both.deleted), (Some(""), Some(5), true));
        for wrong in
            ["colour=red", "limit=x", "state=odd", "owner=a&owner=b", "limit=", "state=", "sort=", "deleted="]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
