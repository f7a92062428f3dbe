//! `pilot serve`: the orchestrator and the gateway in one process, or one of them.
//!
//! This file only puts them together and ends them in order; what they do is theirs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::network::network;
use contracts::{ErrorCode, InstallationId, Problem};
use orchestrator::boot::DataFolderBoot;
use orchestrator::data::{DataFolder, Layout};
use orchestrator::exposure;
use orchestrator::tools::ToolPaths;
use orchestrator::wiring::{ProviderSettings, Providers, Variables};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::Url;

use crate::Outcome;
use crate::args::{Providing, Role, Serve};
use crate::endpoints::{Endpoint, Endpoints};
use crate::telemetry::Telemetry;
use crate::ui::Ui;

/// What runs in this process.
struct Parts {
    orchestrator: Option<orchestrator::Running>,
    gateway: Option<gateway::Running>,
}

/// What the gateway needs of the data folder.
struct Secrets {
    admin_token: String,
    gateway_token: String,
    session_key: [u8; 32],
    assertion_key_pem: String,
    installation: InstallationId,
}

/// How soon it is tried again to say where this listens.
const PUBLISH_AGAIN: Duration = Duration::from_secs(2);

pub async fn run(serve: Serve, data: PathBuf, ui: &mut Ui) -> Result<Outcome, Problem> {
    let telemetry = Telemetry::start(&serve)?;
    let mut stop = Stop::listen()?;
    let parts = tokio::select! {
        parts = start(&serve, &data) => parts?,
        () = stop.requested() => return Ok(Outcome::Interrupted),
    };
    let endpoints = parts.endpoints();
    let end_publishing = publish(endpoints.clone(), data.clone());
    announce(&endpoints, &data, ui);

    stop.requested().await;
    tracing::info!("stopping; a second signal ends at once");
    end_publishing.await;
    if let Err(error) = endpoints.withdraw(&data) {
        tracing::warn!(%error, "endpoints.json still names this server");
    }
    let end = async {
        parts.shutdown().await;
        telemetry.end().await;
    };
    tokio::select! {
        () = end => Ok(Outcome::Done),
        () = stop.requested() => Ok(Outcome::Interrupted),
    }
}

async fn start(serve: &Serve, data: &Path) -> Result<Parts, Problem> {
    let ports = &network().host;
    let gateway_listen = serve.listen_gateway.unwrap_or_else(|| loopback(ports.gateway.http));
    let orchestrator_listen = serve.listen_orchestrator.unwrap_or_else(|| loopback(ports.orchestrator));
    if serve.role == Role::Gateway {
        let secrets = Secrets::read(data)?;
        check_exposure(serve, gateway_listen, data)?;
        let orchestrator = serve.orchestrator_url.clone().map_or_else(|| reach(orchestrator_listen), Ok)?;
        let gateway = gateway::start(gateway_config(secrets, gateway_listen, orchestrator)).await?;
        return Ok(Parts { orchestrator: None, gateway: Some(gateway) });
    }
    let folder = DataFolder::open(data)?;
    let secrets = Secrets::of(&folder);
    let orchestrator =
        orchestrator::start(orchestrator_config(serve, orchestrator_listen, gateway_listen), folder).await?;
    if serve.role == Role::Orchestrator {
        return Ok(Parts { orchestrator: Some(orchestrator), gateway: None });
    }
    let started = match reach(orchestrator.address()) {
        Ok(url) => gateway::start(gateway_config(secrets, gateway_listen, url)).await,
        Err(problem) => Err(problem),
    };
    match started {
        Ok(gateway) => {
            orchestrator.gateway_listens(gateway.address());
            Ok(Parts { orchestrator: Some(orchestrator), gateway: Some(gateway) })
        }
        Err(problem) => {
            orchestrator.shutdown().await;
            Err(problem)
        }
    }
}

