//! One running `pilot-instance` in a world of its own: a temporary home, free ports, a fresh key pair.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use contracts::assertion::Surface;
use contracts::identity::{HealthStatus, RuntimeHealth};
use reqwest::{Method, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};

use crate::signer::Signer;

pub const RUNTIME_PREFIX: &str = "rt-test";

pub struct Instance {
    pub home: tempfile::TempDir,
    pub runtime: String,
    pub port: u16,
    pub opencode_port: u16,
    process: Child,
    signer: Signer,
    client: reqwest::Client,
}

/// What an instance is started with; everything else has a working default.
#[derive(Default)]
pub struct Setup {
    pub opencode_bin: PathBuf,
    pub port: Option<u16>,
    pub arguments: Vec<String>,
    pub opencode_config: Option<serde_json::Value>,
    pub without_key: bool,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
    /// In a PID namespace of its own, where the processes that started it have no number.
    pub own_pid_namespace: bool,
    /// As by somebody who goes home and lets it run.
    pub nohup: bool,
}

impl Setup {
    pub fn with(binary: impl Into<PathBuf>) -> Self {
        Self { opencode_bin: binary.into(), ..Self::default() }
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn start(self) -> Instance {
        let home = tempfile::tempdir().unwrap();
        let signer = Signer::new();
        let write = |path: &str, content: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        if !self.without_key {
            write(".config/pilot/gateway-key", signer.public());
        }
        write(".config/pilot/label", "demo\n");
        if let Some(config) = &self.opencode_config {
            write(".config/opencode/opencode.json", &config.to_string());
        }
        let (port, opencode_port) = (self.port.unwrap_or_else(free_port), free_port());
        let runtime = format!("{RUNTIME_PREFIX}-{port}-{}", std::process::id());
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let binary = env!("CARGO_BIN_EXE_pilot-instance");
        let mut command = match self.own_pid_namespace {
            false if self.nohup => {
                let mut nohup = Command::new("nohup");
                nohup.arg(binary);
                nohup
            }
            false => Command::new(binary),
            true => {
                let mut unshare = Command::new("unshare");
                if !rustix::process::geteuid().is_root() {
                    unshare.args(["--user", "--map-root-user"]);
                }
                unshare.args(["--pid", "--fork", binary]);
                unshare
            }
        };
        let process = command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--opencode-port", &opencode_port.to_string()])
            .arg("--opencode-bin")
            .arg(&self.opencode_bin)
            .args(&self.arguments)
            .env("HOME", home.path())
            .env("PILOT_RUNTIME", &runtime)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        // Never through a proxy of the machine that runs the tests.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Instance { home, runtime, port, opencode_port, process, signer, client }
    }
}

impl Instance {
    pub fn workspace(&self) -> PathBuf {
        self.home.path().join("workspace")
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// A request without an assertion.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://127.0.0.1:{}{path}", self.port))
            .timeout(Duration::from_secs(60))
    }

    /// A request as the gateway sends it.
    pub fn request(&self, surface: Surface, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header(contracts::headers::ASSERTION, self.token(&self.runtime, surface))
    }

    pub fn token(&self, runtime: &str, surface: Surface) -> String {
        self.signer.token(runtime, surface)
    }

    pub async fn api(&self, method: Method, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        let mut request = self.request(Surface::Api, method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
    }

    /// `None` while nothing listens.
    pub async fn health(&self) -> Option<RuntimeHealth> {
        self.bare(Method::GET, "/health").send().await.ok()?.json().await.ok()
    }

    pub async fn wait_for(&self, status: HealthStatus) -> RuntimeHealth {
        let what = format!("health {status:?}");
        let health = eventually(&what, Duration::from_secs(60), async || {
            self.health().await.filter(|health| health.status == status)
        });
        match health.await {
            Some(health) => health,
            None => panic!("no {what}; it is {:?}; log:\n{}", self.health().await, self.log()),
        }
    }

    /// To the instance itself, also when something else started it for us.
    pub fn signal(&self, signal: Signal) {
        for pid in self.labelled().into_iter().filter(|pid| command_line(*pid).contains("pilot-instance")) {
            kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        }
    }

    /// How the instance ended, if it did within the limit.
    pub async fn wait_for_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Every living process that carries this instance's label.
    pub fn labelled(&self) -> Vec<i32> {
        let label = format!("PILOT_RUNTIME={}", self.runtime);
        let carries = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment.split(|byte| *byte == 0).any(|entry| entry == label.as_bytes())
            })
        };
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(carries)
            .collect()
    }

    /// The OpenCode that this instance runs.
    pub fn opencode_pid(&self) -> Option<i32> {
        let me = self.pid();
        self.labelled().into_iter().find(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
            parent == Some(me) && command_line(*pid).contains("serve")
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill_process(Pid::from_raw(self.pid()).unwrap(), Signal::TERM);
            let began = Instant::now();
            while self.process.try_wait().is_ok_and(|status| status.is_none())
                && began.elapsed().as_secs() < 10
            {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        // Whatever a failed test left.
        for pid in self.labelled() {
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

/// The first `Some` within the limit.
pub async fn eventually<T>(
    _what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return Some(found);
        }
        if began.elapsed() > limit {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An executable script that stands in for OpenCode.
pub fn script(folder: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    // Copied into place by another process: a test that forks right now would otherwise inherit the
    // file open for writing, and the kernel refuses to run such a file.
    let (draft, path) = (folder.join("draft"), folder.join("opencode"));
    std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new("cp").arg("-p").arg(&draft).arg(&path).status().unwrap().success());
    path
}

fn command_line(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}
