//! The first content of a workspace: a clone that is either complete or not there.
//!
//! The repository is cloned beside the workspace and moved into place at the end, so that a clone that
//! was killed never looks finished. Nothing is asked of anyone: a repository that needs a login is
//! reported as not found.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use contracts::ErrorCode;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use url::Url;

use crate::children::Children;

mod classify;

/// Git's last words that are kept for the person who reads the error.
const TAIL_BYTES: usize = 2000;

const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// What to clone and where to.
#[derive(Debug, Clone)]
pub struct Source {
    pub url: String,
    pub reference: Option<String>,
    pub timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    #[error("the git source {url} is not usable: {reason}")]
    Refused { url: String, reason: &'static str },
    #[error("git is not installed in this instance, so {url} cannot be cloned")]
    NoGit { url: String },
    #[error("{url} was not cloned within {} seconds", limit.as_secs())]
    TooSlow { url: String, limit: Duration },
    #[error("git could not clone {url}: {tail}")]
    Git { url: String, tail: String, code: ErrorCode },
    #[error("the clone of {url} cannot be put into {folder}: {source}")]
    Folder { url: String, folder: String, source: io::Error },
}

impl CloneError {
    /// The stable code for the instance's health.
    pub fn code(&self) -> ErrorCode {
        match self {
            CloneError::Refused { .. } => ErrorCode::InvalidGitUrl,
            CloneError::NoGit { .. } => ErrorCode::InstanceFailed,
            CloneError::TooSlow { .. } => ErrorCode::GitUnreachable,
            CloneError::Git { code, .. } => *code,
            CloneError::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorCode::StoreFull
            }
            CloneError::Folder { .. } => ErrorCode::InstanceFailed,
        }
    }
}

/// True when there is nothing in the folder, or no folder.
pub fn is_empty(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Clones into `workspace`, which must be empty or absent.
pub async fn clone(source: &Source, workspace: &Path, children: &Children) -> Result<(), CloneError> {
    refuse_unusable(source)?;
    let folder_error = |error| CloneError::Folder {
        url: source.url.clone(),
        folder: workspace.display().to_string(),
        source: error,
    };
    let unfinished = unfinished(workspace);
    remove(&unfinished).map_err(folder_error)?;
    if let Some(parent) = workspace.parent() {
        std::fs::create_dir_all(parent).map_err(folder_error)?;
    }
    let outcome = run_git(source, &unfinished, children).await;
    if let Err(error) = outcome {
        // The next boot removes it as well.
        let _ = remove(&unfinished);
        return Err(error);
    }
    // Replaces an empty folder in one step.
    std::fs::rename(&unfinished, workspace).map_err(folder_error)
}

fn refuse_unusable(source: &Source) -> Result<(), CloneError> {
    let refuse = |reason| Err(CloneError::Refused { url: source.url.clone(), reason });
    let Ok(url) = Url::parse(&source.url) else {
        return refuse("it is not a URL");
    };
    if !SCHEMES.contains(&url.scheme()) {
        return refuse("only https, http, ssh, git and file are supported");
    }
    match &source.reference {
        Some(reference) if reference.starts_with('-') => refuse("a branch or tag cannot begin with '-'"),
        _ => Ok(()),
    }
}

/// In the same folder as the workspace, so that the rename cannot cross a file system.
fn unfinished(workspace: &Path) -> PathBuf {
    let name = workspace.file_name().unwrap_or_default().to_string_lossy();
    workspace.with_file_name(format!(".{name}.unfinished-clone"))
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn run_git(source: &Source, into: &Path, children: &Children) -> Result<(), CloneError> {
    let url = source.url.clone();
    let mut git = match children.spawn(&mut command(source, into)) {
        Ok(git) => git,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(CloneError::NoGit { url }),
        Err(error) => {
            return Err(CloneError::Folder { url, folder: into.display().to_string(), source: error });
        }
    };
    let mut said = git.child.stderr.take();
    let finished = async {
        let mut tail = Vec::new();
        if let Some(said) = &mut said {
            keep_tail(said, &mut tail).await;
        }
        (git.wait().await, tail)
    };
    // Dropping `git` ends its whole group.
    let Ok((status, tail)) = tokio::time::timeout(source.timeout, finished).await else {
        return Err(CloneError::TooSlow { url, limit: source.timeout });
    };
    if status.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let tail = String::from_utf8_lossy(&tail).trim().to_owned();
    Err(CloneError::Git { url, code: classify::code(&tail), tail })
}

fn command(source: &Source, into: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .args([
            "-c",
            "credential.helper=",
            "-c",
            "core.askPass=",
            "clone",
            "--quiet",
            "--no-recurse-submodules",
        ])
        .args(source.reference.as_ref().map(|reference| format!("--branch={reference}")))
        .arg("--")
        .arg(&source.url)
        .arg(into)
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env_remove("GIT_ASKPASS")
        .env_remove("SSH_ASKPASS")
        .env(
            "GIT_SSH_COMMAND",
            "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=20",
        )
        .env("GIT_ALLOW_PROTOCOL", SCHEMES.join(":"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Reads to the end and keeps the last bytes.
async fn keep_tail(said: &mut tokio::process::ChildStderr, tail: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = said.read(&mut chunk).await {
        tail.extend_from_slice(&chunk[..count]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
}

#[cfg(test)]
mod tests;
