//! Receives the engine's events of one CLI process over gRPC.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::error::{Error, Result};
use crate::event::EngineEvent;
use crate::wire::events_server::{Events, EventsServer};
use crate::wire::{EventRequest, MAX_MESSAGE};

/// The queue is unbounded because the engine sends in step with its own work: a slow reader must not
/// slow the engine down, and one operation's events are few.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
    pub events: mpsc::UnboundedReceiver<EngineEvent>,
}

impl Server {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listen for events"))?;
        let address = listener.local_addr().map_err(Error::io("listen for events"))?;
        let (sender, events) = mpsc::unbounded_channel();
        let service = EventsServer::new(Sink { sender }).max_decoding_message_size(MAX_MESSAGE);
        let serve = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::debug!(%error, "event server ended");
            }
        });
        Ok(Self { address, task, events })
    }

    /// For `--event-log`.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
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
