//! A reader of `text/event-stream` that hands out each event's data as soon as it has arrived.

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::Value;

pub struct Events {
    response: Response,
    buffer: String,
}

impl Events {
    pub fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Self { response, buffer: String::new() }
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let data: String = block.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                self.buffer = rest.to_owned();
                if let Ok(value) = serde_json::from_str(&data) {
                    return Some(value);
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// Reads until an event fits; all that were read, with the time of each.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Vec<(Instant, Value)> {
        let mut seen = Vec::new();
        let read = async {
            while let Some(event) = self.next().await {
                seen.push((Instant::now(), event));
                if seen.last().is_some_and(|(_, event)| fits(event)) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(Duration::from_secs(60), read).await;
        let kinds: Vec<String> = seen.iter().map(|(_, event)| event["type"].to_string()).collect();
        assert_eq!(found, Ok(true), "no {what} among {kinds:?}");
        seen
    }
}
