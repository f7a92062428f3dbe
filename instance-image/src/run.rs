//! The life of an instance: listen, boot, serve, and end everything at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use backend::{LocalAdapter, MockAdapter, OpenCodeTarget, RuntimeAdapter};
use contracts::{ErrorCode, Problem};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::children::Children;
use crate::config::{Adapter, Config};
use crate::readiness::Probe;
use crate::ssh::Sshd;
use crate::state::{Event, Publisher};
use crate::supervisor::{OpenCode, Supervisor};
use crate::{boot, git, opencode_home};

/// What is below us may take this long to end when asked, and when forced.
const POLITE: Duration = Duration::from_millis(1500);
const FORCED: Duration = Duration::from_secs(2);

/// Why the instance ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("another program listens on {address}")]
    PortInUse { address: SocketAddr },
    #[error("{address} cannot be listened on: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the server on {address} ended: {reason}")]
    Server { address: SocketAddr, reason: String },
    #[error("the operating system refuses what an instance needs: {source}")]
    Runtime { source: std::io::Error },
    #[error("an instance without a working HTTP client cannot watch OpenCode: {source}")]
    Client { source: reqwest::Error },
    #[error("the password for OpenCode cannot be made")]
    Password,
}

impl Fatal {
    pub fn code(&self) -> ErrorCode {
        match self {
            Fatal::PortInUse { .. } => ErrorCode::PortInUse,
            Fatal::Listen { .. } | Fatal::Server { .. } | Fatal::Runtime { .. } => ErrorCode::InstanceFailed,
            Fatal::Client { .. } | Fatal::Password => ErrorCode::Internal,
        }
    }

    /// 3 for a taken port, so that a provider can choose another; 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Fatal::PortInUse { .. }) { 3 } else { 1 }
    }

    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.code(), self.to_string());
        match self {
            Fatal::PortInUse { .. } => problem.with_action("end that program or choose another --listen"),
            _ => problem,
        }
    }
}

/// Runs until a signal asks for the end, or the server breaks.
pub async fn run(config: Config) -> Result<(), Fatal> {
    let mut signals = Signals::new().map_err(|source| Fatal::Runtime { source })?;
    let address = config.listen;
    let listener = listen(address).await?;

    let (children, publisher, stop) = (Children::default(), Publisher::new(), CancellationToken::new());
    let tasks = TaskTracker::new();
    let adapter: Arc<dyn RuntimeAdapter> = match config.adapter {
        Adapter::Mock => Arc::new(MockAdapter::new(boot::identity(&config))),
        Adapter::Local => {
            let password = password();
            let target = OpenCodeTarget::loopback(config.opencode_port, &password).ok_or(Fatal::Password)?;
            let probe = Probe::new(target.clone()).map_err(|source| Fatal::Client { source })?;
            let adapter = LocalAdapter::new(boot::identity(&config), target, publisher.subscribe())
                .with_workspace(&config.workspace())
                .with_home(&config.home)
                .with_ssh(Arc::new(Sshd::new(config.home.clone(), children.clone())));
            let opencode = opencode(&config, password);
            let (children, stop) = (children.clone(), stop.clone());
            let supervisor = Supervisor { opencode, probe, children, publisher, stop };
            tasks.spawn(bring_up(config.clone(), supervisor));
            Arc::new(adapter)
        }
    };
    let routes = backend::app(adapter, boot::verifier(&config));
    tracing::info!(%address, runtime = %config.runtime_id, "listening");
    // Small frames are what an event stream consists of.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, routes);

    let outcome = tokio::select! {
        ended = server => Err(Fatal::Server { address, reason: ended.err().map_or("no reason".to_owned(), |e| e.to_string()) }),
        name = signals.until_end(&children) => {
            tracing::info!(signal = name, "stopping");
            Ok(())
        }
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    if !children.end_all(POLITE, FORCED).await {
        tracing::error!("some processes of the instance could not be ended");
    }
    tracing::info!("stopped");
    outcome
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Fatal> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Fatal::PortInUse { address },
        _ => Fatal::Listen { address, source },
    })
}

/// 256 random bits, new at each boot and known to nobody but this process and OpenCode.
fn password() -> String {
    rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn opencode(config: &Config, password: String) -> OpenCode {
    OpenCode {
        binary: config.opencode_bin.clone(),
        port: config.opencode_port,
        password,
        home: config.home.clone(),
        workspace: config.workspace(),
    }
}

/// From empty folders to a supervised OpenCode.
async fn bring_up(config: Config, supervisor: Supervisor) {
    boot::warn_of_missing_programs();
    if let Err(error) = opencode_home::prepare(&config.home) {
        // OpenCode then installs its package, which costs space and time but works.
        tracing::warn!(%error, "OpenCode's configuration folder could not be prepared");
    }
    let filled = tokio::select! {
        filled = fill_workspace(&config, &supervisor.children, &supervisor.publisher) => filled,
        () = supervisor.stop.cancelled() => return,
    };
    match filled {
        Ok(()) => supervisor.run().await,
        Err(failure) => supervisor.publisher.tell(failure),
    }
}

async fn fill_workspace(config: &Config, children: &Children, publisher: &Publisher) -> Result<(), Event> {
    let workspace = config.workspace();
    if let Some(url) = config.git_url.clone()
        && git::is_empty(&workspace)
    {
        publisher.tell(Event::Began(format!("{url} is being cloned")));
        let source = git::Source { url, reference: config.git_ref.clone(), timeout: config.git_timeout };
        git::clone(&source, &workspace, children)
            .await
            .map_err(|error| Event::GaveUp { code: error.code(), why: error.to_string() })?;
    }
    boot::make_folder(&workspace)
        .map_err(|error| Event::GaveUp { code: ErrorCode::InstanceFailed, why: error.to_string() })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    child: Signal,
    /// Whoever starts Pilot with `nohup` has it ignored, and so would every program of the instance: nothing would end with the
    /// terminal or the SSH session that it is of. What is caught is as usual in programs that are begun.
    _hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            child: signal(SignalKind::child())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Collects ended orphans until a signal asks for the end.
    async fn until_end(&mut self, children: &Children) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.child.recv() => children.reap(),
            }
        }
    }
}
