//! Listening: one loop for each of the three ports. A service that fails ends its connection, which is
//! how an ordered cut reaches the caller.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::admin;
use crate::core::Core;
use crate::edge::Edge;
use crate::gate::Gate;

/// Where the three ports are, and the loops behind them.
pub struct Servers {
    pub api: SocketAddr,
    pub edge: SocketAddr,
    pub admin: SocketAddr,
    pub tasks: Vec<JoinHandle<()>>,
}

/// Binds all three ports and begins to answer.
///
/// # Errors
/// When a port is taken.
pub async fn start(core: &Arc<Core>) -> std::io::Result<Servers> {
    let at = |port: u16| SocketAddr::new(core.settings.address, port);
    let api = TcpListener::bind(at(core.settings.api_port)).await?;
    let edge = TcpListener::bind(at(core.settings.edge_port)).await?;
    let admin = TcpListener::bind(at(core.settings.admin_port)).await?;
    let addresses = (api.local_addr()?, edge.local_addr()?, admin.local_addr()?);

    let gate = Gate::new(core.clone());
    let proxy = Edge::new(core.clone());
    let idle = tokio::spawn(proxy.clone().watch_idle());
    let control = admin::routes(core.clone());
    let tasks = vec![
        tokio::spawn(serve(api, move |stream| api_connection(stream, gate.clone()))),
        tokio::spawn(serve(edge, move |stream| edge_connection(stream, proxy.clone()))),
        tokio::spawn(async move {
            if let Err(error) = axum::serve(admin, control).await {
                tracing::error!(%error, "the admin port ended");
            }
        }),
        idle,
    ];
    Ok(Servers { api: addresses.0, edge: addresses.1, admin: addresses.2, tasks })
}

async fn serve<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connection: impl Fn(TcpStream) -> F + Send + 'static,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream))),
            // No file is left for another connection; those that are open will end.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn api_connection(stream: TcpStream, gate: Gate) {
    let service = service_fn(move |request: Request<Incoming>| gate.clone().answer(request));
    // Ordered cuts end here too, so an error is no news.
    let _ =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn edge_connection(stream: TcpStream, edge: Edge) {
    let service = service_fn(move |request: Request<Incoming>| {
        let edge = edge.clone();
        async move { Ok::<Response<proxy::Body>, Infallible>(edge.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let _ = connection.await;
}
