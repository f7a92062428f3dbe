//! SSH servers of this instance: OpenSSH's `sshd`, one process for one connection, as the instance's own user.
//!
//! Nothing listens: the backend carries the connection's bytes to its input and from its output (`sshd -i`). Each has a
//! configuration of its own, in a folder that goes with it, with the one key that may log in. The host key is made at
//! first use and stays with the home.

mod agents;
mod host_key;
mod input;
mod text;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use backend::{SshConnection, SshServer};
use contracts::ssh::{PublicKey, STATE_FOLDER, SshInfo};
use contracts::{ErrorCode, Problem};
use rustix::process::{Signal, geteuid, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use crate::children::{Children, Owned};
use input::{Input, below};

/// Where system programs are, beside what PATH says: an ordinary user's has them not.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const SFTP_SERVERS: [&str; 4] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
];
/// What a server gets to end by itself once its client is gone.
const GRACE: Duration = Duration::from_secs(3);
/// Of what a server complains, for the log.
const LONGEST_COMPLAINT: u64 = 4096;

/// The SSH servers of one instance.
pub struct Sshd {
    home: PathBuf,
    children: Children,
    info: Mutex<Option<SshInfo>>,
}

impl Sshd {
    pub fn new(home: PathBuf, children: Children) -> Self {
        Self { home, children, info: Mutex::default() }
    }

    fn state(&self) -> PathBuf {
        self.home.join(STATE_FOLDER)
    }

    fn connections(&self) -> PathBuf {
        self.state().join("connections")
    }

    /// Who we are, and by which key we are known: found out once, and again when the key is gone. It is in the home, where its user
    /// may remove it.
    async fn known(&self) -> Result<SshInfo, Problem> {
        let mut known = self.info.lock().await;
        match &*known {
            Some(info) if self.state().join(host_key::FILE).is_file() => return Ok(info.clone()),
            Some(_) => tracing::warn!("the SSH host key was removed; another is made"),
            // What an instance that was killed has left.
            None => {
                agents::sweep_of(&self.connections()).await;
                drop(fs::remove_dir_all(self.connections()));
            }
        }
        let info = self.prepare().await?;
        *known = Some(info.clone());
        Ok(info)
    }

    async fn prepare(&self) -> Result<SshInfo, Problem> {
        make_folder(&self.connections()).map_err(|error| unusable(&self.state(), &error))?;
        if geteuid().is_root() {
            // As root it gives its privileges up into this folder, which belongs to the machine.
            let made = DirBuilder::new().recursive(true).mode(0o755).create("/run/sshd");
            made.map_err(|error| unusable(Path::new("/run/sshd"), &error))?;
        }
        let user = self.said(Command::new("id").arg("-un")).await?;
        let host_key = host_key::of(self, &self.state()).await?;
        Ok(SshInfo { user: user.trim().to_owned(), host_key })
    }

