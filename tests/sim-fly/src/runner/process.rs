//! Machines as process trees of this host. One command stands for every image, unless the machine names a program to execute in
//! place of its image's (`init.exec`), which is one of this host then; it gets the machine's
//! environment (see [`super::environment`] for what is rewritten), files and folders.
//!
//! The working folder is the mounted volume, or the root folder when there is none. The root folder is
//! empty at every start. The program leads a process group of its own; all processes are found by the
//! mark in their environment. Suspending is SIGSTOP for all of them, resuming SIGCONT.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

use super::environment::{Ports, below, rewrite};
use super::procfs::{self, MARK};
use super::signals::signal;
use super::{Executed, Exit, Launch, RunError, Runner, Running};

/// Of a command where the machine has none of its own: folders of this host's root are closed to whom it may become.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a process is looked at that another simulator started.
const LOOK: Duration = Duration::from_millis(50);

pub struct Processes {
    folder: PathBuf,
    command: Vec<String>,
    exits: mpsc::UnboundedSender<Exit>,
    /// Turns true when a machine's first process has ended.
    ended: Arc<Mutex<HashMap<String, watch::Receiver<bool>>>>,
}

impl Processes {
    pub fn new(folder: PathBuf, command: Vec<String>, exits: mpsc::UnboundedSender<Exit>) -> Self {
        Self { folder, command, exits, ended: Arc::default() }
    }

    /// Everything of a machine but its volume.
    fn machine_folder(&self, machine: &str) -> PathBuf {
        self.folder.join("machines").join(machine)
    }

    fn prepared(&self, launch: &Launch, ports: &mut Ports) -> io::Result<Prepared> {
        let root = self.machine_folder(&launch.machine).join("rootfs");
        let mount = launch.mount.as_ref().map(|(folder, at)| (folder.as_path(), at.as_str()));
        for port in &launch.ports {
            ports.free(*port)?;
        }
        let mut env = BTreeMap::new();
        for (name, value) in &launch.env {
            let mut here = rewrite(name, value, ports, mount)?;
            // A folder in which the machine gets files, beside its volume.
            if here == *value && launch.files.iter().any(|file| value != "/" && file.is_below(value)) {
                here = root.join(value.trim_start_matches('/')).display().to_string();
            }
            env.insert(name.clone(), here);
        }
        let folder = mount.map_or_else(|| root.clone(), |(folder, _)| folder.to_owned());
        env.entry("HOME".to_owned()).or_insert_with(|| folder.display().to_string());
        env.entry("PATH".to_owned()).or_insert_with(|| std::env::var("PATH").unwrap_or_default());
        env.insert(MARK.to_owned(), launch.machine.clone());
        Ok(Prepared { root, folder, env })
    }

