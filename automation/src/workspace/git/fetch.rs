//! The runs of `git` that fetch a commit and check it out.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::GitSource;
use super::auth::Proof;
use super::refs::Target;
use crate::error::{Error, Result};
use crate::{classify, group};

/// What makes a session without a terminal, where programs of `git` would ask the person before it.
const SETSID: [&str; 2] = ["/usr/bin/setsid", "/bin/setsid"];

/// Nobody is asked: not on a terminal, in a window or by a helper.
const SILENT: [(&str, &str); 5] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GCM_INTERACTIVE", "never"),
    // The words that are read are English.
    ("LC_ALL", "C"),
];

/// What a `git` that started this process says about its own repository.
const OF_ANOTHER_REPOSITORY: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_NAMESPACE",
];

/// Who has not said how `ssh` is called gets one that asks nothing and does not wait for a host that is away.
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15";

/// `git` in one folder.
pub(super) struct Git<'a> {
    folder: &'a Path,
    home: &'a Path,
    source: &'a GitSource,
    proof: Proof,
}

/// One run; dropped before its end, it is killed with all that it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = group::of(&self.0) {
            group::kill(group);
        }
    }
}

impl<'a> Git<'a> {
    pub fn new(folder: &'a Path, home: &'a Path, source: &'a GitSource) -> Result<Self> {
        Ok(Self { folder, home, source, proof: Proof::of(source.auth.as_ref())? })
    }

    pub async fn fetch(mut self, target: &Target) -> Result<()> {
        let source = self.source;
        self.run(&["init", "--quiet"]).await?;
        if source.auth.is_none() && !self.says_how_to_call_ssh().await {
            self.proof.env.push(("GIT_SSH_COMMAND".to_owned(), SSH.to_owned()));
        }
        self.run(&["remote", "add", "--", "origin", &source.url]).await?;
        let depth: &[&str] = if source.shallow { &["--depth=1", "--no-tags"] } else { &[] };
        match target {
            Target::Default => {
                self.get(depth, "HEAD").await?;
                self.check_out("FETCH_HEAD").await
            }
            Target::Branch(name) => {
                let remote = format!("refs/remotes/origin/{name}");
                self.get(depth, &format!("+refs/heads/{name}:{remote}")).await?;
                self.run(&["checkout", "--quiet", "-B", name, &remote]).await
            }
            Target::Tag(name) => {
                self.get(depth, &format!("+refs/tags/{name}:refs/tags/{name}")).await?;
                self.check_out(&format!("refs/tags/{name}")).await
            }
            Target::Commit(id) => {
                // Some servers give single commits; the others give all branches.
                if self.get(depth, id).await.is_err() {
                    self.get(&["--tags"], "+refs/heads/*:refs/remotes/origin/*").await?;
                }
                self.check_out(&format!("{id}^{{commit}}")).await
            }
        }
    }

    async fn get(&self, flags: &[&str], what: &str) -> Result<()> {
        let args: Vec<&str> = ["fetch", "--quiet"]
            .into_iter()
            .chain(flags.iter().copied())
            .chain(["--", "origin", what])
            .collect();
        self.run(&args).await
    }

    async fn check_out(&self, what: &str) -> Result<()> {
        self.run(&["checkout", "--quiet", "--detach", what]).await
    }

    /// The user's environment or settings do.
    async fn says_how_to_call_ssh(&self) -> bool {
        let is_set = |key: &str| self.source.env.contains_key(key) || std::env::var_os(key).is_some();
        ["GIT_SSH_COMMAND", "GIT_SSH"].into_iter().any(is_set)
            || self.run(&["config", "--get", "core.sshCommand"]).await.is_ok()
    }

    async fn run(&self, args: &[&str]) -> Result<()> {
        let name = args.first().copied().unwrap_or_default();
        let failed = |message: String| Error::Git { command: name.to_owned(), message };
        let (status, stderr) = self.output(args).await.map_err(|error| failed(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        Err(classify::host_key(&self.source.url, &stderr).unwrap_or_else(|| {
            let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            failed(lines.join("; "))
        }))
    }

    async fn output(&self, args: &[&str]) -> std::io::Result<(ExitStatus, String)> {
        let mut running = Running(self.command(args).spawn()?);
        let stderr = running.0.stderr.take();
        let read = async {
            let mut bytes = Vec::new();
            if let Some(mut stderr) = stderr {
                stderr.read_to_end(&mut bytes).await?;
            }
            std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (status, stderr) = tokio::join!(group::wait(&mut running.0), read);
        Ok((status?, stderr?))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = match SETSID.into_iter().find(|program| Path::new(program).exists()) {
            Some(setsid) => {
                let mut command = Command::new(setsid);
                command.arg("git");
                command
            }
            None => Command::new("git"),
        };
        if self.source.auth.is_some() {
            command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.home);
        }
        for key in OF_ANOTHER_REPOSITORY.into_iter().chain(["SSH_ASKPASS", "DISPLAY", "WAYLAND_DISPLAY"]) {
            command.env_remove(key);
        }
        command
            .args(args)
            .current_dir(self.folder)
            .envs(SILENT)
            .envs(&self.source.env)
            .envs(self.proof.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}
