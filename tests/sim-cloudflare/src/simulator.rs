//! A running simulator: three ports, and an end that leaves nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Surface};
use crate::cloud::Cloud;
use crate::fault::Fault;
use crate::gate::Gate;
use crate::options::Options;
use crate::{admin, api, edge};

/// Ends with its Workers and containers at `stop`; a drop leaves them to the next start in the folder.
pub struct Simulator {
    pub urls: Urls,
    cloud: Arc<Cloud>,
    stop: CancellationToken,
    servers: JoinSet<()>,
}

/// Where it is reached.
#[derive(Debug, Clone, Serialize)]
pub struct Urls {
    /// In place of `https://api.cloudflare.com/client/v4`.
    pub api: String,
    /// In place of `https://*.workers.dev`, with the host name in the `Host` header.
    pub edge: String,
    pub admin: String,
    /// In place of `registry.cloudflare.com`.
    pub registry: String,
    pub account: String,
    pub subdomain: String,
    pub journal: PathBuf,
}

impl Simulator {
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let (api_listener, api_address) = listen(options.api_port).await?;
        let (edge_listener, edge_address) = listen(options.edge_port).await?;
        let (admin_listener, admin_address) = listen(options.admin_port).await?;
        let cloud = Cloud::open(options.clone()).await?;
        let urls = Urls {
            api: format!("http://{api_address}/client/v4"),
            edge: format!("http://{edge_address}"),
            admin: format!("http://{admin_address}"),
            registry: cloud.registry.host(),
            account: options.account.clone(),
            subdomain: options.subdomain.clone(),
            journal: options.folder.join("journal.ndjson"),
        };
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        let mut gate = |surface, routes: Router, listener| {
            let gate = Gate { surface, cloud: cloud.clone(), routes };
            servers.spawn(gate.serve(listener, cloud.network.subscribe(), stop.clone()));
        };
        gate(Surface::Api, api::routes(cloud.clone()), api_listener);
        gate(Surface::Edge, edge::routes(cloud.clone()), edge_listener);
        let (routes, ended) = (admin::routes(cloud.clone()), stop.clone());
        servers.spawn(async move {
            let server = axum::serve(admin_listener, routes);
            let _ = server.with_graceful_shutdown(ended.cancelled_owned()).await;
        });
        Ok(Self { urls, cloud, stop, servers })
    }

    /// Orders a fault.
    pub fn fault(&self, fault: Fault) {
        self.cloud.faults.order(fault);
    }

    pub fn clear_faults(&self) {
        self.cloud.faults.clear();
    }

    /// The dice of faults with a probability begin anew.
    pub fn set_seed(&self, seed: u64) {
        self.cloud.faults.set_seed(seed);
    }

    /// While it is down, no connection to Cloudflare is made.
    pub fn set_network(&self, up: bool) {
        self.cloud.network.send_replace(up);
    }

    /// The loopback port of a script's own `workerd`, past everything that can fail on the way.
    pub async fn worker_port(&self, script: &str) -> Option<u16> {
        self.cloud.workers.port(script).await
    }

    /// The calls so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.cloud.calls.all()
    }

    /// What exists, by kind and id.
    pub fn objects(&self) -> Value {
        self.cloud.journal.everything()
    }

    /// How long new objects are missing in lists.
    pub fn set_list_lag(&self, ms: u64) {
        self.cloud.set_list_lag(ms);
    }

    /// Sets Cloudflare's clocks, the Workers' included.
    pub async fn set_clock_ahead(&self, seconds: i64) -> anyhow::Result<()> {
        self.cloud.skew(seconds).await
    }

    /// Kills the container of a Durable Object, as a machine that fails does.
    pub async fn fail_machine(&self, object: &str) {
        self.cloud.machines.fail(object).await;
    }

    /// Ends the time of all snapshots.
    pub async fn expire_snapshots(&self) {
        self.cloud.machines.expire().await;
    }

    /// Whether snapshots fail from now on.
    pub fn fail_snapshots(&self, fail: bool) {
        self.cloud.machines.fail_snapshots(fail);
    }

    /// Ends everything. The folder keeps what exists.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.servers.shutdown().await;
        self.cloud.end().await;
    }
}

async fn listen(port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
