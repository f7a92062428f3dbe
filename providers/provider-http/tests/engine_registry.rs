//! An image of the real Docker goes to a registry by our client and comes back by the real Docker: with the registry program of the
//! distribution project, and with that of these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::{Login, Told};
use provider_http::registry::Registry;
use sim_registry::{Options, Scheme};

const USER: &str = "ada";
const PASSWORD: &str = "correct horse";
/// Of the password, as the registry program wants it.
const HASH: &str = "$2b$04$7itkpjzTvk/K.4SnfxGWZu.jmCpTM3w5Iu7EMPfV154ObtufXkzuu";

fn docker(config: &Path, words: &[&str]) -> String {
    let mut command = Command::new("docker");
    let output = command.arg("--config").arg(config).args(words).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The program, on a free port of loopback; it ends with this.
struct Program(Child, String);

impl Program {
    fn start(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        std::fs::write(folder.join("htpasswd"), format!("{USER}:{HASH}\n")).unwrap();
        let (passwords, images) = (folder.join("htpasswd"), folder.join("images"));
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            images.display(),
            passwords.display()
        );
        std::fs::write(folder.join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve".as_ref(), folder.join("config.yml").as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is not installed: `apt-get install docker-registry`, as `cargo xtask test` does");
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            std::thread::yield_now();
        }
        Self(child, address)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is pushed under this host's name is what Docker pulls from there.
async fn goes_there_and_comes_back(host: String) {
    let folder = tempfile::tempdir().unwrap();
    let (config, archive) = (folder.path().join("docker"), folder.path().join("image.tar"));
    let name = format!("{host}/team/app:1");
    std::fs::write(folder.path().join("one"), &name).unwrap();
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY one /one\nCOPY one /two\n").unwrap();
    docker(&config, &["build", "-q", "-t", &name, &folder.path().display().to_string()]);
    let layers = || docker(&config, &["image", "inspect", "-f", "{{.RootFS.Layers}}", &name]);
    let before = layers();
    docker(&config, &["save", "-o", &archive.display().to_string(), &name]);
    docker(&config, &["image", "rm", "-f", &name]);

    let login = |password: &str| Login::Password { username: USER.to_owned(), password: password.to_owned() };
    let wrong = Registry::of(&name, Some(&login("wrong"))).unwrap();
    let refused = wrong.push(&name, &archive, &Told::nobody()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::CredentialsRejected, "{refused}");
    let stranger = Registry::of(&name, None).unwrap();
    assert_eq!(stranger.look(&name).await.unwrap_err().code, ErrorCode::ImageMissing);

    let registry = Registry::of(&name, Some(&login(PASSWORD))).unwrap();
    assert_eq!(registry.look(&name).await.unwrap_err().code, ErrorCode::ImageMissing);
    let pushed = registry.push(&name, &archive, &Told::nobody()).await.unwrap();
    let found = registry.look(&name).await.unwrap();
    assert_eq!(pushed.exact(), format!("{host}/team/app@{}", found.digest));
    assert_eq!(
        (pushed.architecture.as_deref(), found.architectures),
        (Some("amd64"), vec!["amd64".to_owned()])
    );
    assert_eq!(
        registry.push(&name, &archive, &Told::nobody()).await.unwrap(),
        pushed,
        "the same is the same"
    );

    docker(&config, &["login", &host, "-u", USER, "-p", PASSWORD]);
    docker(&config, &["pull", "-q", &name]);
    assert_eq!(layers(), before);
    docker(&config, &["image", "rm", "-f", &name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_to_the_registry_program_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    goes_there_and_comes_back(program.1.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_to_the_registry_of_tests_and_comes_back_in_both_ways_to_log_in() {
    for scheme in [Scheme::Basic, Scheme::Bearer] {
        let registry = sim_registry::Registry::start(Options::private(scheme, USER, PASSWORD)).await.unwrap();
        goes_there_and_comes_back(registry.host()).await;
    }
}
