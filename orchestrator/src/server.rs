//! Puts the orchestrator together, starts it, and brings it to an orderly end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use contracts::network::network;
use contracts::{ErrorCode, Problem};
use provider_server::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::boot::DataFolderBoot;
use crate::data::{DataFolder, other_secrets};
use crate::engine::{Engine, without_password};
use crate::http::{self, Api, Tokens};
use crate::lifecycle::Lifecycle;
use crate::operations::{Feed, LEASE, Parts, Runner};
use crate::pushes::Pushes;
use crate::reconcile::{Reconciler, Repair};
use crate::rollouts::Rollouts;
use crate::store::{Store, StoreError, WorkspaceQuery};
use crate::sweep::Sweeper;
use crate::tools::ToolPaths;
use crate::wiring::{ProviderSettings, Providers};
use crate::{exposure, metrics, readiness};

/// How long running operations get to end by themselves before the process leaves them to the next: longer than the engine
/// waits for providers that are in the middle of a create, since those are in this process.
const DRAIN: Duration = Duration::from_secs(75);
const _: () = assert!(DRAIN.as_secs() > automation::Host::GRACE.as_secs());

/// How long the last events may take to be stored.
const FLUSH: Duration = Duration::from_secs(2);

/// Everything that can be decided from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The lifecycle API.
    pub listen: SocketAddr,
    /// Metrics and liveness; absent to leave them out.
    pub admin_listen: Option<SocketAddr>,
    /// Where the gateway of this installation will listen; for the exposure check.
    pub gateway: Option<SocketAddr>,
    /// Where browsers reach the gateway: workspaces are hosts below its name. Absent where [`Running::gateway_listens`] says it, or
    /// where nobody knows: then workspaces have no URL.
    pub gateway_url: Option<Url>,
    /// A `postgres://` that other orchestrators share, for the store and for Pulumi's state; else both are in the data folder.
    pub database: Option<String>,
    /// The provider of a create that names none; else the first that there is, `local` before others.
    pub default_provider: Option<String>,
    /// The provider modules to offer; empty for all.
    pub providers: Vec<String>,
    /// Listen on any address although the `local` provider isolates nothing.
    pub unsafe_expose_local: bool,
    /// How long an instance may take to become ready.
    pub ready_timeout: Duration,
    /// What follows when something is not as it is desired.
    pub repair: Repair,
    /// How long the home of a deleted workspace is kept; zero keeps none.
    pub home_grace: Duration,
    /// How long what is outside and of no workspace that is known is left alone.
    pub stray_grace: Duration,
    /// How many snapshots a workspace may have.
    pub snapshots: u32,
    /// The largest archive of an image that is pushed, in bytes.
    pub image_limit: u64,
    /// Claims, leases, rounds and pauses are so many times shorter: for tests of what comes after them.
    pub hurry: u32,
    pub tools: ToolPaths,
    pub settings: ProviderSettings,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let host = &network().host;
        Self {
            listen: loopback(host.orchestrator),
            admin_listen: Some(loopback(host.admin)),
            gateway: Some(loopback(host.gateway.http)),
            gateway_url: None,
            database: None,
            default_provider: None,
            providers: Vec::new(),
            unsafe_expose_local: false,
            ready_timeout: Duration::from_secs(120),
            repair: Repair::Auto,
            home_grace: Duration::from_secs(24 * 60 * 60),
            stray_grace: Duration::from_secs(24 * 60 * 60),
            snapshots: 10,
            image_limit: 20 << 30,
            hurry: 1,
            tools: ToolPaths::default(),
            settings: ProviderSettings::default(),
        }
    }
}

/// A started orchestrator.
pub struct Running {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    shutdown: CancellationToken,
    lifecycle: Arc<Lifecycle>,
    runner: Runner,
    store: Store,
    servers: Vec<JoinHandle<()>>,
    background: [JoinHandle<()>; 3],
    _data: DataFolder,
}

