use std::sync::{Arc, OnceLock};

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;

use crate::{BoxError, ForwardError, Forwarder, Target, empty, full};

/// The only certificate that is good in these tests.
fn own() -> &'static CertifiedKey<rcgen::KeyPair> {
    static KEY: OnceLock<CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    KEY.get_or_init(|| generate_simple_self_signed(["localhost".to_owned()]).unwrap())
}

fn trusting_own() -> Result<rustls::ClientConfig, BoxError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own().cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Answers with the request's host, behind TLS with this certificate.
async fn serve(key: &CertifiedKey<rcgen::KeyPair>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let host = service_fn(async |request: Request<hyper::body::Incoming>| {
                    let host = request.headers()["host"].to_str().unwrap().to_owned();
                    Ok::<_, std::convert::Infallible>(http::Response::new(full(host)))
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), host)
                    .await;
            });
        }
    });
    port
}

fn to(port: u16) -> Target {
    Target { tls: true, ..Target::plain(format!("localhost:{port}"), "/") }
}

#[tokio::test]
async fn a_target_behind_tls_answers_under_the_host_that_was_asked_for() {
    let port = serve(own()).await;
    let forwarder = Forwarder::new().with_tls(trusting_own);
    let request = Request::builder().header("host", "one-of-many.example").body(empty()).unwrap();
    let response = forwarder.forward(request, &to(port)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "one-of-many.example");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_request() {
    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let port = serve(&other).await;
    let forwarder = Forwarder::new().with_tls(trusting_own);
    let failure = forwarder.forward(Request::new(empty()), &to(port)).await.unwrap_err();
    assert!(matches!(failure, ForwardError::Connect { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_program_without_tls_says_so() {
    let failure = Forwarder::new().forward(Request::new(empty()), &to(1)).await.unwrap_err();
    assert!(matches!(failure, ForwardError::Upstream { .. }), "{failure:?}");
}
