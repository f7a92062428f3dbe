//! A running server: attached to an engine by port, or as the plugin process that an engine starts.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use provider_api::ProviderError;
use pulumi_gestalt_proto::pulumi::pulumirpc::resource_provider_server::ResourceProviderServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use crate::Registry;
use crate::authority::Authority;
use crate::detached::Detached;
use crate::failure::Failures;
use crate::fences::{Fenced, Fences};
use crate::rpc::Service;

/// The engine's own limit.
const MAX_MESSAGE: usize = 400 << 20;

/// How often a plugin looks whether its engine is still there.
const ENGINE_CHECK: Duration = Duration::from_secs(5);

/// Serves until dropped. Work that is under way then still comes to its end.
pub struct Server {
    address: SocketAddr,
    failures: Arc<Failures>,
    detached: Arc<Detached>,
    fences: Arc<Fences>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(registry: Registry) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let failures = Arc::new(Failures::default());
        let detached = Arc::new(Detached::default());
        let fences = Arc::new(Fences::default());
        let service =
            Service::new(registry, Arc::clone(&failures), Arc::clone(&detached), Arc::clone(&fences));
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
        Ok(Self { address, failures, detached, fences, task })
    }

    /// For attaching.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The typed error behind the engine's words, once, for the resource of this URN.
    pub fn take_failure(&self, urn: &str) -> Option<ProviderError> {
        self.failures.take(urn)
    }

    /// For the time of one operation of an engine: what it asks of the modules for this stack is asked by this authority. Stacks
    /// of which nothing is said have no fence and no end.
    pub fn fenced(&self, stack: &str, authority: Authority) -> Fenced {
        self.fences.begin(stack, authority)
    }

    /// Waits until nothing is under way for this stack: an engine that was killed leaves work behind.
    pub async fn settled(&self, stack: &str) {
        self.detached.settled(stack).await;
    }

    /// How long the providers were at work so far, in sum: what is left of an operation's time is the
    /// engine's own.
    pub fn busy(&self) -> Duration {
        self.detached.busy()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The plugin protocol: print the port as the first line of stdout, then serve until told to stop or until
/// the engine at this address is gone. Work under way comes to its end first, as long as it is let.
pub async fn run_plugin(registry: Registry, engine: Option<&str>) -> std::io::Result<()> {
    let server = Server::start(registry).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.port())?;
    stdout.flush()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
        () = gone(engine) => {}
    }
    server.detached.idle().await;
    Ok(())
}

/// Ends when nothing listens at the engine's address any more: an engine that was killed tells nobody.
async fn gone(engine: Option<&str>) {
    let Some(engine) = engine else { return std::future::pending().await };
    let mut refused = 0;
    while refused < 2 {
        tokio::time::sleep(ENGINE_CHECK).await;
        match tokio::net::TcpStream::connect(engine).await {
            Ok(_) => refused = 0,
            Err(_) => refused += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_plugin_sees_that_its_engine_is_gone() {
        let engine = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = engine.local_addr().unwrap().to_string();
        tokio::time::pause();
        let seen = tokio::time::timeout(ENGINE_CHECK * 5, gone(Some(&address))).await;
        assert!(seen.is_err(), "it is there");
        drop(engine);
        tokio::time::timeout(ENGINE_CHECK * 5, gone(Some(&address))).await.unwrap();
    }
}
