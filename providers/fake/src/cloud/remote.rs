//! The way to a cloud that another program serves.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::CloudError;
use super::api::Answer;
use super::call::Request;

#[derive(Clone)]
pub(crate) struct Remote {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Remote {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub async fn answer(&self, request: &Request) -> Answer<Value> {
        let refused = |why: String| CloudError::Refused(format!("{} cannot be asked: {why}", self.url));
        let body = serde_json::to_vec(request).map_err(|error| refused(error.to_string()))?;
        let call = hyper::Request::post(&self.url)
            .header("content-type", "application/json")
            .body(Full::from(body))
            .map_err(|error| refused(error.to_string()))?;
        let answer = self.client.request(call).await.map_err(|error| match error.is_connect() {
            true => CloudError::Unreachable,
            false => CloudError::NoAnswer,
        })?;
        let status = answer.status();
        if !status.is_success() {
            return Err(refused(status.to_string()));
        }
        let body = answer.into_body().collect().await.map_err(|_| CloudError::NoAnswer)?.to_bytes();
        serde_json::from_slice::<Answer<Value>>(&body).unwrap_or(Err(CloudError::NoAnswer))
    }
}
