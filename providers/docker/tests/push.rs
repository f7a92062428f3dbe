//! What is sent to which host, and what is not, against sockets that answer as engines do and remember what they were given.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use contracts::workspace::Image;
use contracts::{ErrorCode, RuntimeId};
use provider_api::conformance::empty_archive;
use provider_api::{BootFile, BootSource, Copied, NoLogins, Provider as _, Result, Settings, Told};
use provider_docker::{DockerConfig, DockerEnv, DockerProvider, SETTINGS};
use provider_kit::archive::Archive;
use serde_json::json;
use tokio::net::UnixListener;

struct NoFiles;

#[async_trait]
impl BootSource for NoFiles {
    async fn boot_files(&self, _: &RuntimeId) -> Result<Vec<BootFile>> {
        Ok(Vec::new())
    }
}

/// An engine that keeps images: their names, and how large the archives were.
#[derive(Default)]
struct Engine {
    architecture: &'static str,
    /// Names and ids to ids.
    images: BTreeMap<String, String>,
    loads: Vec<usize>,
    /// What it answers to a load, where it refuses.
    refuses: Option<&'static str>,
}

type Shared = Arc<Mutex<Engine>>;

/// An image's id: the digest of its configuration, as engines with a store of their own have it.
async fn id_of(archive: &Path) -> String {
    let config = Archive::open(archive.to_owned()).await.unwrap().config;
    let hex: String = digest(&SHA256, &config).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

async fn answer(State(engine): State<Shared>, request: Request) -> Response {
    let uri = request.uri().clone();
    // Without the version that a client asks with.
    let path =
        uri.path().strip_prefix("/v1.").and_then(|rest| rest.split_once('/')).map_or(uri.path(), |it| it.1);
    let path = path.trim_start_matches('/').replace("%3A", ":").replace("%2F", "/");
    let none = || (http(404), axum::Json(json!({"message": "No such image"}))).into_response();
    if path == "version" {
        return axum::Json(json!({"ApiVersion": "1.44", "MinAPIVersion": "1.24"})).into_response();
    }
    if path == "info" {
        let architecture = engine.lock().unwrap().architecture;
        return axum::Json(json!({"ID": "e", "Architecture": architecture})).into_response();
    }
    if path.starts_with("distribution/") {
        return std::future::pending().await;
    }
    if path == "images/load" {
        let archive = to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &archive).unwrap();
        let id = id_of(file.path()).await;
        let mut engine = engine.lock().unwrap();
        engine.loads.push(archive.len());
        if let Some(why) = engine.refuses {
            return Body::from(json!({"errorDetail": {"message": why}, "error": why}).to_string())
                .into_response();
        }
        engine.images.insert(id.clone(), id.clone());
        return Body::from(json!({"stream": format!("Loaded image ID: {id}\n")}).to_string()).into_response();
    }
    let mut engine = engine.lock().unwrap();
    let Some(path) = path.strip_prefix("images/") else { return none() };
    if let Some(id) = path.strip_suffix("/tag") {
        let query = uri.query().unwrap_or_default().replace("%2F", "/");
        let of = |key: &str| {
            query.split('&').find_map(|part| part.strip_prefix(&format!("{key}="))).unwrap().to_owned()
        };
        let name = format!("{}:{}", of("repo"), of("tag"));
        engine.images.insert(name, id.to_owned());
        return http(201).into_response();
    }
    let name = path.strip_suffix("/json").unwrap_or(path);
    match engine.images.get(name) {
        Some(id) => axum::Json(json!({"Id": id, "Architecture": "amd64"})).into_response(),
        None => none(),
    }
}

fn http(status: u16) -> axum::http::StatusCode {
    axum::http::StatusCode::from_u16(status).unwrap()
}

struct World {
    folder: tempfile::TempDir,
    engines: Vec<Shared>,
    provider: DockerProvider,
}

