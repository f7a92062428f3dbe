//! A second Docker engine of a test's own: own data, a bridge, a socket and a TLS port. Ends with the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters as query;
use futures_util::StreamExt;
use provider_api::RuntimeRef;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

pub struct SecondEngine {
    folder: tempfile::TempDir,
    port: u16,
    config: &'static str,
    /// In network and mount namespaces of its own, reached by its socket alone.
    apart: bool,
    daemon: Option<Child>,
}

/// gVisor with the host's network stack: Debian's gVisor is of 2022 and takes every network namespace of a
/// newer kernel for the first one, in which it refuses to use its own.
pub const WITH_GVISOR: &str =
    r#"{"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=host"]}}}"#;

impl SecondEngine {
    pub async fn start() -> Self {
        Self::configured("{}").await
    }

    /// One that shares neither interfaces nor addresses nor rules with this machine, for tests that call no instance.
    pub async fn apart() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = Self { folder, port: 0, config: "{}", apart: true, daemon: None };
        engine.resume().await;
        engine
    }

    /// With a configuration file of this text.
    pub async fn configured(config: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, subject) in [("good", "127.0.0.1"), ("strange", "127.0.0.1")] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            certificates(&path, subject);
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut engine = Self { folder, port, config, apart: false, daemon: None };
        // An engine without a bridge, or with address pools of its own, removes `docker0`: the first engine's.
        let [high, low] = port.to_be_bytes();
        let address = format!("10.250.{high}.{}/28", low & 0xf0 | 1);
        ip(&["link", "add", &engine.bridge(), "type", "bridge"]);
        ip(&["address", "add", &address, "dev", &engine.bridge()]);
        engine.resume().await;
        engine
    }

    /// Starts the daemon, on the same data.
    pub async fn resume(&mut self) {
        let at = |part: &str| self.folder.path().join(part);
        let log = std::fs::File::create(at("log")).unwrap();
        std::fs::write(at("daemon.json"), self.config).unwrap();
        let mut command = self.program();
        command
            .arg("--config-file")
            .arg(at("daemon.json"))
            .args(["--iptables=false", "--ip6tables=false", "--ip-forward=false"])
            .arg(format!("--host={}", self.socket()))
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if !self.apart {
            command
                .arg(format!("--bridge={}", self.bridge()))
                .arg(format!("--host=tcp://{}", self.authority()))
                .arg("--tlsverify")
                .arg("--tlscacert")
                .arg(at("good/ca.pem"))
                .arg("--tlscert")
                .arg(at("good/cert.pem"))
                .arg("--tlskey")
                .arg(at("good/key.pem"));
        }
        self.daemon = Some(command.spawn().expect("these tests start a second `dockerd`, as root"));
        let deadline = Instant::now() + Duration::from_secs(40);
        while !self.answers().await {
            let log = || std::fs::read_to_string(at("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the second engine does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn program(&self) -> Command {
        if !self.apart {
            return Command::new("dockerd");
        }
        let mut command = Command::new("unshare");
        // What the engine calls itself is kept there, and would be the first engine's.
        let inside =
            r#"ip link set lo up && mount --bind "$0" /etc/docker && exec dockerd --bridge=none "$@""#;
        let own = self.folder.path().join("etc");
        std::fs::create_dir_all(&own).unwrap();
        command.args(["--net", "--mount", "--", "sh", "-c", inside]).arg(own);
        command
    }

    async fn answers(&self) -> bool {
        match Docker::connect_with_host(&self.socket()) {
            Ok(docker) => docker.ping().await.is_ok(),
            Err(_) => false,
        }
    }

    pub fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let _ = Command::new("kill").arg(daemon.id().to_string()).status();
        let _ = daemon.wait();
        let _ = std::fs::remove_file(self.folder.path().join("docker.sock"));
    }

    fn bridge(&self) -> String {
        format!("pilot-t{}", self.port)
    }

    pub fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn certificates(&self) -> String {
        self.folder.path().join("good").display().to_string()
    }

    /// From an authority that has the same name and another key, and trusting the engine's.
    pub fn strange_certificates(&self) -> String {
        let folder: PathBuf = self.folder.path().join("strange");
        std::fs::copy(self.folder.path().join("good/ca.pem"), folder.join("ca.pem")).unwrap();
        folder.display().to_string()
    }

    pub async fn docker(&self) -> Docker {
        Docker::connect_with_host(&self.socket()).unwrap().negotiate_version().await.unwrap()
    }

    /// An image without anything in it, which is enough where no container is started.
    pub fn name_image(&self, image: &str) {
        let mut import = Command::new("docker");
        import.arg("-H").arg(self.socket()).args(["import", "-", image]).stdout(Stdio::null());
        let mut import = import.stdin(Stdio::piped()).spawn().unwrap();
        // An archive of nothing.
        std::io::Write::write_all(&mut import.stdin.take().unwrap(), &[0; 1024]).unwrap();
        assert!(import.wait().unwrap().success(), "{image} is not imported");
    }

    /// Copies an image from another engine.
    pub async fn load(&self, from: &Docker, image: &str) {
        let mut archive = Vec::new();
        let mut export = from.export_image(image);
        while let Some(chunk) = export.next().await {
            archive.extend_from_slice(&chunk.unwrap());
        }
        let docker = self.docker().await;
        let options = query::ImportImageOptionsBuilder::default().build();
        let mut import = docker.import_image(options, bollard::body_full(archive.into()), None);
        while let Some(step) = import.next().await {
            step.unwrap();
        }
    }

    /// How many objects of this runtime it has.
    pub async fn count(&self, runtime: &RuntimeRef) -> usize {
        let docker = self.docker().await;
        let label = format!("pilot.runtime={}", runtime.runtime_id);
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let containers = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let networks = query::ListNetworksOptionsBuilder::default().filters(&filters).build();
        let volumes = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
        docker.list_containers(Some(containers)).await.unwrap().len()
            + docker.list_networks(Some(networks)).await.unwrap().len()
            + docker.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default().len()
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.empty();
            self.stop();
        }
        if !self.apart {
            ip(&["link", "delete", &self.bridge()]);
        }
    }
}

impl SecondEngine {
    fn empty(&self) {
        let cli = |words: &[&str]| {
            let output = Command::new("docker").arg("-H").arg(self.socket()).args(words).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        for (list, remove) in [
            (["ps", "-aq", "--no-trunc"].as_slice(), ["rm", "-fv"].as_slice()),
            (&["network", "ls", "-q", "--filter", "type=custom"], &["network", "rm"]),
        ] {
            for id in cli(list).split_whitespace() {
                cli(&[remove, &[id]].concat());
            }
        }
    }
}

fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).status();
    assert!(done.is_ok_and(|status| status.success()), "ip {words:?}");
}

fn certificates(folder: &Path, subject: &str) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
    params.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}
