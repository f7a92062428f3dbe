//! System packages, installed with apt-get only on request: with `--yes`, with CI=true, or after a yes on
//! a terminal. Otherwise the exact command is printed and nothing changes. Also starts a Docker engine
//! where we are root and none answers.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{paths, process, ui};

/// A program, and the Debian or Ubuntu package that brings it.
pub type Need = (&'static str, &'static str);

/// What every command needs, beyond Rust, Go and Node.
pub const BASIC: &[Need] = &[("git", "git"), ("cc", "build-essential")];

/// What the engine tests need.
pub const ENGINE: &[Need] = &[
    ("git", "git"),
    ("cc", "build-essential"),
    ("curl", "curl"),
    ("docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("chromium", "chromium"),
    ("rg", "ripgrep"),
    ("pg_lsclusters", "postgresql"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    ("sshd", "openssh-server"),
    ("runsc", "runsc"),
    ("docker-compose", "docker-compose"),
    ("docker-registry", "docker-registry"),
];

/// What running workspaces in containers needs.
pub const DOCKER: &[Need] = &[
    ("git", "git"),
    ("cc", "build-essential"),
    ("docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
];

/// What making a base image without a registry needs.
pub const DEBOOTSTRAP: &[Need] = &[("debootstrap", "debootstrap")];

const ENGINE_START: Duration = Duration::from_secs(60);

/// Makes sure of the programs, installing their packages when that is allowed.
pub fn ensure(needs: &[Need], yes: bool) -> Result<()> {
    let mut packages: Vec<&str> =
        needs.iter().filter(|(program, _)| !installed(program)).map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let sudo = if is_root() { "" } else { "sudo " };
    let list = packages.join(" ");
    let typed = format!("{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {list}");
    if paths::on_path("apt-get").is_none() {
        bail!(
            "these packages are missing, and this system has no apt-get: {list}. Install them and try again"
        );
    }
    let allowed = yes
        || std::env::var("CI").is_ok_and(|value| value == "true")
        || (ui::interactive()
            && ui::confirm(&format!("missing packages: {list}. Install them with apt-get?")));
    if !allowed {
        bail!("system packages are missing. Run this, then try again (or pass --yes):\n  {typed}");
    }
    if !is_root() && paths::on_path("sudo").is_none() {
        bail!("installing packages needs root. As root, run this, then try again:\n  {typed}");
    }
    let step = ui::Step::begin(format!("installing {list}"), None);
    let log = paths::target().join("xtask/apt-get.log");
    process::logged(&mut apt(&["update"]), &log)?;
    let mut words = vec!["install", "-y", "--no-install-recommends", "ca-certificates"];
    words.extend(packages);
    process::logged(&mut apt(&words), &log)?;
    step.done("");
    Ok(())
}

/// True for the user 0.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// True when a Docker engine answers.
pub fn docker_answers() -> bool {
    process::succeeds(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]))
}

/// Makes sure that a Docker engine answers; as root it starts one that outlives this command.
pub fn ensure_docker() -> Result<()> {
    if docker_answers() {
        return Ok(());
    }
    if paths::on_path("docker").is_none() {
        bail!(
            "Docker is not installed. Install it (on Debian: apt-get install docker.io iptables) and try again"
        );
    }
    if !is_root() || !installed("dockerd") {
        bail!(
            "no Docker engine answers. Start it (`sudo systemctl start docker`), make sure that your user may \
             use it (`docker info`), then try again"
        );
    }
    let step = ui::Step::begin("starting a Docker engine", None);
    let log = paths::target().join("xtask/dockerd.log");
    start_engine(&log)?;
    let began = Instant::now();
    while !docker_answers() {
        if began.elapsed() > ENGINE_START {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("dockerd does not answer after {ENGINE_START:?}:\n{}", process::tail(&said));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    step.done("");
    Ok(())
}

/// An engine that was killed leaves its pid behind, and dockerd does not start while any process has it.
fn forget_dead_engine(pid_file: &Path) {
    let pid = std::fs::read_to_string(pid_file).unwrap_or_default();
    let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    if !pid.trim().is_empty() && name.trim() != "dockerd" {
        // Where it cannot be removed, dockerd says so in its log.
        let _ = std::fs::remove_file(pid_file);
    }
}

fn start_engine(log: &Path) -> Result<()> {
    forget_dead_engine(Path::new("/var/run/docker.pid"));
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::create(log).with_context(|| log.display().to_string())?;
    let twin = file.try_clone()?;
    // Its own session: the engine serves others after we are gone.
    Command::new("setsid")
        .args(["--fork", "dockerd"])
        .env("PATH", with_system_folders())
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(twin)
        .status()
        .context("cannot start dockerd")?;
    Ok(())
}

/// Daemons live in folders that a user's PATH may lack.
fn installed(program: &str) -> bool {
    paths::on_path(program).is_some()
        || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).is_file())
}

fn with_system_folders() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn apt(words: &[&str]) -> Command {
    let mut command = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        command.arg("apt-get");
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_of_a_dead_engine_is_forgotten_and_another_programs_pid_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("docker.pid");
        for pid in [std::process::id().to_string(), "999999999".to_owned()] {
            std::fs::write(&file, pid).unwrap();
            forget_dead_engine(&file);
            assert!(!file.exists());
        }
        forget_dead_engine(&file);
    }
}
