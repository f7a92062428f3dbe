//! The cloud for other programs: over HTTP, and seen from outside by whoever wants to know what is true.

use std::net::SocketAddr;
use std::sync::PoisonError;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;

use super::call::{Call, Request};
use super::remote::FENCE;
use super::{Answer, Cloud, CloudError, Labels, Objects, Phase, REQUEST_ID};

/// One request over HTTP: who asks is in its headers, what in its body.
async fn served(State(cloud): State<Cloud>, headers: HeaderMap, Json(call): Json<Call>) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let fence = header(FENCE).and_then(|value| value.parse().ok());
    let answer = cloud.answer(Request { token: token.map(str::to_owned), fence, call }).await;
    let mut answer = answer.map_or_else(CloudError::into_response, |answer| Json(answer).into_response());
    let id = format!("fake-{:016x}", rand::random::<u64>());
    if let Ok(id) = id.try_into() {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// One write that took effect, in the order of the writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Such as `create machine`.
    pub what: &'static str,
    /// The object's name.
    pub name: String,
    /// Of the operation that asked.
    pub fence: Option<u64>,
}

/// An object as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `network`, `volume` or `machine`.
    pub kind: &'static str,
    /// Unique among its kind.
    pub name: String,
    /// As its maker set them.
    pub labels: Labels,
    /// Of a machine that runs.
    pub address: Option<SocketAddr>,
}

impl Cloud {
    /// Answers requests of other programs until it is dropped: these name its address as `PILOT_FAKE_URL`.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, Router::new().route("/", post(served)).with_state(self)).await
    }

    /// Every write since the beginning, of a cloud that keeps a journal.
    pub fn journal(&self) -> Vec<Written> {
        let journal = self.0.journal.as_ref();
        journal.map_or_else(Vec::new, |kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// How many writes it holds.
    pub fn journal_len(&self) -> usize {
        let journal = self.0.journal.as_ref();
        journal.map_or(0, |kept| kept.lock().unwrap_or_else(PoisonError::into_inner).len())
    }

    /// Removes all of a runtime without a request, as somebody does at the vendor.
    pub fn remove(&self, runtime: &str) {
        let mut objects = self.objects();
        let stays = |labels: &Labels| labels.values().all(|label| label != runtime);
        objects.machines.retain(|_, machine| stays(&machine.labels));
        objects.volumes.retain(|_, volume| stays(&volume.labels));
    }

    /// Everything that there is, without a request.
    pub fn everything(&self) -> Vec<Object> {
        let objects = self.objects();
        let networks = objects.networks.iter().map(|(name, labels)| Object {
            kind: "network",
            name: name.clone(),
            labels: labels.clone(),
            address: None,
        });
        let volumes = objects.volumes.iter().map(|(name, it)| Object {
            kind: "volume",
            name: name.clone(),
            labels: it.labels.clone(),
            address: None,
        });
        let machines = objects.machines.iter().map(|(name, it)| Object {
            kind: "machine",
            name: name.clone(),
            labels: it.labels.clone(),
            address: it.address.filter(|_| it.phase == Phase::Running),
        });
        networks.chain(volumes).chain(machines).collect()
    }

    /// As somebody at the vendor's console would; false when there is none of this name.
    pub fn remove_machine(&self, name: &str) -> bool {
        let mut objects = self.objects();
        let was_there = objects.machines.remove(name).is_some();
        if was_there {
            self.keep(Written { what: "delete machine", name: name.to_owned(), fence: None });
        }
        was_there
    }

    /// While nothing else is written, so that its order is that of the effects.
    fn keep(&self, written: Written) {
        if let Some(journal) = &self.0.journal {
            journal.lock().unwrap_or_else(PoisonError::into_inner).push(written);
        }
    }

    /// One request: on its way the cloud's faults are met.
    pub(super) async fn answer(&self, request: Request) -> Answer<Value> {
        self.on_the_way().await?;
        if self.0.token.is_some() && self.0.token != request.token {
            return Err(CloudError::BadToken);
        }
        let is_write = request.call.write().is_some();
        let answer = {
            let mut objects = self.objects();
            let write = request.call.write().map(|(what, name)| (what, name.to_owned()));
            let labels = |objects: &Objects, (what, name): &(&str, String)| {
                let machine = objects.machines.get(name).filter(|_| what.ends_with(" machine"));
                machine.map(|machine| machine.labels.clone())
            };
            let before = write.as_ref().and_then(|write| labels(&objects, write));
            let answer = objects.act(request.call);
            if let (Ok(_), Some(write)) = (&answer, write) {
                if let Some(changed) = labels(&objects, &write).or(before) {
                    self.tell(changed);
                }
                let (what, name) = write;
                self.keep(Written { what, name, fence: request.fence });
            }
            answer
        };
        self.on_the_way_back(is_write).await?;
        answer
    }
}
