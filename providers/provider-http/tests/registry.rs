//! Looks at a registry and pushes to it: what goes wrong, and what a second push does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use contracts::ErrorCode;
use provider_api::{Copied, Told};
use provider_http::registry::Registry;
use serde_json::json;
use sim_registry::{Fault, Form, Options};
use std::sync::{Arc, Mutex};

/// As `docker save` of before version 25 writes it, with a layer that is there twice.
fn archive(folder: &Path, images: usize) -> PathBuf {
    let path = folder.join("image.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    };
    add("one/layer.tar", &[7; 3000]);
    let mut listed = Vec::new();
    for (each, architecture) in ["arm64", "amd64"].iter().enumerate().take(images) {
        let config = json!({"architecture": architecture, "os": "linux", "rootfs": {}});
        add(&format!("{each}.json"), config.to_string().as_bytes());
        listed.push(json!({"Config": format!("{each}.json"), "Layers": ["one/layer.tar", "two/layer.tar"]}));
    }
    add("manifest.json", json!(listed).to_string().as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "two/layer.tar", "../one/layer.tar").unwrap();
    tar.into_inner().unwrap();
    path
}

#[tokio::test]
async fn a_push_that_was_cut_off_changes_no_tag_and_goes_on_where_it_was() {
    let sim = sim_registry::Registry::start(Options::open()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 1);
    let name = format!("{}/team/app:1", sim.host());
    let registry = Registry::of(&name, None).unwrap();
    sim.order(Fault::LosesUpload);
    registry.push(&name, &archive, &Told::nobody()).await.unwrap_err();
    assert_eq!(sim.resolve("team/app", "1"), None);

    let steps = Arc::new(Mutex::new(Vec::new()));
    let heard = steps.clone();
    let told = Told::to(move |step| heard.lock().unwrap().push(step));
    let pushed = registry.push(&name, &archive, &told).await.unwrap();
    let steps = steps.lock().unwrap().clone();
    assert_eq!((steps[0].done, steps.last().unwrap()), (0, &Copied { done: 6000, total: 6000 }));
    assert_eq!(pushed.architecture.as_deref(), Some("arm64"));
    let sent = |journal: Vec<String>| journal.iter().filter(|asked| asked.starts_with("POST")).count();
    let before = sent(sim.journal());
    assert_eq!(registry.push(&name, &archive, &Told::nobody()).await.unwrap(), pushed);
    assert_eq!(sent(sim.journal()), before, "what is there is not sent again");
}

#[tokio::test]
async fn a_look_tells_the_architectures_of_an_image_and_of_an_index() {
    let sim = sim_registry::Registry::start(Options::open()).await.unwrap();
    let oci = sim.seed_as(Form::Oci, "app", "arm", "arm64");
    let docker = sim.seed_as(Form::Docker, "app", "amd", "amd64");
    let index = sim.seed_index("app", "all", &[("amd64", &docker), ("arm64", &oci), ("unknown", &oci)]);
    for (tag, digest, architectures) in
        [("arm", oci, vec!["arm64"]), ("amd", docker, vec!["amd64"]), ("all", index, vec!["amd64", "arm64"])]
    {
        let name = format!("{}/app:{tag}", sim.host());
        let found = Registry::of(&name, None).unwrap().look(&name).await.unwrap();
        assert_eq!(
            (found.digest, found.architectures),
            (digest, architectures.iter().map(ToString::to_string).collect())
        );
    }
}

#[tokio::test]
async fn an_image_of_another_system_says_so_and_what_is_no_image_is_refused() {
    let sim = sim_registry::Registry::start(Options::open()).await.unwrap();
    let windows = sim.seed_as(Form::Oci, "app", "windows", "windows/amd64");
    sim.seed_as(Form::Chart, "app", "chart", "amd64");
    let name = format!("{}/app:windows", sim.host());
    let registry = Registry::of(&name, None).unwrap();
    let found = registry.look(&name).await.unwrap();
    assert_eq!((found.digest, found.architectures), (windows, vec!["windows/amd64".to_owned()]));
    let error = registry.look(&format!("{}/app:chart", sim.host())).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageUnusable, "{error}");
}

