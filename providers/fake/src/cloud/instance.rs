//! What runs on a machine: the backend of every instance, over canned answers instead of OpenCode, on a
//! loopback port of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use backend::{MockAdapter, Verifier};
use contracts::identity::{Platform, RuntimeIdentity};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::task::{AbortHandle, JoinSet};

use super::{Files, Labels};

/// Where the init of a real instance looks for what it is told.
const GATEWAY_KEY: &str = ".config/pilot/gateway-key";
const LABEL: &str = ".config/pilot/label";

/// An instance from its boot to its end; dropping it ends it.
pub(crate) struct Instance {
    /// Kept over a suspend, so that the address stays.
    listener: TcpListener,
    app: Router,
    /// What the instance remembers as long as it is not stopped.
    #[cfg_attr(not(feature = "conformance"), allow(dead_code, reason = "only tests look into it"))]
    pub memory: Mutex<String>,
    server: Mutex<Option<AbortHandle>>,
}

impl Instance {
    /// Boots from what is in its home and in its labels, as a real one does from files and environment.
    pub fn boot(labels: &Labels, home: &Files) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let instance = Self {
            listener,
            app: app(labels, home).ok_or(io::ErrorKind::InvalidInput)?,
            memory: Mutex::default(),
            server: Mutex::default(),
        };
        instance.run()?;
        Ok(instance)
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or_else(|_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }

    /// Answers from now on.
    pub fn run(&self) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        self.replace(Some(tokio::spawn(serve(listener, self.app.clone())).abort_handle()));
        Ok(())
    }

    /// Answers nothing from now on, and keeps address and memory.
    pub fn freeze(&self) {
        self.replace(None);
    }

    fn replace(&self, server: Option<AbortHandle>) {
        let mut current = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *current, server) {
            old.abort();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.freeze();
    }
}

/// `None` when the labels do not say who it is.
fn app(labels: &Labels, home: &Files) -> Option<Router> {
    let owner = crate::owner::of(labels)?.runtime;
    let text = |path: &str| home.get(path).map(|content| String::from_utf8_lossy(content).trim().to_owned());
    let installation = Some(&owner.installation);
    let verifier = match text(GATEWAY_KEY) {
        Some(key) => Verifier::new(&key, &owner.runtime_id, installation),
        None => Verifier::without_key("there is no key file", &owner.runtime_id, installation),
    };
    let identity = RuntimeIdentity {
        runtime_label: text(LABEL).unwrap_or_else(|| owner.runtime_id.to_string()),
        runtime_id: owner.runtime_id,
        platform: Platform::Runtime,
    };
    Some(backend::app(Arc::new(MockAdapter::new(identity)), verifier))
}

/// Its connections end with it, so what is stopped does not answer through one that is still open.
async fn serve(listener: tokio::net::TcpListener, app: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let service = TowerToHyperService::new(app.clone());
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection.with_upgrades());
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
