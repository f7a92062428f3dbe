//! Receives the engine's events of one CLI process over gRPC.

use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::error::{Error, Result};
use crate::event::EngineEvent;
use crate::loopback::Loopback;
use crate::wire::events_server::{Events, EventsServer};
use crate::wire::{EventRequest, MAX_MESSAGE};

/// The queue is unbounded because the engine sends in step with its own work: a slow reader must not
/// slow the engine down, and one operation's events are few.
pub(crate) struct Server {
    server: Loopback,
    pub events: mpsc::UnboundedReceiver<EngineEvent>,
}

impl Server {
    pub async fn start() -> Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let service = EventsServer::new(Sink { sender }).max_decoding_message_size(MAX_MESSAGE);
        let server = Loopback::serve(service).await.map_err(Error::io("listen for events"))?;
        Ok(Self { server, events })
    }

    /// For `--event-log`.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.server.address())
    }
}

struct Sink {
    sender: mpsc::UnboundedSender<EngineEvent>,
}

#[tonic::async_trait]
impl Events for Sink {
    async fn stream_events(
        &self,
        request: Request<Streaming<EventRequest>>,
    ) -> std::result::Result<Response<()>, Status> {
        let mut stream = request.into_inner();
        while let Some(request) = stream.message().await? {
            if self.sender.send(EngineEvent::parse(&request.event)).is_err() {
                break;
            }
        }
        Ok(Response::new(()))
    }
}
