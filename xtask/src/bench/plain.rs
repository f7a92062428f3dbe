//! The peer of `provision`: `docker run` of the same image, until OpenCode answers through its backend.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{image, loopback, process};

const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// A container that is removed when this is dropped, whatever happened.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = process::succeeds(Command::new("docker").args(["rm", "--force", "--volumes", &self.0]));
    }
}

/// Seconds from the command to the first healthy answer.
pub fn measure(boot_files: &std::path::Path) -> Result<f64> {
    let name = format!("pilot-bench-plain-{}", std::process::id());
    let began = Instant::now();
    let container = Container(name.clone());
    let mut run = Command::new("docker");
    run.args(["run", "--detach", "--name", &name, "--publish", "127.0.0.1::3000"]);
    run.args(["--env", "PILOT_RUNTIME=rt-benchplain"]);
    run.arg("--volume").arg(format!("{}:/home/pilot/.config/pilot:ro", boot_files.display()));
    process::capture(run.arg(image::TAG))?;
    let port = published_port(&name)?;
    while !healthy(port) {
        if began.elapsed() > LIMIT {
            let log = Command::new("docker").args(["logs", "--tail", "20", &name]).output()?;
            let said = [&log.stdout, &log.stderr].map(|text| String::from_utf8_lossy(text));
            bail!("the plain container is not healthy:\n{}", said.join("\n"));
        }
        std::thread::sleep(POLL);
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(container);
    Ok(seconds)
}

fn published_port(name: &str) -> Result<u16> {
    let text = process::capture(Command::new("docker").args(["port", name, "3000/tcp"]))?;
    let port = text.lines().next().and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
    port.with_context(|| format!("`docker port` said {text:?}"))
}

fn healthy(port: u16) -> bool {
    let Ok((200, body)) = loopback::get(port, "/health", Duration::from_secs(2)) else { return false };
    serde_json::from_str::<serde_json::Value>(&body).is_ok_and(|health| health["status"] == "ok")
}
