//! Who an engine says it is, against a socket that answers as the test wants.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use contracts::ErrorCode;
use contracts::RuntimeId;
use provider_api::site::{all, must_be_reached};
use provider_api::{BootFile, BootSource, Provider as _, Result, RuntimeRef, Settings, Site, Sites};
use provider_docker::{DockerConfig, DockerEnv, DockerProvider, SETTINGS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

struct NoFiles;

#[async_trait::async_trait]
impl BootSource for NoFiles {
    async fn boot_files(&self, _: &RuntimeId) -> Result<Vec<BootFile>> {
        Ok(Vec::new())
    }
}

/// An engine that has nothing; `id` gives its word on who it is, anew for each time that it is asked.
fn engine(folder: &std::path::Path, id: impl Fn(usize) -> String + Send + Sync + 'static) -> Arc<dyn Sites> {
    let socket = folder.join(format!("{}.sock", RuntimeId::random()));
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let mut asked = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && client.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let (status, body) = if line.contains("/version") {
                ("200 OK", r#"{"ApiVersion": "1.44", "MinAPIVersion": "1.24"}"#.to_owned())
            } else if line.contains("/info") {
                asked += 1;
                ("200 OK", format!(r#"{{"ID": "{}"}}"#, id(asked)))
            } else if line.contains("/volumes?") {
                ("200 OK", r#"{"Volumes": []}"#.to_owned())
            } else if line.contains("/networks?") {
                ("200 OK", "[]".to_owned())
            } else {
                ("404 Not Found", r#"{"message": "no such object"}"#.to_owned())
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    let provider = DockerProvider::new(DockerConfig {
        host: Some(format!("unix://{}", socket.display())),
        env: DockerEnv::default(),
        settings: Settings::read(&"docker".parse().unwrap(), SETTINGS, |_| None).unwrap(),
        image: "none".to_owned(),
        boot: Arc::new(NoFiles),
        logins: Arc::new(provider_api::NoLogins),
        publish: std::net::Ipv4Addr::LOCALHOST.into(),
        ports: None,
    });
    provider.sites().unwrap()
}

#[tokio::test]
async fn an_engine_is_who_it_says_and_one_that_says_another_word_each_time_is_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ids = async |sites: Arc<dyn Sites>| {
        all(sites.as_ref()).await.unwrap().into_iter().map(|site| site.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(engine(folder.path(), |_| "A:B".to_owned())).await, ["A:B"]);
    assert_eq!(ids(engine(folder.path(), |asked| format!("uuid-{asked}"))).await, [""; 0]);
    assert_eq!(ids(engine(folder.path(), |_| String::new())).await, [""; 0]);
}

#[tokio::test]
async fn an_engine_that_was_exchanged_behind_its_socket_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    // Asked twice at first, since an engine may have no word that stays.
    let sites = engine(folder.path(), |asked| if asked < 3 { "OLD" } else { "NEW" }.to_owned());
    let known: Vec<Site> = all(sites.as_ref()).await.unwrap();
    let runtime = RuntimeRef::new(RuntimeId::random(), "in-1".parse().unwrap());
    let error = must_be_reached(sites.as_ref(), &runtime, &known).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::RuntimeElsewhere);
    for words in ["OLD (reached then by unix://", "NEW answers at unix://", "--docker-host"] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    assert!(error.action.unwrap().contains("docker context use NAME"));
}
