//! As much of the gateway as a Worker sees: a key pair, assertions, and requests to the Worker's host name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::time::Duration;

use async_trait::async_trait;
use contracts::RuntimeId;
use contracts::assertion::{Claims, LIFETIME_SECONDS, Surface};
use contracts::headers::ASSERTION;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use provider_api::{BootFile, BootSource, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The fixed beginning of an Ed25519 private key in PKCS#8; the 32 secret bytes follow.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

pub struct Signer {
    key: EncodingKey,
    pub public: String,
}

impl Signer {
    pub fn new() -> Self {
        let mut der = PKCS8_PREFIX.to_vec();
        der.extend(rand::random::<[u8; 32]>());
        let key = EncodingKey::from_ed_der(&der);
        let AlgorithmParameters::OctetKeyPair(pair) =
            Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap().algorithm
        else {
            panic!("an Ed25519 key is an octet key pair");
        };
        Self { key, public: pair.x }
    }

    pub fn token(&self, installation: &str, runtime: &str, surface: Surface) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            iss: installation.to_owned(),
            aud: runtime.to_owned(),
            sub: "admin".to_owned(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
            surface,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).unwrap()
    }
}

/// The gateway's key as a boot file.
pub struct KeyBoot(pub String);

#[async_trait]
impl BootSource for KeyBoot {
    async fn boot_files(&self, _runtime: &RuntimeId) -> Result<Vec<BootFile>> {
        let content = self.0.clone().into_bytes();
        Ok(vec![BootFile { path: ".config/pilot/gateway-key".to_owned(), content }])
    }
}

/// Upgrades to a WebSocket, or fails the test with the answer.
pub async fn websocket(address: &str, host: &str, path: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{ASSERTION}: {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

/// A short text frame; clients mask, and a mask of zeroes leaves the text readable.
pub async fn send_text(stream: &mut TcpStream, text: &str) {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).unwrap();
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).await.unwrap();
}

/// Reads until all that came contains `text`.
pub async fn until_text(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    let found = tokio::time::timeout(Duration::from_secs(30), async {
        while !String::from_utf8_lossy(&read).contains(text) {
            read.push(stream.read_u8().await.unwrap());
        }
    });
    assert!(found.await.is_ok(), "{text:?} did not come");
}
