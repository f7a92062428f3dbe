//! A disk that is full or broken, at each write of a create and a delete: `strace` lets one call after the other fail.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::api::Asked;
use crate::options::{Options, Store};
use crate::process;
use crate::round;
use crate::run::{Run, progress};
use crate::world::World;

/// What a store and the states of stacks are written with. `write` is not among them: it is what wakes threads up, too, and no
/// program goes on without.
const CALLS: [&str; 8] =
    ["fsync", "fdatasync", "pwrite64", "openat", "ftruncate", "rename", "renameat", "unlinkat"];

const ERRORS: [&str; 2] = ["ENOSPC", "EIO"];

/// How long a create and a delete may go on while the disk is broken.
const BROKEN: Duration = Duration::from_secs(6);

/// Each call in turn, with each error: its first occurrence, its second, until there are no more of them.
pub async fn run(run: &Run<'_>) -> Result<()> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        bail!("there is no `strace`; install it with `apt-get install strace`");
    }
    let options = Options { store: Store::Sqlite, ..run.fake() };
    let kinds: Vec<(&str, &str)> =
        CALLS.iter().flat_map(|call| ERRORS.iter().map(move |error| (*call, *error))).collect();
    let bar = progress("disk", kinds.len() as u64);
    let mut world = World::start(&options).await?;
    for (call, error) in kinds {
        bar.set_message(format!("{call} {error}"));
        for occurrence in 1..=run.options.disk {
            if run.is_over() {
                break;
            }
            let place = format!("{error} of {call} number {occurrence}");
            let failed = one(&world, call, error, occurrence).await.context(place.clone())?;
            let mut found = Vec::new();
            world.heal().await?;
            found.extend(round::settle(&world, Duration::from_secs(90)).await);
            run.report().disk_faults += failed;
            let is_broken = !found.is_empty();
            run.found(&mut world, &place, found, "", None);
            if is_broken {
                run.end(world).await?;
                world = World::start(&options).await?;
            }
            // There were not so many.
            if failed == 0 {
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    run.end(world).await
}

/// How often it has failed: of each thread the call with this number does.
async fn one(world: &World, call: &str, error: &str, occurrence: u32) -> Result<u32> {
    let log = tempfile::NamedTempFile::new()?;
    let pid = world.servers[0].pid().context("the server runs")?;
    let tracer = Tracer::attach(&process::family(pid), call, error, occurrence, log.path())?;
    let slug = format!(
        "disk-{}-{}-{occurrence}",
        call.replace(|it: char| !it.is_alphanumeric(), ""),
        error.to_lowercase()
    );
    let create =
        Asked { key: Some(slug.clone()), ..Asked::create(json!({"slug": slug, "provider": "fake"})) };
    let delete = Asked::new(Method::DELETE, format!("/v1/workspaces/{slug}"));
    let deadline = Instant::now() + BROKEN;
    for asked in [&create, &delete] {
        // A disk that fails once may well end it; the next answer counts.
        let Some(answer) = world.api.once(0, asked).await else { break };
        let Some(id) = world.ledger.note(asked, &answer) else { continue };
        while Instant::now() < deadline {
            let state = world.api.once(0, &get(&id)).await;
            let state = state.map(|answer| answer.body["state"].as_str().unwrap_or_default().to_owned());
            if !matches!(state.as_deref(), Some("queued" | "running")) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    tracer.detach()?;
    let text = std::fs::read_to_string(log.path())?;
    // With the disk whole again, what was left is ended.
    world.heal().await?;
    let answer = world.api.stubborn(0, &delete, Instant::now() + Duration::from_secs(30)).await?;
    world.ledger.note(&delete, &answer);
    Ok(text.matches("(INJECTED)").count() as u32)
}

fn get(operation: &str) -> Asked {
    Asked::new(Method::GET, format!("/v1/operations/{operation}"))
}

/// `strace` beside a process and all its threads.
struct Tracer(Child);

impl Tracer {
    fn attach(pids: &[u32], call: &str, error: &str, occurrence: u32, log: &Path) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(log);
        command.args(["-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:error={error}:when={occurrence}")]);
        for pid in pids {
            command.args(["-p", &pid.to_string()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut tracer = Self(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        // Until all are attached: before, nothing fails.
        while !pids.iter().all(|pid| traced_by(*pid) == Some(tracer.0.id())) {
            if tracer.0.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("strace could not attach to {pids:?}; is this container allowed to?");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(tracer)
    }

    fn detach(mut self) -> Result<()> {
        process::signal(self.0.id(), Signal::INT)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                // What it traces goes on without it.
                self.0.kill()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn traced_by(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
}
