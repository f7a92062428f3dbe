//! A running server: attached to an engine by port, or as the plugin process that an engine starts.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use provider_api::ProviderError;
use pulumi_gestalt_proto::pulumi::pulumirpc::resource_provider_server::ResourceProviderServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use crate::Registry;
use crate::detached::Detached;
use crate::failure::Failures;
use crate::rpc::Service;

/// The engine's own limit.
const MAX_MESSAGE: usize = 400 << 20;

/// Serves until dropped. Work that is under way then still comes to its end.
pub struct Server {
    address: SocketAddr,
    failures: Arc<Failures>,
    detached: Arc<Detached>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(registry: Registry) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let failures = Arc::new(Failures::default());
        let detached = Arc::new(Detached::default());
        let service = Service::new(registry, Arc::clone(&failures), Arc::clone(&detached));
        let service = ResourceProviderServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let serve = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "provider server ended");
            }
        });
        Ok(Self { address, failures, detached, task })
    }

    /// For attaching.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The typed error behind the engine's words, once, for the resource of this URN.
    pub fn take_failure(&self, urn: &str) -> Option<ProviderError> {
        self.failures.take(urn)
    }

    /// Waits until nothing is under way for this stack: an engine that was killed leaves work behind.
    pub async fn settled(&self, stack: &str) {
        self.detached.settled(stack).await;
    }

    /// How long the providers were at work so far, in sum: what is left of an operation's time is the
    /// engine's own.
    pub fn busy(&self) -> std::time::Duration {
        self.detached.busy()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The plugin protocol: print the port as the first line of stdout, then serve until told to stop.
pub async fn run_plugin(registry: Registry) -> std::io::Result<()> {
    let server = Server::start(registry).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.port())?;
    stdout.flush()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}
