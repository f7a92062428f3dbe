//! Each request: the journal, the ordered faults, who may, and what is then done.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::Core;
use crate::error::Refusal;
use crate::fault::Fault;
use crate::path::Object;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");
const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable()).with_state(core)
}

async fn answer(State(core): State<Arc<Core>>, request: Request<Body>) -> Response {
    core.journal().push(format!("{} {}", request.method(), request.uri().path()));
    let mut response = serve(&core, request).await.unwrap_or_else(IntoResponse::into_response);
    response.headers_mut().insert(VERSION, http::HeaderValue::from_static("registry/2.0"));
    response
}

async fn serve(core: &Core, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/token" {
        if parts.method != Method::GET {
            return Err(Refusal::unknown("UNSUPPORTED", "this way to a token"));
        }
        let token = core.guard.token(&parts.headers, &query(&parts))?;
        return Ok(axum::Json(token).into_response());
    }
    let object = Object::of(parts.uri.path())?;
    let fault = Fault::take(&mut core.faults(), &parts.method, &object);
    if let Some(refusal) = fault.and_then(Fault::refusal) {
        if let Object::Upload(_, id) = &object {
            core.store().abandon(id);
        }
        return Err(refusal);
    }
    core.guard.pass(&parts.headers, &parts.method, object.repository())?;
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    match (object, parts.method.clone()) {
        (Object::Base, _) if reads => Ok(axum::Json(json!({})).into_response()),
        (Object::Manifest(name, reference), _) if reads => manifest(core, &parts, &name, &reference),
        (Object::Manifest(name, reference), Method::PUT) => {
            let media_type = text(&parts, &CONTENT_TYPE).unwrap_or_default().to_owned();
            let content = whole(body).await?;
            let digest = core.store().put(&name, &reference, &media_type, content)?;
            let at = format!("/v2/{name}/manifests/{digest}");
            Ok((StatusCode::CREATED, [(LOCATION, at), (DIGEST, digest)]).into_response())
        }
        (Object::Blob(name, digest), _) if reads => {
            let mut content = core.store().blob(&name, &digest)?.to_vec();
            if fault == Some(Fault::CorruptsBlob) && !content.is_empty() {
                content[0] ^= 1;
            }
            let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (DIGEST, digest)];
            Ok(sized(&parts.method, headers, content.into()))
        }
        (Object::Uploads(name), Method::POST) => begin(core, &parts, &name, body).await,
        (Object::Upload(name, id), Method::PATCH) => {
            let range = text(&parts, &CONTENT_RANGE).and_then(|range| range.split('-').next()?.parse().ok());
            let chunk = whole(body).await?;
            let size = core.store().append(&id, range, &chunk)?;
            Ok(accepted(StatusCode::ACCEPTED, &name, &id, size))
        }
        (Object::Upload(name, id), Method::PUT) => finish(core, &parts, (&name, &id), body).await,
        (Object::Upload(name, id), Method::GET) => {
            Ok(accepted(StatusCode::NO_CONTENT, &name, &id, core.store().uploaded(&id)?))
        }
        (Object::Upload(_, id), Method::DELETE) => {
            core.store().uploaded(&id)?;
            core.store().abandon(&id);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        (Object::Tags(name), Method::GET) => {
            let tags = core.store().tags(&name).ok_or_else(|| Refusal::unknown("NAME_UNKNOWN", &name))?;
            Ok(axum::Json(json!({"name": name, "tags": tags})).into_response())
        }
        _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "not with this method")),
    }
}

/// In a media type that the caller takes, and no other.
fn manifest(core: &Core, parts: &Parts, name: &str, reference: &str) -> Result<Response, Refusal> {
    let store = core.store();
    let found =
        store.manifest(name, reference).ok_or_else(|| Refusal::unknown("MANIFEST_UNKNOWN", reference))?;
    let accepts = |wanted: &str| {
        let wanted = wanted.split(';').next().unwrap_or_default().trim();
        wanted == found.media_type || wanted == "*/*"
    };
    let mut takes =
        parts.headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if !takes.any(|value| value.split(',').any(accepts)) {
        return Err(Refusal::unknown("MANIFEST_UNKNOWN", "a manifest of a type that is accepted"));
    }
    let headers = [(CONTENT_TYPE, found.media_type.clone()), (DIGEST, found.digest.clone())];
    Ok(sized(&parts.method, headers, found.content.clone()))
}

/// A blob of another repository, a whole one, or a place to bring one to.
async fn begin(core: &Core, parts: &Parts, name: &str, body: Body) -> Result<Response, Refusal> {
    let asked = query(parts);
    let of = |key: &str| asked.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    if let (Some(digest), Some(from)) = (of("mount"), of("from")) {
        let may = core.guard.pass(&parts.headers, &Method::GET, Some(&from)).is_ok();
        if may && core.store().mount(name, &from, &digest) {
            return Ok(created(name, digest));
        }
    }
    let id = core.store().begin();
    if let Some(digest) = of("digest") {
        let content = whole(body).await?;
        core.store().append(&id, None, &content)?;
        core.store().commit(name, &id, &digest)?;
        return Ok(created(name, digest));
    }
    Ok(accepted(StatusCode::ACCEPTED, name, &id, 0))
}

async fn finish(
    core: &Core,
    parts: &Parts,
    (name, id): (&str, &str),
    body: Body,
) -> Result<Response, Refusal> {
    let digest = query(parts).into_iter().find(|(key, _)| key == "digest").map(|(_, value)| value);
    let digest = digest.ok_or_else(|| Refusal::bad("DIGEST_INVALID", "no digest is given"))?;
    let last = whole(body).await?;
    let mut store = core.store();
    store.append(id, None, &last)?;
    store.commit(name, id, &digest)?;
    Ok(created(name, digest))
}

fn created(name: &str, digest: String) -> Response {
    let at = format!("/v2/{name}/blobs/{digest}");
    (StatusCode::CREATED, [(LOCATION, at), (DIGEST, digest)]).into_response()
}

fn accepted(status: StatusCode, name: &str, id: &str, size: usize) -> Response {
    let headers = [
        (LOCATION, format!("/v2/{name}/blobs/uploads/{id}")),
        (RANGE, format!("0-{}", size.saturating_sub(1))),
        (UPLOAD, id.to_owned()),
    ];
    (status, headers).into_response()
}

/// With its length, also where only that is asked for.
fn sized(method: &Method, headers: [(HeaderName, String); 2], content: Bytes) -> Response {
    let length = content.len();
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(content) };
    let mut response = (headers, body).into_response();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

async fn whole(body: Body) -> Result<Bytes, Refusal> {
    let read = body.collect().await.map(http_body_util::Collected::to_bytes);
    read.map_err(|_| Refusal::bad("BLOB_UPLOAD_INVALID", "the body has broken off"))
}

fn query(parts: &Parts) -> Vec<(String, String)> {
    let text = parts.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn text<'a>(parts: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}
