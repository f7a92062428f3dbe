//! Over a connection of its own, with a module that takes images and one that never ends.

use std::net::SocketAddr;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path as UrlPath, Query};
use axum::http::HeaderMap;
use axum::middleware::from_fn;
use axum::routing::post;
use contracts::image::PushEvent;
use contracts::workspace::Image;
use provider_api::conformance::{empty_archive, eventually};
use provider_api::{
    BootFile, BootSource, Declared, Description, Images, Lifecycle, Resource, RuntimeSpec, Setting, Settings,
};
use provider_fake::{Cloud, FakeProvider, SETTINGS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::http::images::answer;
use crate::http::observe;

struct NoBoot;

#[async_trait]
impl BootSource for NoBoot {
    async fn boot_files(&self, _: &contracts::RuntimeId) -> provider_api::Result<Vec<BootFile>> {
        Ok(Vec::new())
    }
}

/// A module of another name, with or without a place for images.
struct Other {
    fake: Arc<dyn Provider>,
    name: &'static str,
    takes_images: bool,
}

/// Takes an image and never says so.
struct Endless;

#[async_trait]
impl ImageStore for Endless {
    async fn push(&self, _: &str, _: &Path, _: &Told) -> provider_api::Result<Image> {
        std::future::pending().await
    }
}

#[async_trait]
impl Provider for Other {
    fn describe(&self) -> Description {
        let settings: Vec<Setting> = Vec::new();
        Description { name: self.name.parse().unwrap(), settings, ..self.fake.describe() }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> provider_api::Result<Declared> {
        self.fake.declare(runtime)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        self.fake.resources()
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        self.fake.lifecycle()
    }

    async fn ready(&self) -> provider_api::Result<()> {
        Ok(())
    }

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        self.takes_images.then(|| Arc::new(Endless) as Arc<dyn ImageStore>)
    }
}

struct World {
    folder: TempDir,
    images: Arc<dyn Images>,
    address: SocketAddr,
}

async fn world(limit: u64, free: fn(&Path) -> u64) -> World {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::read(&"fake".parse().unwrap(), SETTINGS, |_| None).unwrap();
    let fake: Arc<dyn Provider> = Arc::new(FakeProvider::on(Cloud::default(), &settings, Arc::new(NoBoot)));
    let other = |name, takes_images| -> Arc<dyn Provider> {
        Arc::new(Other { fake: fake.clone(), name, takes_images })
    };
    let providers = Providers::of([fake.clone(), other("endless", true), other("closed", false)]);
    let layout = Layout { root: folder.path().to_path_buf() };
    let pushes = Arc::new(Pushes { free, ..Pushes::open(&layout, limit, providers).unwrap() });
    let handler = move |UrlPath(provider): UrlPath<String>,
                        Query(query): Query<Vec<(String, String)>>,
                        headers: HeaderMap,
                        body: Body| async move {
        let name = query.first().map(|(_, name)| name.as_str());
        answer(&pushes, &provider, name, &headers, body).await
    };
    let router = Router::new().route("/{provider}", post(handler)).layer(from_fn(observe));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    World { folder, images: fake.images().unwrap(), address }
}

fn plenty(_: &Path) -> u64 {
    u64::MAX
}

const LIMIT: u64 = 1 << 20;

impl World {
    fn request(&self, provider: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
        let url = format!("http://{}/{provider}?name=team/app:2", self.address);
        reqwest::Client::builder().no_proxy().build().unwrap().post(url).body(body)
    }

    async fn refused(&self, provider: &str, body: Vec<u8>) -> Problem {
        let answer = self.request(provider, body).send().await.unwrap();
        assert!(!answer.status().is_success());
        answer.json().await.unwrap()
    }

    fn spooled(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("spool")).unwrap().count()
    }
}

fn archive() -> Vec<u8> {
    std::fs::read(empty_archive("amd64")).unwrap()
}