/// Says where this listens, as soon as that can be written. What is given back ends that.
fn publish(endpoints: Endpoints, data: PathBuf) -> impl Future<Output = ()> {
    let task = tokio::spawn(async move {
        while let Err(error) = endpoints.publish(&data) {
            tracing::warn!(%error, "other commands need --server until endpoints.json can be written");
            tokio::time::sleep(PUBLISH_AGAIN).await;
        }
    });
    async move {
        task.abort();
        let _ = task.await;
    }
}

/// The orchestrator checks this for itself and its gateway; a gateway alone has to.
fn check_exposure(serve: &Serve, listen: SocketAddr, data: &Path) -> Result<(), Problem> {
    let layout = Layout { root: data.to_owned() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    let providers = Providers::build(&layout, &ToolPaths::default(), &ProviderSettings::default(), boot)?;
    exposure::check(&[listen], &providers.only(&serve.providers)?, serve.unsafe_expose_local)
}

fn orchestrator_config(serve: &Serve, listen: SocketAddr, gateway: SocketAddr) -> orchestrator::Config {
    let first = serve.providers.first().cloned();
    let defaults = orchestrator::Config::default();
    orchestrator::Config {
        listen,
        admin_listen: serve.listen_admin.or(defaults.admin_listen),
        gateway: Some(gateway),
        gateway_url: serve.gateway_url.clone(),
        database: serve.database.clone(),
        default_provider: serve.provider.clone().or(first),
        providers: serve.providers.clone(),
        unsafe_expose_local: serve.unsafe_expose_local,
        ready_timeout: serve.ready_timeout,
        home_grace: serve.home_grace,
        stray_grace: serve.stray_grace,
        snapshots: serve.snapshots,
        image_limit: serve.image_limit << 30,
        repair: match serve.repair {
            crate::args::Repair::Auto => orchestrator::reconcile::Repair::Auto,
            crate::args::Repair::Report => orchestrator::reconcile::Repair::Report,
        },
        hurry: serve.hurry,
        tools: defaults.tools,
        settings: provider_settings(&serve.providing),
    }
}

/// The same for everything that judges or uses the providers.
pub fn provider_settings(given: &Providing) -> ProviderSettings {
    ProviderSettings {
        docker_host: given.docker_host.clone().filter(|host| !host.is_empty()),
        image: given.image.clone(),
        instance_ports: given.instance_ports,
        variables: Variables::of_this_process(),
    }
}

fn gateway_config(secrets: Secrets, listen: SocketAddr, orchestrator: Url) -> gateway::Config {
    gateway::Config {
        listen,
        domain: network().domains.workspaces.clone(),
        orchestrator,
        orchestrator_token: secrets.gateway_token,
        admin_token: secrets.admin_token,
        session_key: secrets.session_key,
        assertion_key_pem: secrets.assertion_key_pem,
        installation: secrets.installation,
    }
}

impl Parts {
    fn endpoints(&self) -> Endpoints {
        let at = |address| reach(address).ok().map(|url| Endpoint { url, pid: std::process::id() });
        Endpoints {
            orchestrator: self.orchestrator.as_ref().and_then(|running| at(running.address())),
            gateway: self.gateway.as_ref().and_then(|running| at(running.address())),
            admin: self.orchestrator.as_ref().and_then(|running| at(running.admin_address()?)),
        }
    }

    /// The gateway first, so that nobody asks an orchestrator that is leaving.
    async fn shutdown(self) {
        if let Some(gateway) = self.gateway {
            gateway.shutdown().await;
        }
        if let Some(orchestrator) = self.orchestrator {
            orchestrator.shutdown().await;
        }
    }
}

impl Secrets {
    fn of(folder: &DataFolder) -> Self {
        Self {
            admin_token: folder.admin_token().to_owned(),
            gateway_token: folder.gateway_token().to_owned(),
            session_key: folder.session_key(),
            assertion_key_pem: folder.assertion_key_pem().to_owned(),
            installation: folder.installation().clone(),
        }
    }

    /// For a gateway alone: the folder's owner is the orchestrator, so it is only read.
    fn read(data: &Path) -> Result<Self, Problem> {
        let layout = Layout { root: data.to_owned() };
        let text = |name| {
            std::fs::read_to_string(layout.secret(name))
                .map(|text| text.trim().to_owned())
                .map_err(|error| unusable(&layout.secret(name), &format!("it cannot be read ({error})")))
        };
        Ok(Self {
            admin_token: text("admin-token")?,
            gateway_token: text("gateway-token")?,
            session_key: decoded_key(&text("session-key")?)
                .ok_or_else(|| unusable(&layout.secret("session-key"), "it is damaged"))?,
            assertion_key_pem: text("assertion-key.pem")?,
            installation: text("installation")?
                .parse()
                .map_err(|_| unusable(&layout.secret("installation"), "it is damaged"))?,
        })
    }
}

fn unusable(path: &Path, why: &str) -> Problem {
    Problem::new(ErrorCode::DataFolderUnusable, format!("The gateway needs {}, but {why}.", path.display())).with_action(
        "Start the orchestrator once with `pilot serve --role orchestrator`; on another machine, copy its secrets folder.",
    )
}

/// 32 bytes in base64url, as the data folder keeps them.
fn decoded_key(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// SIGINT and SIGTERM, heard from the first moment on.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Problem> {
        let hear = |kind| {
            signal(kind).map_err(|error| {
                Problem::new(ErrorCode::Internal, format!("Signals cannot be received: {error}."))
            })
        };
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn announce(endpoints: &Endpoints, data: &Path, ui: &mut Ui) {
    if ui.json {
        ui.document(&json!({ "type": "serving", "endpoints": endpoints, "data": data }));
        return;
    }
    let shown =
        |at: &Option<Endpoint>| at.as_ref().map(|at| at.url.as_str().trim_end_matches('/').to_owned());
    let lines = [
        ("gateway", shown(&endpoints.gateway)),
        ("orchestrator", shown(&endpoints.orchestrator)),
        ("metrics", shown(&endpoints.admin).map(|url| url + "/metrics")),
        ("data", Some(data.display().to_string())),
    ];
    ui.say("Pilot is up. `pilot ws create demo` makes a workspace; Ctrl-C stops Pilot, not the workspaces.");
    for (name, value) in lines {
        if let Some(value) = value {
            ui.say(format!("  {name:<13} {value}"));
        }
    }
}

/// The URL by which this machine reaches a listener.
fn reach(listen: SocketAddr) -> Result<Url, Problem> {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let text = format!("http://{}", SocketAddr::new(ip, listen.port()));
    text.parse().map_err(|error| Problem::new(ErrorCode::Internal, format!("{text} is not a URL: {error}.")))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_a_server_listens_is_said_as_soon_as_it_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("later");
        let url = "http://127.0.0.1:1".parse().unwrap();
        let endpoints = Endpoints { gateway: Some(Endpoint { url, pid: 1 }), ..Endpoints::default() };
        let end = publish(endpoints.clone(), data.clone());
        tokio::task::yield_now().await;
        std::fs::create_dir(&data).unwrap();
        let deadline = std::time::Instant::now() + 5 * PUBLISH_AGAIN;
        while Endpoints::read(&data) != endpoints {
            assert!(std::time::Instant::now() < deadline, "it was never written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        end.await;
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:1", "http://127.0.0.1:1/"),
            ("[::]:1", "http://[::1]:1/"),
            ("10.0.0.1:1", "http://10.0.0.1:1/"),
        ] {
            assert_eq!(reach(listen.parse().unwrap()).unwrap().as_str(), url);
        }
    }

    #[test]
    fn a_gateway_alone_reads_the_secrets_of_a_folder_that_another_process_owns() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Secrets::read(data.path()).err().unwrap().code, ErrorCode::DataFolderUnusable);
        let owner = DataFolder::open(data.path()).unwrap();
        let (read, owned) = (Secrets::read(data.path()).unwrap(), Secrets::of(&owner));
        assert_eq!(read.session_key, owned.session_key);
        assert_eq!((read.admin_token, read.gateway_token), (owned.admin_token, owned.gateway_token));
        assert_eq!(
            (read.assertion_key_pem, read.installation),
            (owned.assertion_key_pem, owned.installation)
        );
    }
}
