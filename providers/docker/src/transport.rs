//! The ways to an engine: a local socket, TCP with mutual TLS, or `ssh`.
//!
//! TLS trusts the operator's own authority and nothing else, and remote connections are kept, because
//! each costs round trips. Bollard's own do neither, and its SSH accepts host keys that nobody has seen.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use provider_api::Result;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::failure::classify;
use crate::settings::{Address, unusable};
use crate::ssh::Ssh;

/// An engine or a firewall between may drop what is idle for longer.
const IDLE: Duration = Duration::from_secs(30);
const LIMIT: u64 = 120;

/// A client that is not yet connected.
pub(crate) fn open(address: &Address) -> Result<Docker> {
    let opened = match address {
        Address::Unix(path) => Docker::connect_with_unix(path, LIMIT, API_DEFAULT_VERSION),
        Address::Tls { authority, folder } => {
            let connector = hyper_rustls::HttpsConnectorBuilder::new()
                .with_tls_config(client(folder)?)
                .https_only()
                .enable_http1()
                .build();
            over(connector, &format!("https://{authority}"))
        }
        // The name is for HTTP alone; the connector knows whom it calls.
        Address::Ssh { url, config } => {
            let ssh = Ssh::to(url, config.clone())
                .map_err(|error| unusable("hosts", &format!("{url}: no login can be prepared: {error}")))?;
            over(ssh, "http://docker")
        }
    };
    opened.map_err(|error| classify("connect", &error).into())
}

fn over<C>(connector: C, address: &str) -> std::result::Result<Docker, Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    let transport = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.request(request).await.map_err(Error::from) }
    };
    Docker::connect_with_custom_transport(transport, Some(address), LIMIT, API_DEFAULT_VERSION)
}

fn client(folder: &Path) -> Result<ClientConfig> {
    let certificates = |name: &str| {
        let path = folder.join(name);
        let read = CertificateDer::pem_file_iter(&path)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
        read.map_err(|error| unusable("tls", &format!("{}: {error}", path.display())))
    };
    let refused = |error: rustls::Error| unusable("tls", &format!("{}: {error}", folder.display()));
    let mut roots = RootCertStore::empty();
    for authority in certificates("ca.pem")? {
        roots.add(authority).map_err(refused)?;
    }
    let path = folder.join("key.pem");
    let key = PrivateKeyDer::from_pem_file(&path)
        .map_err(|error| unusable("tls", &format!("{}: {error}", path.display())))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(refused)?.with_root_certificates(roots);
    builder.with_client_auth_cert(certificates("cert.pem")?, key).map_err(refused)
}
