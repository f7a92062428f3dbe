//! An SSH server of a test's own on loopback, with keys that nobody else has. Ends with the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SERVER: &str = "/usr/sbin/sshd";

pub struct SshServer {
    folder: tempfile::TempDir,
    pub port: u16,
    daemon: Child,
}

impl SshServer {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With these lines in its configuration.
    pub async fn with(lines: &str) -> Self {
        assert!(Path::new(SERVER).exists(), "no {SERVER}: `sudo apt-get install openssh-server`");
        let folder = tempfile::tempdir().unwrap();
        let at = |part: &str| folder.path().join(part).display().to_string();
        for key in ["host", "user"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]).status();
            assert!(made.unwrap().success());
        }
        std::fs::copy(at("user.pub"), at("authorized")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n{lines}",
            at("host"),
            at("authorized"),
        );
        std::fs::write(at("sshd_config"), config).unwrap();
        // The daemon wants this folder, wherever it is started.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let daemon = Command::new(SERVER)
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || std::fs::read_to_string(at("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "sshd does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { folder, port, daemon }
    }

    /// How often somebody logged in.
    pub fn logins(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        log.lines().filter(|line| line.contains("Accepted publickey")).count()
    }

    /// A client's configuration that knows the server's key, or knows none.
    pub fn config(&self, known: bool) -> String {
        let at = |part: &str| self.folder.path().join(part).display().to_string();
        let hosts = at(if known { "known" } else { "unknown" });
        let key = std::fs::read_to_string(at("host.pub")).unwrap();
        let line = if known { format!("[127.0.0.1]:{} {key}", self.port) } else { String::new() };
        std::fs::write(&hosts, line).unwrap();
        let file = at(if known { "client" } else { "stranger" });
        let text = format!(
            "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {hosts}\n  \
             GlobalKnownHostsFile /dev/null\n",
            at("user")
        );
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
