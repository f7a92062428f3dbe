//! One `pilot serve` of a world: what can be done to it from outside.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::process;

/// Longer than a start takes on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Longer than it takes to end what is in the middle of something.
const END: Duration = Duration::from_secs(90);

pub struct Server {
    pub data: PathBuf,
    options: Vec<String>,
    env: Vec<(String, String)>,
    /// Of those who break it: one that was killed cannot be ended, and ends at once when it is asked twice.
    pub turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    child: Option<Child>,
    /// Not answering is not gone.
    paused: Vec<u32>,
}

impl Server {
    pub fn new(data: PathBuf, options: Vec<String>, env: Vec<(String, String)>) -> Self {
        Self { data, options, env, turn: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    /// Starts it where it does not run, and waits until it answers. One that ends again, because what it needs is away, is
    /// started anew until the deadline.
    pub async fn ensure(&self, pilot: &Path) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if !self.runs()? {
                self.spawn(pilot)?;
            }
            if self.is_ready().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the server was not ready within {START:?}; its log ends with:\n{}", self.log_end(12));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    fn spawn(&self, pilot: &Path) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let _ = std::fs::remove_file(self.data.join("endpoints.json"));
        let mut command = Command::new(pilot);
        command
            .arg("--data")
            .arg(&self.data)
            .args(["serve", "--role", "orchestrator", "--home-grace", "0"])
            .args(["--listen-orchestrator", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"])
            .args(&self.options)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {}", pilot.display()))?;
        *self.state() = State { child: Some(child), paused: Vec::new() };
        Ok(())
    }

    fn runs(&self) -> Result<bool> {
        let mut state = self.state();
        let Some(child) = &mut state.child else { return Ok(false) };
        Ok(child.try_wait()?.is_none())
    }

    pub fn pid(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    /// Where its API is at present and the token for it.
    pub fn address(&self) -> Option<(String, String)> {
        let endpoints = std::fs::read(self.data.join("endpoints.json")).ok()?;
        let endpoints: serde_json::Value = serde_json::from_slice(&endpoints).ok()?;
        let url = endpoints["orchestrator"]["url"].as_str()?.trim_end_matches('/').to_owned();
        let token = std::fs::read_to_string(self.data.join("secrets/admin-token")).ok()?;
        Some((url, token.trim().to_owned()))
    }

    async fn is_ready(&self) -> bool {
        let Some((url, _)) = self.address() else { return false };
        let Ok(client) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build() else {
            return false;
        };
        let answer = client.get(format!("{url}/ready")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// kill -9 of the server alone: what it has started finds out by itself.
    pub fn kill(&self) -> Result<()> {
        let Some(mut child) = self.state().child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// kill -9 of its engine host; false when it has none at present.
    pub fn kill_engine(&self) -> Result<bool> {
        let engines = self.pid().map(process::children).unwrap_or_default();
        for engine in &engines {
            process::signal(*engine, Signal::KILL)?;
        }
        Ok(!engines.is_empty())
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&self) -> Result<ExitStatus> {
        let Some(mut child) = self.state().child.take() else { bail!("there is no server to end") };
        process::signal(child.id(), Signal::TERM)?;
        let deadline = Instant::now() + END;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("a server that was asked to end had not within {END:?}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// SIGSTOP of the server and its engine host.
    pub fn pause(&self) -> Result<()> {
        let mut state = self.state();
        state.paused = state.child.as_ref().map(|child| process::family(child.id())).unwrap_or_default();
        state.paused.iter().try_for_each(|pid| process::signal(*pid, Signal::STOP))
    }

    /// SIGCONT of what was paused.
    pub fn wake(&self) -> Result<()> {
        let paused = std::mem::take(&mut self.state().paused);
        paused.into_iter().try_for_each(|pid| process::signal(pid, Signal::CONT))
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn log_end(&self, lines: usize) -> String {
        let text = self.log_text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.wake();
        let _ = self.kill();
    }
}