    fn spawn(&self, launch: &Launch) -> io::Result<(tokio::process::Child, BTreeMap<u16, u16>)> {
        let mut ports = Ports::default();
        let Prepared { root, folder, env } = self.prepared(launch, &mut ports)?;
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&folder)?;
        for file in &launch.files {
            let below_mount = launch.mount.as_ref().and_then(|(folder, at)| below(&file.path, folder, at));
            let path =
                below_mount.map_or_else(|| root.join(file.path.trim_start_matches('/')), PathBuf::from);
            write_file(&path, &file.content, file.mode)?;
        }
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.machine_folder(&launch.machine).join("log"))?;
        let wanted = launch.config.init.exec.as_ref().unwrap_or(&self.command);
        let Some((program, arguments)) = wanted.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command to run"));
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&env).current_dir(&folder).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let free = ports.release();
        Ok((command.spawn()?, free))
    }

    /// Remembers and reports the end of the first process.
    fn watch(
        &self,
        machine: String,
        incarnation: u64,
        end: impl Future<Output = Option<i32>> + Send + 'static,
    ) {
        let (ended, receiver) = watch::channel(false);
        self.lock().insert(machine.clone(), receiver);
        let exits = self.exits.clone();
        tokio::spawn(async move {
            let code = end.await;
            // The machine is its first process: without it, nothing else goes on.
            let name = machine.clone();
            let _ = tokio::task::spawn_blocking(move || procfs::signal_all(&name, None, Signal::KILL)).await;
            ended.send_replace(true);
            let _ = exits.send(Exit { machine, incarnation, code });
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, watch::Receiver<bool>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ended(&self, machine: &str) {
        let watched = self.lock().get(machine).cloned();
        if let Some(mut watched) = watched {
            // A watcher that is gone has seen the end.
            let _ = watched.wait_for(|ended| *ended).await;
        }
    }
}

struct Prepared {
    root: PathBuf,
    folder: PathBuf,
    env: BTreeMap<String, String>,
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A file of an earlier start may be readable only.
    let _ = fs::remove_file(path);
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

async fn all(machine: &str, running: &Running, signal: Signal) -> Result<(), RunError> {
    let (machine, leader) = (machine.to_owned(), running.pid);
    let signalled = tokio::task::spawn_blocking(move || procfs::signal_all(&machine, leader, signal)).await;
    signalled.map_err(|source| RunError::Act { what: "signalling a machine", source: source.into() })
}

#[async_trait]
impl Runner for Processes {
    async fn start(&self, launch: &Launch) -> Result<Running, RunError> {
        let failed = |source: io::Error| {
            let what = self.command.first().cloned().unwrap_or_default();
            RunError::Start { what, source: source.into() }
        };
        let (mut child, ports) = self.spawn(launch).map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        self.watch(launch.machine.clone(), launch.incarnation, async move {
            let status = child.wait().await.ok()?;
            status.code().or_else(|| status.signal().map(|signal| 128 + signal))
        });
        Ok(Running { pid, container: None, ports })
    }

    async fn stop(
        &self,
        machine: &str,
        running: &Running,
        raw: i32,
        grace: Duration,
    ) -> Result<(), RunError> {
        self.signal(machine, running, raw).await?;
        // A suspended machine takes the signal when it goes on.
        all(machine, running, Signal::CONT).await?;
        if tokio::time::timeout(grace, self.ended(machine)).await.is_err() {
            all(machine, running, Signal::KILL).await?;
            self.ended(machine).await;
        }
        all(machine, running, Signal::KILL).await
    }

    async fn signal(&self, _machine: &str, running: &Running, raw: i32) -> Result<(), RunError> {
        if let (Some(pid), Some(signal)) = (running.pid.and_then(Pid::from_raw), signal(raw)) {
            // What has ended meanwhile needs no signal.
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    async fn suspend(&self, machine: &str, running: &Running) -> Result<(), RunError> {
        all(machine, running, Signal::STOP).await
    }

    async fn resume(&self, machine: &str, running: &Running) -> Result<(), RunError> {
        all(machine, running, Signal::CONT).await
    }

    /// The command runs on this host as whoever runs the simulator, where Fly has root; with the machine's environment and folder.
    async fn exec(
        &self,
        launch: &Launch,
        running: &Running,
        command: &[String],
        stdin: &str,
        limit: Duration,
    ) -> Result<Executed, RunError> {
        let failed = |source: io::Error| RunError::Start {
            what: command.first().cloned().unwrap_or_default(),
            source: source.into(),
        };
        let mut ports = Ports::of(running.ports.clone());
        let Prepared { folder, mut env, .. } = self.prepared(launch, &mut ports).map_err(failed)?;
        env.insert("PATH".to_owned(), launch.env.get("PATH").map_or(PATH, String::as_str).to_owned());
        let (program, arguments) = command.split_first().ok_or(RunError::NoProgram)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&env)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read its input is none the worse.
            let _ = input.write_all(stdin.as_bytes()).await;
        }
        let output = tokio::time::timeout(limit, child.wait_with_output()).await;
        let output = output.map_err(|_| RunError::Late)?.map_err(failed)?;
        Ok(Executed {
            exit_code: output.status.code().unwrap_or_default(),
            exit_signal: output.status.signal().unwrap_or_default(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn adopt(&self, machine: &str, incarnation: u64, running: &Running) -> bool {
        let Some(pid) = running.pid.filter(|pid| procfs::of_machine(machine).contains(pid)) else {
            // Children without their first process are no machine.
            let _ = all(machine, &Running::default(), Signal::KILL).await;
            return false;
        };
        // It is nobody's child here, so nobody tells of its end.
        self.watch(machine.to_owned(), incarnation, async move {
            while procfs::is_alive(pid) {
                tokio::time::sleep(LOOK).await;
            }
            None
        });
        true
    }

    async fn forget(&self, machine: &str) {
        self.lock().remove(machine);
        // What cannot be removed is left to whoever owns the folder.
        let _ = fs::remove_dir_all(self.machine_folder(machine));
    }
}
