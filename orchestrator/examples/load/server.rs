//! A `pilot serve` of the benchmark's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    pub url: String,
    pub token: String,
    pub client: reqwest::Client,
    data: PathBuf,
    env: Vec<(&'static str, String)>,
    child: Child,
}

impl Server {
    pub async fn start(pilot: &Path, data: &Path, database: Option<&str>) -> Self {
        Self::start_with(
            pilot,
            data,
            database.map(|url| ("PILOT_DATABASE", url.to_owned())).into_iter().collect(),
        )
        .await
    }

    pub async fn start_with(pilot: &Path, data: &Path, env: Vec<(&'static str, String)>) -> Self {
        let child = spawn(pilot, data, &env);
        let mut server = Self {
            url: String::new(),
            token: String::new(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            data: data.to_owned(),
            env,
            child,
        };
        server.ready().await;
        server
    }

    /// On the same data folder.
    pub async fn again(&mut self, pilot: &Path) {
        self.child = spawn(pilot, &self.data, &self.env);
        self.ready().await;
    }

    /// Does not run what it accepts: its engine's socket has nobody behind it any more.
    pub fn hold_back(&self) {
        // The engine host is the server's child.
        let list = Command::new("ps").args(["-o", "pid=", "--ppid", &self.child.id().to_string()]).output();
        for pid in String::from_utf8_lossy(&list.unwrap().stdout).split_whitespace() {
            let _ = Command::new("kill").args(["-STOP", pid]).status();
        }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    pub fn rss_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Seconds of processor time so far, of the server alone.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }

    /// SIGTERM, and its end.
    pub fn end(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        self.child.wait().unwrap();
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(self.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < deadline, "the server is not ready");
            if self.find().is_some() && self.is_ready().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn find(&mut self) -> Option<()> {
        let endpoints = std::fs::read(self.data.join("endpoints.json")).ok()?;
        let endpoints: serde_json::Value = serde_json::from_slice(&endpoints).ok()?;
        self.url = endpoints["orchestrator"]["url"].as_str()?.trim_end_matches('/').to_owned();
        self.token = std::fs::read_to_string(self.data.join("secrets/admin-token")).ok()?.trim().to_owned();
        Some(())
    }

    async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(pilot: &Path, data: &Path, env: &[(&'static str, String)]) -> Child {
    let _ = std::fs::remove_file(data.join("endpoints.json"));
    let log = std::fs::File::create(data.with_extension("log")).unwrap();
    let mut command = Command::new(pilot);
    command
        .arg("--data")
        .arg(data)
        .args(["serve", "--role", "orchestrator", "--providers", "fake", "--log", "warn"])
        .args(["--listen-orchestrator", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .envs(env.iter().cloned())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command.spawn().unwrap()
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