    /// What a small program prints. It is started as a child that somebody waits for, so that nobody else collects it.
    async fn said(&self, command: &mut Command) -> Result<String, Problem> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let failed = |why: String| {
            Problem::new(ErrorCode::InstanceFailed, format!("{program} failed in the instance: {why}"))
                .with_action(
                    "The instance may have as many processes as it is allowed, or no memory left: `pilot ws restart NAME` ends them.",
                )
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut owned = self.children.spawn(command).map_err(|error| failed(error.to_string()))?;
        let (mut said, mut complained) = (String::new(), String::new());
        let (out, err) = (owned.child.stdout.take(), owned.child.stderr.take());
        let _ = tokio::join!(async { out?.read_to_string(&mut said).await.ok() }, async {
            err?.read_to_string(&mut complained).await.ok()
        },);
        match owned.wait().await {
            Ok(status) if status.success() => Ok(said),
            Ok(status) => Err(failed(format!("{status} {}", complained.trim()))),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Everything that one connection's server reads.
    fn write(&self, info: &SshInfo, key: &PublicKey) -> io::Result<Folder> {
        let folder = Folder(self.connections().join(format!("{:016x}", rand::random::<u64>())));
        make_folder(&folder.0)?;
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let facts = text::Facts {
            user: &info.user,
            is_root: geteuid().is_root(),
            host_key: &self.state().join(host_key::FILE),
            folder: &folder.0,
            sftp_server: SFTP_SERVERS.iter().map(Path::new).find(|path| path.is_file()),
            environment: &text::environment(&self.home, variables),
        };
        write(&folder.0.join(text::CONFIG), &text::config(&facts))?;
        write(&folder.0.join(text::KEYS), &text::keys(key))?;
        write(
            &folder.0.join(text::SESSION),
            &text::session(&folder.0.join(agents::NOTED), facts.sftp_server),
        )?;
        Ok(folder)
    }
}

#[async_trait]
impl SshServer for Sshd {
    async fn info(&self) -> Result<SshInfo, Problem> {
        find("sshd").ok_or_else(no_sshd)?;
        self.known().await
    }

    async fn open(&self, key: &PublicKey) -> Result<SshConnection, Problem> {
        let sshd = find("sshd").ok_or_else(no_sshd)?;
        let info = self.known().await?;
        let folder = self.write(&info, key).map_err(|error| unusable(&self.connections(), &error))?;
        let mut command = Command::new(&sshd);
        // Into the log, and not to a syslog that no instance has.
        command.args(["-i", "-e", "-f"]).arg(folder.0.join(text::CONFIG));
        command.current_dir(&self.home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut owned = self.children.spawn(&mut command).map_err(|error| {
            Problem::new(ErrorCode::Internal, format!("{} cannot be started: {error}", sshd.display()))
        })?;
        let (input, output) = (owned.child.stdin.take(), owned.child.stdout.take());
        let (Some(input), Some(output), Some(id)) = (input, output, owned.child.id()) else {
            return Err(Problem::new(ErrorCode::Internal, "the SSH server has no input or no output"));
        };
        let (alive, gone) = oneshot::channel();
        tokio::spawn(tend(owned, gone, folder));
        Ok(SshConnection { info, input: Box::new(Input::new(input, id)), output: Box::new(output), alive })
    }
}

/// A connection's files, as long as it lives.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is removed at the next boot.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Until the server has ended, by itself or because its client is gone.
async fn tend(mut owned: Owned, gone: oneshot::Receiver<()>, folder: Folder) {
    let complaints = owned.child.stderr.take();
    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        if let Some(stream) = complaints {
            let _ = stream.take(LONGEST_COMPLAINT).read_to_string(&mut text).await;
        }
        text
    });
    tokio::select! {
        _ = owned.wait() => {}
        _ = gone => end(&mut owned).await,
    }
    owned.kill_group();
    agents::sweep(&folder.0).await;
    match timeout(GRACE, complaints).await {
        Ok(Ok(text)) if !text.trim().is_empty() => {
            tracing::warn!(complaint = text.trim(), "an SSH connection ended")
        }
        _ => tracing::debug!("an SSH connection ended"),
    }
}

/// Its input has ended, and its session was hung up with that. What is still below it after the grace is killed.
async fn end(owned: &mut Owned) {
    if timeout(GRACE, owned.wait()).await.is_err() {
        for pid in owned.child.id().map(below).unwrap_or_default() {
            let _ = kill_process(pid, Signal::KILL);
        }
        owned.kill_group();
        let _ = owned.wait().await;
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = SYSTEM.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|path| path.is_absolute() && path.is_file())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write(path: &Path, content: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content.as_bytes())
}

fn no_sshd() -> Problem {
    Problem::new(ErrorCode::CapabilityUnsupported, "the instance has no SSH server: there is no program sshd")
        .with_action(
            "install it where the instance runs, with `apt-get install openssh-server`; Pilot starts it by itself",
        )
}

fn unusable(path: &Path, error: &io::Error) -> Problem {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::StoreFull,
        _ => ErrorCode::Internal,
    };
    Problem::new(code, format!("{} cannot be used for SSH: {error}", path.display()))
        .with_action("`pilot ws exec NAME -- COMMAND` runs commands without it")
}