#[tokio::test]
async fn an_archive_becomes_an_image_and_nothing_of_it_stays() {
    let world = world(LIMIT, plenty).await;
    let pushed: Pushed = world.request("fake", archive()).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (pushed.image.reference.as_str(), pushed.setting.as_str()),
        ("team/app:2", "PILOT_FAKE_IMAGE")
    );
    let found = world.images.resolve(&pushed.exact).await.unwrap();
    assert_eq!(found.exact(), pushed.exact);
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn an_image_without_a_name_has_the_one_of_its_archive() {
    let world = world(LIMIT, plenty).await;
    let url = format!("http://{}/fake", world.address);
    let push = async |body: Vec<u8>| reqwest::Client::new().post(&url).body(body).send().await.unwrap();
    let problem: Problem = push(archive()).await.json().await.unwrap();
    assert!(problem.code == ErrorCode::BadRequest && problem.detail.contains("no name"), "{problem}");

    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("c.json", r#"{"architecture": "amd64"}"#),
        ("manifest.json", r#"[{"Config": "c.json", "Layers": [], "RepoTags": ["team/other:3"]}]"#),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let pushed: Pushed = push(tar.into_inner().unwrap()).await.json().await.unwrap();
    assert_eq!(pushed.image.reference, "team/other:3");
}

#[tokio::test]
async fn who_wants_a_stream_is_told_the_end_in_it() {
    let world = world(LIMIT, plenty).await;
    for (body, is_good) in [(archive(), true), (b"no archive".to_vec(), false)] {
        let request = world.request("fake", body).header("accept", "text/event-stream");
        let text = request.send().await.unwrap().text().await.unwrap();
        let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
        match serde_json::from_str(last).unwrap() {
            PushEvent::Pushed(pushed) => assert!(is_good && pushed.exact.starts_with("team/app:2@")),
            PushEvent::Failed { problem } => {
                assert!(!is_good && problem.code == ErrorCode::BadRequest, "{problem}")
            }
            PushEvent::Progress { .. } => panic!("it is the last: {text}"),
        }
        assert_eq!(world.spooled(), 0);
    }
}

#[tokio::test]
async fn what_is_too_large_or_has_no_room_is_refused_and_leaves_nothing() {
    let world = world(LIMIT, plenty).await;
    let large = vec![0; LIMIT as usize + 1];
    assert_eq!(world.refused("fake", large.clone()).await.code, ErrorCode::TooLarge);
    // Without a length it is found on the way.
    let chunks = large.chunks(4096).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let answer = world.request("fake", Vec::new()).body(body).send().await.unwrap();
    assert_eq!(answer.json::<Problem>().await.unwrap().code, ErrorCode::TooLarge);
    assert_eq!(world.spooled(), 0);

    let narrow = self::world(LIMIT, |_| RESERVE).await;
    let problem = narrow.refused("fake", archive()).await;
    assert!(problem.code == ErrorCode::StoreFull && narrow.spooled() == 0, "{problem}");
}

#[tokio::test]
async fn who_cannot_take_images_is_not_sent_one() {
    let world = world(LIMIT, plenty).await;
    assert_eq!(world.refused("closed", archive()).await.code, ErrorCode::CapabilityUnsupported);
    assert_eq!(world.refused("none", archive()).await.code, ErrorCode::UnknownProvider);
    let url = format!("http://{}/fake?name=app", world.address);
    let answer = reqwest::Client::new().post(url).body(archive()).send().await.unwrap();
    assert_eq!(answer.json::<Problem>().await.unwrap().code, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_push_ends_with_its_caller_in_each_of_its_parts() {
    let world = world(LIMIT, plenty).await;
    let body = archive();
    let head = |accept: &str| {
        format!(
            "POST /endless?name=app:1 HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    };
    // Within the archive, while it is pushed, and while the push is told.
    for (accept, sent) in [("*/*", 600), ("*/*", body.len()), ("text/event-stream", body.len())] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(head(accept).as_bytes()).await.unwrap();
        stream.write_all(&body[..sent]).await.unwrap();
        eventually("it is spooled", async || world.spooled() == 1).await;
        if accept != "*/*" {
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
        }
        drop(stream);
        eventually("nothing of it stays", async || world.spooled() == 0).await;
    }
}

#[tokio::test]
async fn what_a_dead_server_has_left_is_removed_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { root: folder.path().to_path_buf() };
    std::fs::create_dir_all(layout.spool().join("push-1")).unwrap();
    std::fs::write(layout.spool().join("push-1/image.tar"), "left").unwrap();
    Pushes::open(&layout, LIMIT, Providers::of([])).unwrap();
    assert_eq!(std::fs::read_dir(layout.spool()).unwrap().count(), 0);
}