/// Opens everything, resumes what an earlier process accepted, and serves.
pub async fn start(config: Config, data: DataFolder) -> Result<Running, Problem> {
    let layout = data.layout().clone();
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(|error| cannot_listen(config.listen, &error))?;
    let admin = match config.admin_listen {
        Some(listen) => Some(bind(listen).await?),
        None => None,
    };
    let store = match &config.database {
        Some(url) => Store::join(url).await.map_err(|error| cannot_join(url, error))?,
        None => Store::open(&layout.database()).await?,
    };
    store.must_be_whole().await?;
    if !store.belongs_to(&data.secrets_digest()).await? {
        return Err(other_secrets(&layout, config.database.is_some()));
    }
    let database = match &config.database {
        Some(url) => Some(states_address(url, &store).await?),
        None => None,
    };
    if database.is_some() && layout.database().exists() && is_empty(&store).await? {
        tracing::warn!(
            folder = %layout.root.display(),
            "the database has no workspaces, and the data folder holds an installation that is not used: \
             `pilot store migrate` moves it into an empty database"
        );
    }
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), Some(store.clone())));
    let providers = Providers::build(&layout, &config.tools, &config.settings, boot)?;
    let providers = match (&config.database, config.providers.as_slice()) {
        // Who names them knows that there is one orchestrator.
        (Some(_), []) => providers.shared(),
        (_, names) => providers.only(names)?,
    };
    let pushes = Arc::new(Pushes::open(&layout, config.image_limit, providers.clone())?);
    let default_provider = providers.default(config.default_provider.as_deref())?;
    let addresses: Vec<SocketAddr> = [Some(config.listen), config.gateway].into_iter().flatten().collect();
    exposure::check(&addresses, &providers, config.unsafe_expose_local)?;
    let (driver, pulumi_folder) = (config.tools.driver().await?, config.tools.pulumi_folder().await);
    let plugin_folder = config.tools.plugin_folder().display().to_string();
    let registry = Registry::new(providers.all());
    let engine = Arc::new(
        Engine::start(
            driver,
            pulumi_folder,
            &layout,
            database,
            registry,
            plugin_folder,
            config.settings.exported(),
        )
        .await?,
    );
    let shutdown = CancellationToken::new();
    let probe = readiness::client()
        .map_err(|error| Problem::new(ErrorCode::Internal, format!("No HTTP client: {error}.")))?;
    let runner = Runner::new(Parts {
        store: store.clone(),
        engine: Arc::clone(&engine),
        providers: providers.clone(),
        installation: data.installation().clone(),
        feed: Feed::new(store.clone()),
        ready_timeout: config.ready_timeout,
        home_grace: config.home_grace,
        lease: LEASE / config.hurry.max(1),
        shutdown: shutdown.clone(),
        probe: probe.clone(),
        shared: Default::default(),
    });
    let lifecycle = Arc::new(Lifecycle {
        store: store.clone(),
        providers: providers.clone(),
        engine,
        runner: runner.clone(),
        installation: data.installation().clone(),
        default_provider,
        repair: config.repair,
        stray_grace: config.stray_grace,
        snapshot_limit: config.snapshots,
        gateway: config.gateway_url.map_or_else(OnceLock::new, OnceLock::from),
    });
    let tokens = Tokens { admin: data.admin_token().to_owned(), gateway: data.gateway_token().to_owned() };
    let handle = metrics::install();
    runner.start().await?;
    let sweeper = Arc::new(Sweeper {
        store: store.clone(),
        providers: providers.clone(),
        installation: data.installation().clone(),
        repair: config.repair,
        grace: config.stray_grace,
        hurry: config.hurry.max(1),
        name: runner.name().to_owned(),
    });
    let reconciler = Arc::new(Reconciler {
        store: store.clone(),
        providers,
        installation: data.installation().clone(),
        probe,
        lifecycle: Arc::clone(&lifecycle),
        repair: config.repair,
        hurry: config.hurry.max(1),
        name: runner.name().to_owned(),
    });
    let rollouts = Arc::new(Rollouts { store: store.clone(), name: runner.name().to_owned() });
    let background =
        [tokio::spawn(reconciler.run()), tokio::spawn(rollouts.run()), tokio::spawn(sweeper.run())];
    let api = http::router(Api { lifecycle: Arc::clone(&lifecycle), tokens: Arc::new(tokens), pushes });
    let mut servers = vec![serve(listener, api, shutdown.clone())];
    let admin_address = admin.as_ref().and_then(|admin| admin.local_addr().ok());
    if let Some(admin) = admin {
        let router = Router::new()
            .route("/metrics", axum::routing::get(move || async move { handle.render() }))
            .route("/health", axum::routing::get(|| async { "ok" }));
        servers.push(serve(admin, router, shutdown.clone()));
    }
    let _data = data;
    Ok(Running { address, admin_address, shutdown, lifecycle, runner, store, servers, background, _data })
}

impl Running {
    /// Where the lifecycle API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and liveness are told.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Tells where the gateway listens, so that workspaces have URLs where no other was said.
    pub fn gateway_listens(&self, address: SocketAddr) {
        let url = format!("http://{}:{}", network().domains.workspaces, address.port());
        if let Ok(url) = url.parse() {
            let _ = self.lifecycle.gateway.set(url);
        }
    }

    /// Takes no more work, lets the engine end cleanly, and leaves what is unfinished to the next start.
    pub async fn shutdown(self) {
        self.shutdown.cancel();
        self.background.iter().for_each(JoinHandle::abort);
        if tokio::time::timeout(DRAIN, self.runner.drained()).await.is_err() {
            tracing::warn!("some operations did not end in time; the next start resumes them");
        }
        if tokio::time::timeout(FLUSH, self.runner.feed().flushed()).await.is_err() {
            tracing::warn!("some events could not be stored");
        }
        for server in self.servers {
            server.abort();
        }
        // Those who go on look, sweep and roll out at once.
        if let Err(error) = self.store.give_back_all(self.runner.name()).await {
            tracing::warn!(%error, "the leases were not given back; others wait for their end");
        }
        self.store.close().await;
    }
}

fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let serve = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = serve.await {
            tracing::error!(%error, "an HTTP server ended");
        }
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))
}

/// Whether no workspace is in the store.
async fn is_empty(store: &Store) -> Result<bool, StoreError> {
    let one = WorkspaceQuery { most: 1, ..WorkspaceQuery::default() };
    Ok(store.workspaces_by(&one).await?.0.is_empty())
}

/// The database's address as the engine is given it. Its driver wants TLS where nobody says anything, and the store's takes what
/// there is: both are to mean the same.
async fn states_address(url: &str, store: &Store) -> Result<String, Problem> {
    let Ok(mut address) = url::Url::parse(url) else { return Ok(url.to_owned()) };
    if address.query_pairs().any(|(name, _)| name == "sslmode") || store.has_tls().await? {
        return Ok(url.to_owned());
    }
    address.query_pairs_mut().append_pair("sslmode", "disable");
    Ok(address.into())
}

pub(crate) fn cannot_join(url: &str, error: StoreError) -> Problem {
    match error {
        StoreError::Away(why) | StoreError::Database(why) => {
            let detail = format!("The database {} cannot be used: {why}.", without_password(url));
            Problem::new(ErrorCode::StoreUnavailable, detail)
                .with_action("Check the address, and that the user may make tables there.")
        }
        error => error.into(),
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Problem {
    let detail = format!("Pilot cannot listen on {address}: {error}.");
    Problem::new(ErrorCode::PortInUse, detail)
        .with_action("End the program that uses the port, or choose another with the --listen options.")
}
