//! The runs of `git` that fetch a commit and check it out.

use std::path::Path;
use std::process::Stdio;

use super::GitSource;
use super::auth::Proof;
use super::refs::Target;
use crate::error::{Error, Result};
use crate::options::Authentication;

/// `git` in one folder. Its environment is built; nothing is inherited.
pub(super) struct Git<'a> {
    folder: &'a Path,
    home: &'a Path,
    proof: Proof,
}

impl<'a> Git<'a> {
    pub fn new(folder: &'a Path, home: &'a Path, auth: Option<&Authentication>) -> Result<Self> {
        Ok(Self { folder, home, proof: Proof::of(auth)? })
    }

    pub async fn fetch(&self, source: &GitSource, target: &Target) -> Result<()> {
        self.run(&["init", "--quiet"]).await?;
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

    async fn run(&self, args: &[&str]) -> Result<()> {
        let command = || args.first().copied().unwrap_or_default().to_owned();
        let output = tokio::process::Command::new("git")
            .args(args)
            .current_dir(self.folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(self.proof.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Error::Git { command: command(), message: error.to_string() })?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Err(Error::Git { command: command(), message: lines.join("; ") })
    }
}
