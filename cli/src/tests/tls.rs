//! Servers behind `https://`: whose certificate is good enough.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::serve::Listener;
use contracts::ErrorCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::exit;
use crate::tests::fake::{data_with_token, pilot_hearing, pilot_with, router};

struct Tls(TcpListener, TlsAcceptor);

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.0.accept().await.unwrap();
            // A client that does not trust the certificate breaks off.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A server for `localhost`, and its authority's certificate in the folder.
async fn server(folder: &Path, name: &str) -> u16 {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = Tls(listener, TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move { axum::serve(tls, router().0).await });
    port
}

#[tokio::test]
async fn a_server_whose_authority_is_named_is_used() {
    let data = data_with_token();
    let port = server(data.path(), "localhost").await;
    let ca = data.path().join("ca.pem");
    let server = format!("https://localhost:{port}");
    let line = format!("ws ls --server {server} --ca {}", ca.display());
    assert!(pilot_with(data.path(), &line, &[]).await.out.contains("demo"));
    let login = format!("login {server} --name safe --token-stdin --ca {}", ca.display());
    assert!(pilot_hearing("secret", data.path(), &login, &[]).await.result.is_ok());
    let kept = pilot_with(data.path(), "ws ls --context safe", &[]).await;
    assert!(kept.out.contains("demo"), "the context has kept the authority: {}", kept.err);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_called_so() {
    let data = data_with_token();
    let port = server(data.path(), "localhost").await;
    let shown = pilot_with(data.path(), &format!("ws ls --server https://localhost:{port}"), &[]).await;
    for part in
        ["(certificate_untrusted)", "Nothing was sent to https://localhost:", "--ca FILE or SSL_CERT_FILE"]
    {
        assert!(shown.err.contains(part), "{part} in {}", shown.err);
    }
    assert_eq!(exit::of(&shown.result), exit::UNREACHABLE);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_good_enough() {
    let data = data_with_token();
    let port = server(data.path(), "other.example").await;
    let line =
        format!("ws ls --server https://localhost:{port} --ca {}", data.path().join("ca.pem").display());
    let shown = pilot_with(data.path(), &line, &[]).await;
    assert!(shown.err.contains("other.example"), "{}", shown.err);
    assert_eq!(shown.result.unwrap_err().code, ErrorCode::CertificateUntrusted);
}

#[tokio::test]
async fn a_file_without_certificates_is_no_authority() {
    let data = data_with_token();
    let empty = data.path().join("secrets/admin-token");
    for path in [empty, data.path().join("none")] {
        let line = format!("ws ls --server https://localhost:1 --ca {}", path.display());
        let shown = pilot_with(data.path(), &line, &[]).await;
        assert!(shown.err.contains("with certificates in PEM"), "{}", shown.err);
    }
}
