//! The listener, the connections and their end. No request is looked at here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::{ErrorCode, Problem};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::service::Gateway;

/// A client that does not finish its request head in this time is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest request head. Browsers stay far below; OpenCode's UI sends long query strings.
const HEAD_BYTES: usize = 64 * 1024;

/// How long open answers may go on after a shutdown began. Event streams never end by themselves.
const DRAIN: Duration = Duration::from_secs(3);

/// Out of file handles: give connections time to end instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A gateway that serves. Dropping it stops accepting; [`Running::shutdown`] also waits.
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens; the port is the real one when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, closes tunnels, lets answers finish for a few seconds and cuts off the rest.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the gateway's accept loop failed");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) async fn start(config: Config) -> Result<Running, Problem> {
    let listener =
        TcpListener::bind(config.listen).await.map_err(|error| bind_problem(config.listen, &error))?;
    let address = listener.local_addr().map_err(|error| bind_problem(config.listen, &error))?;
    let gateway = Arc::new(Gateway::new(config)?);
    let stop = CancellationToken::new();
    let task = tokio::spawn(accept(listener, gateway, stop.clone()));
    tracing::info!(%address, "gateway listens");
    Ok(Running { address, stop, task })
}

async fn accept(listener: TcpListener, gateway: Arc<Gateway>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve(stream, gateway.clone(), stop.clone());
                let cut_off = cut_off.clone();
                connections.spawn(async move { cut_off.run_until_cancelled(serving).await });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    gateway.close_tunnels();
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        cut_off.cancel();
        connections.wait().await;
    }
}

async fn serve(stream: TcpStream, gateway: Arc<Gateway>, stop: CancellationToken) {
    // A small event must not wait for the next one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(gateway.serve(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn bind_problem(address: SocketAddr, error: &std::io::Error) -> Problem {
    let detail = format!("The gateway cannot listen on {address}: {error}.");
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Problem::new(ErrorCode::PortInUse, detail).with_action(
            "Stop the other program, or choose another address with `pilot serve --listen-gateway ADDR`.",
        ),
        _ => Problem::new(ErrorCode::Internal, detail)
            .with_action("Choose an address of this machine with `pilot serve --listen-gateway ADDR`."),
    }
}
