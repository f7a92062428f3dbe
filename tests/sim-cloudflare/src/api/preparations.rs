//! Images are prepared for containers before the first start: only those of the account's own registry, by digest.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use crate::cloud::is_past;
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::Prepared;

#[derive(Deserialize)]
pub struct Wanted {
    image: String,
}

/// Begins it, or tells how far it is: asked again and again.
pub async fn prepare(State(cloud): Shared, wanted: Json<Wanted>) -> Answer {
    let image = wanted.0.image;
    let managed = format!("registry.cloudflare.com/{}/", cloud.options.account);
    let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
    let is_managed = image.starts_with(&managed) || cloud.registry.is_of(&image);
    if !is_managed || digest.is_none_or(|digest| digest.len() != 64) {
        let words = "VALIDATE_INPUT: image must be a digest-pinned image of the managed registry";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 1000, words));
    }
    let now = cloud.now();
    let mut prepared = cloud.journal.get::<Prepared>(&image).unwrap_or_else(|| Prepared {
        image: image.clone(),
        asked: now,
        status: "pending".to_owned(),
    });
    if prepared.status == "pending" && is_past(prepared.asked, cloud.options.preparing_ms, now) {
        let is_there = cloud.machines.bring(&image).await;
        prepared.status = if is_there { "ready" } else { "error" }.to_owned();
    }
    cloud.journal.put(&prepared)?;
    let reason = (prepared.status == "error").then_some("the image is not in the registry");
    Success::of(json!({"image": image, "status": prepared.status, "reason": reason}))
}