#[tokio::test]
async fn what_goes_wrong_has_its_code() {
    let sim = sim_registry::Registry::start(Options::open()).await.unwrap();
    sim.seed("app", "1", "amd64");
    let name = format!("{}/app:1", sim.host());
    let registry = Registry::of(&name, None).unwrap();
    for (status, code) in [(503, ErrorCode::ProviderUnreachable), (429, ErrorCode::ProviderRateLimited)] {
        sim.order(Fault::Status(status));
        assert_eq!(registry.look(&name).await.unwrap_err().code, code, "{status}");
        sim.heal();
    }
    let none = format!("{}/app:none", sim.host());
    assert_eq!(registry.look(&none).await.unwrap_err().code, ErrorCode::ImageMissing);
    let nowhere = "127.0.0.1:1/app:1";
    let error = Registry::of(nowhere, None).unwrap().look(nowhere).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnreachable, "{error}");

    let folder = tempfile::tempdir().unwrap();
    let two = archive(folder.path(), 2);
    let error = registry.push(&name, &two, &Told::nobody()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
    std::fs::write(&two, "no archive").unwrap();
    assert_eq!(registry.push(&name, &two, &Told::nobody()).await.unwrap_err().code, ErrorCode::BadRequest);
}

/// An image of one layer, as `docker save` of today writes it.
fn of_layer(folder: &Path, content: &[u8], digest: &str, diff_id: &str) -> PathBuf {
    let name = format!("blobs/sha256/{digest}");
    let config = json!({"architecture": "amd64", "rootfs": {"diff_ids": [format!("sha256:{diff_id}")]}});
    let list = json!([{"Config": "c.json", "Layers": [name]}]);
    tarred(
        folder,
        &[
            (&name, content),
            ("c.json", config.to_string().as_bytes()),
            ("manifest.json", list.to_string().as_bytes()),
        ],
    )
}

fn tarred(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join("of_layer.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap();
    path
}

fn hash(content: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_archive_says_is_refused_by_its_name_and_nothing_is_tagged() {
    let sim = sim_registry::Registry::start(Options::open()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}/app:1", sim.host());
    let registry = Registry::of(&name, None).unwrap();
    let plain = [7; 3000];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &plain).unwrap();
    let packed = packed.finish().unwrap();
    let (other, cut) = (hash(b"another"), &packed[..packed.len() - 9]);
    for (content, digest, diff_id) in [
        (plain.as_slice(), &other, &hash(&plain)),
        (&plain, &hash(&plain), &other),
        (&packed, &other, &hash(&plain)),
        (&packed, &hash(&packed), &other),
        (cut, &hash(cut), &hash(&plain)),
    ] {
        let archive = of_layer(folder.path(), content, digest, diff_id);
        let error = registry.push(&name, &archive, &Told::nobody()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
        assert!(error.message.contains(&format!("blobs/sha256/{digest}")), "{error}");
        assert_eq!(sim.resolve("app", "1"), None);
    }
    for content in [plain.as_slice(), &packed] {
        let archive = of_layer(folder.path(), content, &hash(content), &hash(&plain));
        registry.push(&name, &archive, &Told::nobody()).await.unwrap();
        let layer = sim.journal().iter().any(|asked| asked.contains(&hash(&packed)));
        assert_eq!(layer, content == packed, "what is compressed is sent as it is");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_accepts_and_is_silent_is_given_up_before_who_asks_has_gone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("{}/hang/app:1", listener.local_addr().unwrap());
    let began = tokio::time::Instant::now();
    let error = Registry::of(&name, None).unwrap().look(&name).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnreachable, "{error}");
    assert!(error.message.contains("its registry does not answer"), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(25));
}

/// An archive whose layer has gibibytes of nothing in it, which take no room and much time.
fn endless(folder: &Path) -> PathBuf {
    const SIZE: u64 = 4 << 30;
    let path = of_layer(folder, &[], "0", "0");
    let short = std::fs::read(&path).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("blobs/sha256/0").unwrap();
    header.set_size(SIZE);
    header.set_cksum();
    // The empty layer was one header.
    let rest = &short[512..];
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, header.as_bytes()).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Current(SIZE as i64)).unwrap();
    std::io::Write::write_all(&mut file, rest).unwrap();
    path
}

#[tokio::test]
async fn a_push_that_nobody_waits_for_ends_with_what_it_had_begun() {
    let sim = sim_registry::Registry::start(Options::open()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}/app:1", sim.host());
    let registry = Registry::of(&name, None).unwrap();
    let archive = endless(folder.path());
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let pushing = tokio::spawn(async move { registry.push(&name, &archive, &Told::nobody()).await });
    eventually("a layer is compressed", || files() == 2).await;
    pushing.abort();
    eventually("what was begun is gone", || files() == 1).await;
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
