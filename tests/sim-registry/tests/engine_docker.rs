//! The real `docker` against this registry: what it takes for one, this is one. Docker speaks HTTP to registries on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use sim_registry::{Fault, Form, Options, Registry, Scheme};

/// Its logins are in a folder of their own.
fn docker(config: &Path, words: &[&str]) -> Output {
    let mut command = Command::new("docker");
    command.arg("--config").arg(config).args(words).stdin(Stdio::null()).output().expect("a docker command")
}

fn succeeds(config: &Path, words: &[&str]) -> String {
    let output = docker(config, words);
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn is_refused(config: &Path, words: &[&str]) -> String {
    let output = docker(config, words);
    assert!(!output.status.success(), "docker {words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An image of one small layer under this name; removed with all its names at the end.
struct Image<'a> {
    config: &'a Path,
    name: String,
}

impl<'a> Image<'a> {
    fn make(config: &'a Path, name: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Content of its own, so that no other test's image is this one.
        std::fs::write(folder.path().join("file"), &name).unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
        succeeds(config, &["build", "-q", "-t", &name, &folder.path().display().to_string()]);
        Self { config, name }
    }

    fn id(&self) -> String {
        succeeds(self.config, &["image", "inspect", "-f", "{{.Id}}", &self.name])
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        docker(self.config, &["image", "rm", "-f", &self.name]);
    }
}

async fn goes_there_and_back(scheme: Scheme) {
    let registry = Registry::start(Options::private(scheme, "ada", "correct horse")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let host = registry.host();
    let work = move |config: &Path| {
        let image = Image::make(config, format!("{host}/team/app:1"));
        let id = image.id();
        let refused = is_refused(config, &["push", &image.name]);
        let words = ["denied", "unauthorized", "no basic auth credentials"];
        assert!(words.iter().any(|word| refused.contains(word)), "{refused}");
        is_refused(config, &["login", &host, "-u", "ada", "-p", "wrong"]);
        succeeds(config, &["login", &host, "-u", "ada", "-p", "correct horse"]);
        succeeds(config, &["push", "-q", &image.name]);
        succeeds(config, &["image", "rm", &image.name]);
        succeeds(config, &["pull", "-q", &image.name]);
        assert_eq!(image.id(), id, "what comes back is what went there");
    };
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await.unwrap();
    assert!(registry.resolve("team/app", "1").is_some_and(|digest| digest.starts_with("sha256:")));
    let journal = registry.journal();
    assert!(
        journal.iter().any(|asked| asked.starts_with("PATCH /v2/team/app/blobs/uploads/")),
        "{journal:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls_with_a_login_for_a_token() {
    goes_there_and_back(Scheme::Bearer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls_with_a_login_in_each_request() {
    goes_there_and_back(Scheme::Basic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_what_was_seeded_and_believes_no_blob_that_is_another() {
    let registry = Registry::start(Options::open()).await.unwrap();
    let amd = registry.seed_as(Form::Oci, "app", "amd", "amd64");
    let arm = registry.seed("app", "arm", "arm64");
    registry.seed_index("app", "1", &[("amd64", &amd), ("arm64", &arm)]);
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}/app:1", registry.host());
    registry.order(Fault::CorruptsBlob);
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let image = Image { config: &path, name };
        let refused = is_refused(&path, &["pull", "-q", &image.name]);
        assert!(refused.contains("digest") || refused.contains("verification"), "{refused}");
        succeeds(&path, &["pull", "-q", &image.name]);
        let built_for = succeeds(&path, &["image", "inspect", "-f", "{{.Architecture}}", &image.name]);
        assert_eq!(built_for, "amd64", "of an index, that of this machine");
        let missing = is_refused(&path, &["pull", "-q", &image.name.replace(":1", ":2")]);
        assert!(missing.contains("not found") || missing.contains("manifest unknown"), "{missing}");
    })
    .await
    .unwrap();
}
