//! A reader of an event stream, event by event as they arrive.

use std::time::Duration;

use bytes::Bytes;
use contracts::assertion::Surface;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Method;
use serde_json::Value;

use crate::instance::Instance;

pub struct Events {
    stream: BoxStream<'static, reqwest::Result<Bytes>>,
    read: Vec<u8>,
    seen: Vec<String>,
}

impl Events {
    pub async fn open(instance: &Instance, path: &str) -> Self {
        let request = instance.request(Surface::Api, Method::GET, path).timeout(Duration::from_secs(300));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self { stream: response.bytes_stream().boxed(), read: Vec::new(), seen: Vec::new() }
    }

    /// The next event of this type; others are passed over.
    pub async fn until(&mut self, kind: &str, limit: Duration) -> Value {
        let found = tokio::time::timeout(limit, async {
            loop {
                let event = self.next().await;
                let this = event["type"].as_str().unwrap_or_default().to_owned();
                self.seen.push(this.clone());
                if this == kind {
                    return event;
                }
            }
        });
        match found.await {
            Ok(event) => event,
            Err(_) => panic!("no event {kind}; seen: {:?}", self.seen),
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let text = String::from_utf8(event).unwrap();
                return serde_json::from_str(text.trim().strip_prefix("data: ").unwrap()).unwrap();
            }
            let piece = self.stream.next().await.expect("the stream stays open").unwrap();
            self.read.extend_from_slice(&piece);
        }
    }
}
