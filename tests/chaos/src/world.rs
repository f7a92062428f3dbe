//! What is broken: orchestrators with their store, a provider, and the witness of what exists there.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use provider_fake::Cloud;
use rustix::process::Signal;
use tokio::task::AbortHandle;

use crate::api::Api;
use crate::ledger::Ledger;
use crate::options::{Options, Provider, Store};
use crate::postgres::Postgres;
use crate::process;
use crate::server::Server;
use crate::witness::{Fly, Witness};

/// Claims and rounds of the orchestrators are so many times shorter, so that what comes after them is seen in seconds.
const HURRY: u32 = 10;

/// What machines of real containers are made from.
const IMAGE: &str = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));

/// How long a claim holds in a world.
pub fn lease() -> Duration {
    Duration::from_secs(15) / HURRY
}

pub struct World {
    pub servers: Arc<Vec<Server>>,
    pub api: Api,
    pub witness: Witness,
    pub postgres: Option<Arc<Postgres>>,
    /// Whose turn it is to break the database.
    pub database: tokio::sync::Mutex<()>,
    pub ledger: Ledger,
    pub pilot: PathBuf,
    service: Option<AbortHandle>,
    folder: Option<tempfile::TempDir>,
}

impl World {
    pub async fn start(options: &Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pilot-chaos-").tempdir()?;
        let (mut env, mut service, mut outside) = (Vec::new(), None, None);
        let mut args: Vec<String> =
            ["--log", "info,orchestrator::http=warn", "--ready-timeout", "30", "--hurry"]
                .map(str::to_owned)
                .into();
        args.push(HURRY.to_string());
        match options.provider {
            Provider::Fake => {
                let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                env.push(("PILOT_FAKE_URL".to_owned(), format!("http://{}/", listener.local_addr()?)));
                env.push(("PILOT_FAKE_NETWORK".to_owned(), "chaos".to_owned()));
                let kept = Cloud::with_journal();
                service = Some(tokio::spawn(kept.clone().serve(listener)).abort_handle());
                outside = Some(Witness::Cloud(kept));
            }
            Provider::Fly => {
                let fly = Fly::start(&folder.path().join("fly")).await?;
                env.extend(fly.environment(IMAGE));
                outside = Some(Witness::Fly(fly));
            }
            Provider::Docker => {}
        }
        args.extend(["--providers".to_owned(), options.provider.name().to_owned()]);
        let postgres = match options.store {
            Store::Sqlite => None,
            Store::Postgres => Some(Arc::new(tokio::task::spawn_blocking(Postgres::start).await?)),
        };
        env.extend(postgres.as_ref().map(|server| ("PILOT_DATABASE".to_owned(), server.url())));
        let data = |number: usize| folder.path().join(format!("data-{number}"));
        let servers: Vec<Server> = (0..options.store.servers())
            .map(|number| Server::new(data(number), args.clone(), env.clone()))
            .collect();
        let mut servers = servers.into_iter();
        let first = servers.next().context("a store has at least one server")?;
        std::fs::create_dir_all(&first.data)?;
        first.ensure(&options.pilot).await?;
        let mut all = vec![first];
        for other in servers {
            // Of one installation.
            copy_folder(&all[0].data.join("secrets"), &other.data.join("secrets"))?;
            other.ensure(&options.pilot).await?;
            all.push(other);
        }
        let installation = std::fs::read_to_string(all[0].data.join("secrets/installation"))?;
        let witness = outside.unwrap_or_else(|| Witness::Docker(installation.trim().to_owned()));
        let servers = Arc::new(all);
        let api = Api::new(Arc::clone(&servers))?;
        let (ledger, pilot, folder) = (Ledger::default(), options.pilot.clone(), Some(folder));
        let database = tokio::sync::Mutex::default();
        Ok(Self { servers, api, witness, postgres, database, ledger, pilot, service, folder })
    }

    /// All faults are over: everything that was killed runs again, everything that was paused goes on.
    pub async fn heal(&self) -> Result<()> {
        self.witness.heal();
        self.pause_database(false)?;
        for server in self.servers.iter() {
            server.wake()?;
            server.ensure(&self.pilot).await?;
        }
        Ok(())
    }

    /// SIGSTOP or SIGCONT of PostgreSQL with all that it has started.
    pub fn pause_database(&self, pause: bool) -> Result<()> {
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        let Some(pid) = self.postgres.as_ref().and_then(|server| server.pid()) else { return Ok(()) };
        process::family(pid).into_iter().try_for_each(|pid| process::signal(pid, signal))
    }

    /// Of PostgreSQL.
    pub async fn refuse_writes(&self, refuse: bool) -> Result<()> {
        if let Some(postgres) = self.postgres.clone() {
            tokio::task::spawn_blocking(move || postgres.read_only(refuse)).await?;
        }
        Ok(())
    }

    /// What is wrong is looked at by people: its folder with logs, store and states stays.
    pub fn keep(&mut self) -> Option<PathBuf> {
        self.folder.take().map(tempfile::TempDir::keep)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.pause_database(false);
        for server in self.servers.iter() {
            let _ = server.wake();
            let _ = server.kill();
        }
        self.witness.remove_everything();
        if let Some(service) = &self.service {
            service.abort();
        }
    }
}

/// Asks again until it is there.
pub async fn eventually(
    what: &str,
    within: Duration,
    mut check: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + within;
    while !check().await? {
        if Instant::now() > deadline {
            anyhow::bail!("within {within:?} there was never: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
