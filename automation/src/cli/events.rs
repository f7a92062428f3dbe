//! Receives the engine's events of one CLI process over gRPC.

use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::error::{Error, Result};
use crate::event::EngineEvent;
use crate::loopback::Loopback;
use crate::wire::events_server::{Events, EventsServer};
use crate::wire::{EventRequest, MAX_MESSAGE};

/// So many events may wait for their reader, which only sorts them; more wait in the engine.
const QUEUE: usize = 1024;

/// The engine ends when all it sent has been taken, so that the queue then holds the rest.
pub(crate) struct Server {
    server: Loopback,
    pub events: mpsc::Receiver<EngineEvent>,
}

impl Server {
    pub async fn start() -> Result<Self> {
        let (sender, events) = mpsc::channel(QUEUE);
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
    sender: mpsc::Sender<EngineEvent>,
}

#[tonic::async_trait]
impl Events for Sink {
    async fn stream_events(
        &self,
        request: Request<Streaming<EventRequest>>,
    ) -> std::result::Result<Response<()>, Status> {
        let mut stream = request.into_inner();
        while let Some(request) = stream.message().await? {
            if self.sender.send(EngineEvent::parse(&request.event)).await.is_err() {
                break;
            }
        }
        Ok(Response::new(()))
    }
}
