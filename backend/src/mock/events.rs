//! The mock's event streams: `server.connected`, a heartbeat, and what the sessions say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use proxy::{Body, BoxError};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::{DIRECTORY, with_type};

/// Events that a slow reader may be behind before it loses some, as with the real server.
const BUFFER: usize = 256;

pub(super) struct Events {
    sender: broadcast::Sender<Value>,
    next: AtomicU64,
    heartbeat: Duration,
}

impl Events {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { sender: broadcast::Sender::new(BUFFER), next: AtomicU64::new(1), heartbeat }
    }

    /// Tells every open stream.
    pub(super) fn publish(&self, kind: &str, properties: Value) {
        let event = self.event(kind, properties);
        // No stream is open: nobody wants to know.
        let _ = self.sender.send(event);
    }

    fn event(&self, kind: &str, properties: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        json!({"id": format!("evt_mock{id:08}"), "type": kind, "properties": properties})
    }

    /// A stream that lives as long as its reader. `global` wraps events as `/global/event` does.
    pub(super) fn response(&self, global: bool) -> Response<Body> {
        let (frames, body) = mpsc::channel(16);
        let mut events = self.sender.subscribe();
        let connected = self.event("server.connected", json!({}));
        let heartbeat = self.event("server.heartbeat", json!({}));
        let period = self.heartbeat;
        tokio::spawn(async move {
            let mut next = Some(line(connected, global, false));
            let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
            loop {
                if let Some(text) = next.take()
                    && frames.send(text).await.is_err()
                {
                    return;
                }
                next = tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) => Some(line(event, global, true)),
                        Err(RecvError::Lagged(_)) => None,
                        Err(RecvError::Closed) => return,
                    },
                    _ = beat.tick() => Some(line(heartbeat.clone(), global, false)),
                    () = frames.closed() => return,
                };
            }
        });
        with_type("text/event-stream", proxy::body(Lines { body }))
    }
}

fn line(event: Value, global: bool, of_directory: bool) -> Bytes {
    let event = match (global, of_directory) {
        (false, _) => event,
        (true, false) => json!({"payload": event}),
        (true, true) => json!({"directory": DIRECTORY, "payload": event}),
    };
    Bytes::from(format!("data: {event}\n\n"))
}

/// A body that yields each line when it comes.
struct Lines {
    body: mpsc::Receiver<Bytes>,
}

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.body.poll_recv(context).map(|line| line.map(|bytes| Ok(Frame::data(bytes))))
    }
}
