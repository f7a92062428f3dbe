//! Pilot's side of `provision`: a private server on free ports with its own data folder, driven through
//! the `pilot` command as a person would.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::server::Server;
use crate::{loopback, process};

/// A server that is stopped, and its workspaces deleted, when this is dropped.
pub struct Product {
    server: Server,
    /// Where its metrics are.
    admin: u16,
}

/// One create: the whole command, and the time of each phase since the request was accepted.
pub struct Created {
    pub seconds: f64,
    /// Phase name and seconds since the phase before it.
    pub phases: Vec<(String, f64)>,
}

impl Product {
    /// Starts the server.
    pub fn start(pilot: &Path, data: &Path) -> Result<Product> {
        Self::start_with(pilot, data, &[])
    }

    /// The same with more arguments after `serve`.
    pub fn start_with(pilot: &Path, data: &Path, arguments: &[&str]) -> Result<Product> {
        // Also one that starts but does not answer is stopped by the drop.
        let mut product =
            Product { server: Server { pilot: pilot.to_path_buf(), data: data.to_path_buf() }, admin: 0 };
        product.admin = product.server.start_private(arguments)?;
        Ok(product)
    }

    /// Where the lifecycle API is, and the token for it.
    pub fn api(&self) -> Result<(String, String)> {
        let text = std::fs::read_to_string(self.server.data.join("endpoints.json"))?;
        let endpoints: Value = serde_json::from_str(&text)?;
        let url = endpoints["orchestrator"]["url"].as_str().context("the server tells no address")?;
        let token = std::fs::read_to_string(self.server.data.join("secrets/admin-token"))?;
        Ok((format!("{}/", url.trim_end_matches('/')), token.trim().to_owned()))
    }

    /// `pilot ws create` from its start to its end.
    pub fn create(&self, slug: &str) -> Result<Created> {
        let began = Instant::now();
        let mut command = self.server.command(&["ws", "create", slug, "--provider", "docker", "--json"]);
        let output = process::capture(command.stdin(Stdio::null()))?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Created { seconds, phases: phases(&output)? })
    }

    /// Deletes a workspace.
    pub fn delete(&self, slug: &str) -> Result<()> {
        process::capture(&mut self.server.command(&["ws", "rm", slug, "--yes", "--purge", "--json"]))
            .map(|_| ())
    }

    /// Memory of the server, and of everything it started that still runs, in MiB: the engine host.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let Some(pid) = self.server.recorded() else { bail!("the server is gone") };
        let tree = process::capture(Command::new("ps").args(["-e", "-o", "pid=,ppid=,rss="]))?;
        let (own, children) = resident_kib(&tree, pid);
        Ok((own / 1024.0, children / 1024.0))
    }

    /// How long the providers were at work so far, in seconds.
    pub fn provider_seconds(&self) -> Result<f64> {
        let (_, metrics) = loopback::get(self.admin, "/metrics", Duration::from_secs(5))?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("pilot_provider_busy_seconds "));
        // It is not there before the first create.
        Ok(line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or_default())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        if let Err(error) = crate::down::stop_everything(&self.server, true) {
            crate::ui::error(&error);
        }
    }
}

/// Reads the phase events among the JSON lines of `pilot ws create --json`.
fn phases(output: &str) -> Result<Vec<(String, f64)>> {
    let mut found: Vec<(String, f64)> = Vec::new();
    let mut before: Option<f64> = None;
    for line in output.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if event["type"] != "phase" {
            continue;
        }
        let (Some(phase), Some(at)) = (event["phase"].as_str(), event["at"].as_str().and_then(second_of_day))
        else {
            bail!("not a phase event: {line}");
        };
        // A run may cross midnight.
        let since = before.map_or(0.0, |before| (at - before).rem_euclid(86_400.0));
        found.push((phase.to_owned(), since));
        before = Some(at);
    }
    found.last().context("the create showed no phase")?;
    Ok(found)
}

/// The time of day in `2026-11-23T17:35:24.123456Z`, in seconds.
fn second_of_day(timestamp: &str) -> Option<f64> {
    let clock = timestamp.split_once('T')?.1.trim_end_matches('Z');
    let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}

/// Sums `ps` lines of `pid ppid rss` over a process and its descendants.
fn resident_kib(table: &str, root: u32) -> (f64, f64) {
    let rows: Vec<(u32, u32, f64)> = table
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let mut family = vec![root];
    let (mut own, mut children) = (0.0, 0.0);
    while let Some(pid) = family.pop() {
        let memory = rows.iter().filter(|row| row.0 == pid).map(|row| row.2).sum::<f64>();
        *(if pid == root { &mut own } else { &mut children }) += memory;
        family.extend(rows.iter().filter(|row| row.1 == pid).map(|row| row.0));
    }
    (own, children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_times_since_the_phase_before_even_over_midnight() {
        let output = "{\"sequence\":1,\"at\":\"2026-11-23T23:59:59.5Z\",\"type\":\"phase\",\"phase\":\"queued\"}\n\
                      {\"sequence\":2,\"at\":\"2026-11-24T00:00:01Z\",\"type\":\"phase\",\"phase\":\"planned\"}\n\
                      {\"sequence\":3,\"type\":\"done\"}\n{\"slug\":\"a\"}\n";
        let phases = phases(output).unwrap();
        assert_eq!(phases[0].0, "queued");
        assert_eq!(phases[1].0, "planned");
        assert!((phases[1].1 - 1.5).abs() < 1e-6);
    }

    #[test]
    fn memory_is_told_of_the_root_and_of_its_children_and_not_of_strangers() {
        let table = "  1 0 100\n 10 1 1024\n 11 10 512\n 12 11 512\n 20 1 4096\n";
        assert_eq!(resident_kib(table, 10), (1024.0, 1024.0));
    }
}
