//! The `pilot serve` that `up` starts and `down` stops: a process in its own session with its log in the
//! data folder. It is found again by pid and start time, because a pid alone may belong to somebody else
//! by now. Everything else goes through the `pilot` command.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::{loopback, process, ui};

const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(150);

/// A server on one data folder, running or not.
pub struct Server {
    pub pilot: PathBuf,
    pub data: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    pid: u32,
    start_time: u64,
    pilot: PathBuf,
}

impl Server {
    /// A `pilot` command on this data folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.pilot);
        // Whatever else is in the environment, this server is meant.
        for other in ["PILOT_SERVER", "PILOT_GATEWAY", "PILOT_CONTEXT", "PILOT_TOKEN"] {
            command.env_remove(other);
        }
        command.env("PILOT_DATA", &self.data).args(arguments);
        command
    }

    /// The log of the server.
    pub fn log(&self) -> PathBuf {
        self.data.join("serve.log")
    }

    /// True when the server answers on this data folder.
    pub fn answers(&self) -> bool {
        process::succeeds(&mut self.command(&["ws", "ls", "--json"]))
    }

    /// The running process that an earlier `up` recorded.
    pub fn recorded(&self) -> Option<u32> {
        let record = read_record(&self.data)?;
        (start_time(record.pid) == Some(record.start_time)).then_some(record.pid)
    }

    /// True while there is a server to wait for.
    pub fn answers_or_runs(&self) -> bool {
        self.recorded().is_some() || self.answers()
    }

    /// The `pilot` program that an earlier `up` started.
    pub fn recorded_program(data: &Path) -> Option<PathBuf> {
        read_record(data).map(|record| record.pilot).filter(|path| path.is_file())
    }

    /// Whether the program was built anew since the server was started.
    pub fn is_older_than_its_program(&self) -> bool {
        let changed = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let (built, started) = (changed(&self.pilot), changed(&record_path(&self.data)));
        matches!((built, started), (Some(built), Some(started)) if built > started)
    }

    /// Starts the server with these arguments after `serve`, and waits until it answers.
    pub fn start(&self, arguments: &[&str]) -> Result<()> {
        std::fs::create_dir_all(&self.data).with_context(|| self.data.display().to_string())?;
        let log = File::create(self.log()).with_context(|| self.log().display().to_string())?;
        let twin = log.try_clone()?;
        // setsid replaces itself with the server, so the child's pid is the server's.
        let mut child = Command::new("setsid")
            .arg(&self.pilot)
            .arg("serve")
            .args(arguments)
            .env("PILOT_DATA", &self.data)
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(twin)
            .spawn()
            .context("cannot start `setsid` (package util-linux)")?;
        let pid = child.id();
        let began =
            start_time(pid).ok_or_else(|| anyhow!("the server ended at once\n{}", self.log_tail()))?;
        self.write_record(&Record { pid, start_time: began, pilot: self.pilot.clone() })?;
        let since = Instant::now();
        while !self.answers() {
            if let Some(status) = child.try_wait()? {
                let _ = std::fs::remove_file(record_path(&self.data));
                bail!("`pilot serve` stopped: {status}\n{}", self.log_tail());
            }
            if since.elapsed() > READY {
                bail!("`pilot serve` does not answer after {READY:?}\n{}", self.log_tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Starts it on ports of its own: for work that no browser watches, beside whatever else runs.
    /// Returns the port of its metrics.
    pub fn start_private(&self, arguments: &[&str]) -> Result<u16> {
        let admin = loopback::free_port()?;
        let listeners = [
            ("--listen-gateway", loopback::free_port()?),
            ("--listen-orchestrator", loopback::free_port()?),
            ("--listen-admin", admin),
        ];
        let options: Vec<String> = listeners
            .iter()
            .flat_map(|(flag, port)| [(*flag).to_owned(), format!("127.0.0.1:{port}")])
            .collect();
        let options: Vec<&str> =
            options.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        self.start(&options)?;
        Ok(admin)
    }

    /// Ends the recorded server and waits for it; nothing to do when there is none.
    pub fn stop(&self) -> Result<bool> {
        let Some(pid) = self.recorded() else {
            let _ = std::fs::remove_file(record_path(&self.data));
            return Ok(false);
        };
        signal(pid, rustix::process::Signal::TERM)?;
        let since = Instant::now();
        while self.recorded().is_some() {
            if since.elapsed() > STOP {
                ui::note("the server does not stop on its own; ending it");
                signal(pid, rustix::process::Signal::KILL)?;
                break;
            }
            std::thread::sleep(POLL);
        }
        let _ = std::fs::remove_file(record_path(&self.data));
        Ok(true)
    }

    fn write_record(&self, record: &Record) -> Result<()> {
        let path = record_path(&self.data);
        std::fs::write(&path, serde_json::to_string(record)?).with_context(|| path.display().to_string())
    }

    fn log_tail(&self) -> String {
        let said = std::fs::read(self.log()).unwrap_or_default();
        format!("{}\n(all of it: {})", process::tail(&String::from_utf8_lossy(&said)), self.log().display())
    }
}

fn record_path(data: &Path) -> PathBuf {
    data.join("serve.pid")
}

fn read_record(data: &Path) -> Option<Record> {
    serde_json::from_str(&std::fs::read_to_string(record_path(data)).ok()?).ok()
}

/// A process's start time in clock ticks since boot; none when it does not run.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, even parentheses; fields are counted behind the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn signal(pid: u32, signal: rustix::process::Signal) -> Result<()> {
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = raw else { bail!("{pid} is not a process id") };
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot end process {pid:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_older_than_a_program_that_was_built_after_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let pilot = folder.path().join("pilot");
        let server = Server { pilot: pilot.clone(), data: folder.path().to_owned() };
        std::fs::write(&pilot, "").unwrap();
        server.write_record(&Record { pid: 1, start_time: 1, pilot: pilot.clone() }).unwrap();
        assert!(!server.is_older_than_its_program());
        let later = std::time::SystemTime::now() + Duration::from_secs(60);
        std::fs::File::options().write(true).open(&pilot).unwrap().set_modified(later).unwrap();
        assert!(server.is_older_than_its_program());
    }

    #[test]
    fn a_recorded_pid_of_another_process_is_not_our_server() {
        let data = tempfile::tempdir().unwrap();
        let server = Server { pilot: "/bin/true".into(), data: data.path().to_path_buf() };
        let pid = std::process::id();
        let own = start_time(pid).unwrap();
        server.write_record(&Record { pid, start_time: own, pilot: "/bin/true".into() }).unwrap();
        assert_eq!(server.recorded(), Some(pid));
        server.write_record(&Record { pid, start_time: own + 1, pilot: "/bin/true".into() }).unwrap();
        assert_eq!(server.recorded(), None);
        assert!(!server.stop().unwrap(), "a stranger is left alone");
    }
}