/// One host for each, of these processors.
async fn world(hosts: &[&'static str]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let (mut engines, mut named) = (Vec::new(), Vec::new());
    for (at, architecture) in hosts.iter().enumerate() {
        let engine = Shared::default();
        engine.lock().unwrap().architecture = architecture;
        let socket = folder.path().join(format!("{at}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let router = Router::new().fallback(answer).with_state(engine.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        engines.push(engine);
        named.push(format!("h{at}=unix://{}", socket.display()));
    }
    let hosts = named.join(",");
    let var = |name: &str| (name == "PILOT_DOCKER_HOSTS").then(|| hosts.clone());
    let provider = DockerProvider::new(DockerConfig {
        host: None,
        env: DockerEnv::default(),
        settings: Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap(),
        image: "none:1".to_owned(),
        boot: Arc::new(NoFiles),
        logins: Arc::new(NoLogins),
        publish: std::net::Ipv4Addr::LOCALHOST.into(),
        ports: None,
    });
    World { folder, engines, provider }
}

impl World {
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image> {
        self.provider.image_store().unwrap().push(name, archive, told).await
    }

    fn loads(&self) -> Vec<usize> {
        self.engines.iter().map(|engine| engine.lock().unwrap().loads.len()).collect()
    }

    /// An archive with these names in it.
    fn named(&self, names: &[&str]) -> PathBuf {
        let path = self.folder.path().join("named.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        let list = json!([{"Config": "c.json", "Layers": [], "RepoTags": names}]);
        for (name, content) in [("c.json", json!({"architecture": "amd64"})), ("manifest.json", list)] {
            let (content, mut header) = (content.to_string(), tar::Header::new_gnu());
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap();
        path
    }
}

#[tokio::test]
async fn every_host_that_can_run_it_has_it_under_one_id_and_is_sent_it_once() {
    let world = world(&["x86_64", "aarch64", "x86_64"]).await;
    let archive = empty_archive("amd64");
    let size = std::fs::metadata(&archive).unwrap().len();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let told = Told::to(move |copied| hears.lock().unwrap().push(copied));
    let pushed = world.push("team/app:2", &archive, &told).await.unwrap();
    assert_eq!((pushed.reference.as_str(), pushed.exact()), ("team/app:2", id_of(&archive).await.as_str()));
    assert_eq!(world.loads(), [1, 0, 1]);
    let end = Copied { done: 2 * size, total: 2 * size };
    assert_eq!(heard.lock().unwrap().last(), Some(&end), "of both hosts together");

    // One host has lost it: it alone is sent it again.
    world.engines[2].lock().unwrap().images.clear();
    assert_eq!(world.push("team/app:2", &archive, &Told::nobody()).await.unwrap(), pushed);
    assert_eq!(world.loads(), [1, 0, 2]);
    let other = world.push("other:1", &archive, &Told::nobody()).await.unwrap();
    assert_eq!((other.exact(), world.loads()), (pushed.exact(), vec![1, 0, 2]), "another name sends nothing");
}

#[tokio::test]
async fn what_no_host_can_run_is_not_sent() {
    let world = world(&["x86_64", "x86_64"]).await;
    let error = world.push("app:1", &empty_archive("arm64"), &Told::nobody()).await.unwrap_err();
    assert!(error.code == ErrorCode::ImageUnusable && error.message.contains("host h0"), "{error}");
    assert_eq!(world.loads(), [0, 0]);
}

#[tokio::test]
async fn an_archive_moves_no_other_name_than_the_wanted_one() {
    let world = world(&["x86_64"]).await;
    for names in [vec!["pilot-instance:0.1.0"], vec!["app:1", "pilot-instance:0.1.0"]] {
        let error = world.push("app:1", &world.named(&names), &Told::nobody()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        let action = error.action.unwrap();
        assert!(error.message.contains("pilot-instance:0.1.0") && action.contains("by its id"));
        // As any of several it would be refused again.
        assert_eq!(action.contains("or push it as"), names.len() == 1, "{action}");
    }
    assert_eq!(world.loads(), [0]);
    world.push("app:1", &world.named(&["app:1"]), &Told::nobody()).await.unwrap();
    assert_eq!(world.loads(), [1]);
}

#[tokio::test]
async fn what_the_engine_says_of_a_load_is_told_with_the_host() {
    let world = world(&["x86_64"]).await;
    world.engines[0].lock().unwrap().refuses = Some("no space left on device");
    let error = world.push("app:1", &empty_archive("amd64"), &Told::nobody()).await.unwrap_err();
    assert!(error.message.contains("host h0") && error.message.contains("no space left"), "{error}");
    assert!(!world.engines[0].lock().unwrap().images.contains_key("app:1"));
    for damage in [
        "invalid diffID for layer 0: expected \"sha256:1b\", got \"sha256:2c\"",
        "failed commit on ref \"layer-sha256:1b\": unexpected commit digest sha256:2c, expected sha256:1b",
    ] {
        world.engines[0].lock().unwrap().refuses = Some(damage);
        let error = world.push("app:1", &empty_archive("amd64"), &Told::nobody()).await.unwrap_err();
        assert!(error.code == ErrorCode::BadRequest && error.message.contains(damage), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_lets_the_engine_wait_is_named_before_who_asks_has_gone() {
    let world = world(&["x86_64"]).await;
    let images = world.provider.images().unwrap();
    let began = tokio::time::Instant::now();
    let error = images.resolve("127.0.0.1:7122/hang/app:1").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnreachable, "{error}");
    assert!(error.message.contains("its registry does not answer"), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(25));
}
