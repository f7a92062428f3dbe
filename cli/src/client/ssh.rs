//! The way into an instance: a WebSocket through the gateway that carries one SSH connection.

use contracts::ssh::{HOST_KEY, KEY, LARGEST_MESSAGE, PublicKey, ROUTE, SshInfo};
use contracts::{ErrorCode, Problem, Slug, headers};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{RequestBuilder, Response, StatusCode, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use super::failure::{not_pilot, unreachable};
use super::{Client, join};

/// A connection that was opened, and the key by which the instance is known.
pub struct Tunnel {
    pub host_key: PublicKey,
    pub socket: WebSocketStream<Upgraded>,
}

impl Client {
    /// As whom one logs in. Wakes what is suspended, as every request at the gateway does.
    pub async fn ssh_info(&self, slug: &Slug) -> Result<SshInfo, Problem> {
        let gateway = self.gateway()?;
        let response = self.send(self.to_ssh(gateway, slug), gateway).await.map_err(|it| older(it, slug))?;
        self.read(response, gateway).await
    }

    /// Opens a connection that this key may use.
    pub async fn tunnel(&self, slug: &Slug, key: &PublicKey) -> Result<Tunnel, Problem> {
        let (gateway, nonce) = (self.gateway()?, generate_key());
        let request = self
            .to_ssh(gateway, slug)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &nonce)
            .header(KEY, key.as_str())
            .header(headers::REQUEST_ID, headers::new_request_id());
        let response = request.send().await.map_err(|error| unreachable(gateway, &self.target, &error))?;
        let odd = |why: &str| not_pilot(gateway, &self.target, why);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.accepted(response, gateway).await.map_err(|problem| older(problem, slug))?;
            return Err(odd("it did not open a WebSocket"));
        }
        if header(&response, SEC_WEBSOCKET_ACCEPT.as_str()) != Some(&derive_accept_key(nonce.as_bytes())) {
            return Err(odd("its WebSocket is not the one that was asked for"));
        }
        let host_key = header(&response, HOST_KEY).and_then(|key| key.parse().ok());
        let host_key = host_key.ok_or_else(|| odd("it did not tell the instance's SSH key"))?;
        let stream = response.upgrade().await.map_err(|error| unreachable(gateway, &self.target, &error))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
        Ok(Tunnel { host_key, socket })
    }

    fn to_ssh(&self, gateway: &Url, slug: &Slug) -> RequestBuilder {
        let url = join(gateway, &format!("/api/chamber/workspaces/{slug}/{ROUTE}"));
        self.authorized(self.http.get(url))
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// An instance whose program knows no such route.
fn older(problem: Problem, slug: &Slug) -> Problem {
    if problem.code != ErrorCode::NotFound {
        return problem;
    }
    problem.with_action(format!(
        "Its image is of a Pilot without SSH. Build a newer one, and `pilot ws update {slug} --image IMAGE`; where it is a process \
         of the server's machine, `pilot ws restart {slug}` is enough."
    ))
}
