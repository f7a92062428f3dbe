//! A simulator of the Fly Machines API that runs what is created.
//!
//! [`Sim::start`] opens three ports: the API as `/v1/...`, the edge that serves `<app>.fly.dev`, and an
//! admin port for faults. Objects are kept in memory and in a [`journal`], which is the witness of what
//! exists. Started machines are processes, containers or records, as [`RunnerKind`] says.
//!
//! It behaves as the vendor does where a client can see it. It is not the vendor: there is one zone, no
//! WireGuard, no GraphQL, no certificates, and times are those of one computer.

mod action;
mod admin;
mod bend;
mod clock;
mod config;
mod core;
mod edge;
mod error;
mod faults;
mod gate;
mod http;
mod ids;
pub mod journal;
mod lifecycle;
mod limits;
mod registry;
mod runner;
mod secrets;
mod seen;
mod server;
mod settings;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use crate::core::Core;
use crate::runner::{Exit, Runner};

pub use crate::faults::{Fault, Kind};
pub use crate::registry::Registry;
pub use crate::runner::Running;
pub use crate::seen::Request;
pub use crate::settings::{Delays, Region, RunnerKind, Scope, Settings, Token};
pub use crate::world::{App, Machine, Object, State, Volume};

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the folder {folder} cannot be used")]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("a port cannot be used")]
    Port(#[source] std::io::Error),
    #[error("no Docker engine answers")]
    Docker(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running simulator. Dropping it ends the answers and leaves the machines' programs alone, as a kill
/// does; [`Sim::stop`] ends them too.
pub struct Sim {
    core: Arc<Core>,
    servers: server::Servers,
    exits: tokio::task::JoinHandle<()>,
}

impl Sim {
    /// Starts a simulator with the objects of its folder's journal. Machines whose programs still run
    /// are taken over; those that should run and do not are stopped.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(mut settings: Settings) -> Result<Sim, StartError> {
        // Docker takes a relative one for the name of a volume, and a program of a machine has a folder of its own to begin in.
        settings.folder = std::path::absolute(&settings.folder)
            .map_err(|source| StartError::Folder { folder: settings.folder.clone(), source })?;
        let (sender, mut receiver) = mpsc::unbounded_channel::<Exit>();
        let runner: Arc<dyn Runner> = match &settings.runner {
            RunnerKind::Records => Arc::new(runner::records::Records),
            RunnerKind::Process { command } => {
                Arc::new(runner::process::Processes::new(settings.folder.clone(), command.clone(), sender))
            }
            RunnerKind::Docker => {
                let containers = runner::docker::Containers::connect(settings.registry.clone(), sender).await;
                Arc::new(containers.map_err(|error| StartError::Docker(error.into()))?)
            }
        };
        settings.registry.serve(&settings.tokens).await.map_err(StartError::Port)?;
        let folder = settings.folder.clone();
        let core = Core::open(settings, runner).map_err(|source| StartError::Folder { folder, source })?;
        let core = Arc::new(core);
        lifecycle::adopt_all(&core).await;
        let servers = server::start(&core).await.map_err(StartError::Port)?;
        let ended = core.clone();
        let exits = tokio::spawn(async move {
            while let Some(exit) = receiver.recv().await {
                tokio::spawn(lifecycle::ended(ended.clone(), exit));
            }
        });
        Ok(Sim { core, servers, exits })
    }

    /// Base URL of the API, without `/v1`.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.servers.api)
    }

    /// Where `<app>.fly.dev` is served.
    pub fn edge(&self) -> SocketAddr {
        self.servers.edge
    }

    /// Where images are pushed to, as references begin.
    pub fn registry(&self) -> String {
        self.core.settings.registry.host().unwrap_or_default()
    }

    pub fn admin_url(&self) -> String {
        format!("http://{}", self.servers.admin)
    }

    /// The journal's path; see [`journal::read`].
    pub fn journal(&self) -> PathBuf {
        self.core.settings.folder.join(journal::FILE)
    }

    /// The folder behind a volume.
    pub fn volume_folder(&self, id: &str) -> PathBuf {
        self.core.volume_folder(id)
    }

    /// Puts a fault in force, as `POST /faults` does, and returns its number.
    pub fn order(&self, fault: Fault) -> u64 {
        self.core.faults.add(fault)
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.core.faults.clear(None);
    }

    /// Every request since the start or the last [`Sim::forget_requests`].
    pub fn requests(&self) -> Vec<Request> {
        self.core.seen.all()
    }

    pub fn forget_requests(&self) {
        self.core.seen.forget();
    }

    /// The machines that are not destroyed, as they are now.
    pub fn machines(&self) -> Vec<Machine> {
        self.core.look(|world| {
            world.machines.values().filter(|machine| machine.state != State::Destroyed).cloned().collect()
        })
    }

    pub fn volumes(&self) -> Vec<Volume> {
        self.core.look(|world| world.volumes.values().cloned().collect())
    }

    pub fn apps(&self) -> Vec<App> {
        self.core.look(|world| world.apps.values().cloned().collect())
    }

    /// The host of a machine is `ok`, `unknown` or `unreachable` from now on.
    pub async fn set_host_status(&self, machine: &str, status: &str) {
        if let Err(refusal) = admin::set_host(&self.core, machine, status).await {
            tracing::warn!(machine, %refusal, "the host was not changed");
        }
    }

    /// Machines that are starting stay so, as while an image is pulled, until this is taken back.
    pub fn hold_boots(&self, held: bool) {
        self.core.boots_wait.send_replace(held);
    }

    /// From the next boots on files are written before the volume is mounted: nobody sees those below its path.
    pub fn hide_files_below_mounts(&self, hidden: bool) {
        self.core.mounts_hide_files.store(hidden, Ordering::Relaxed);
    }

    /// The volume is as old as if it had been made so much earlier.
    pub async fn age_volume(&self, id: &str, by: std::time::Duration) {
        let aged = self.core.change(|changing| {
            if let Some(volume) = changing.world.volumes.get_mut(id) {
                volume.created_at = volume.created_at.checked_sub(by).unwrap_or(volume.created_at);
            }
            changing.note_volume(journal::Event::Changed, id);
            Ok(())
        });
        if let Err(refusal) = aged.await {
            tracing::warn!(volume = id, %refusal, "the volume was not aged");
        }
    }

    /// Ends the answers and every machine's program. The machines are stopped in the journal.
    pub async fn stop(self) {
        for task in &self.servers.tasks {
            task.abort();
        }
        self.exits.abort();
        lifecycle::stopping::all(&self.core).await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        for task in &self.servers.tasks {
            task.abort();
        }
        self.exits.abort();
    }
}
