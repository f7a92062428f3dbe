//! Projects from git repositories, fetched by the system's `git`.

use super::*;
use crate::options::Authentication;
use crate::setters::setters;

mod auth;
mod fetch;
mod refs;

use fetch::Git;
use refs::Target;

/// A project in a git repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitSource {
    /// Anything that `git fetch` takes: `https://...`, `ssh://...`, `user@host:path`, a folder. It is an
    /// argument of a process: no place for a password, which belongs into `auth`.
    pub url: String,
    /// The project's folder inside the repository.
    pub project_path: Option<String>,
    /// A branch (`main`, `refs/heads/main`, `refs/remotes/origin/main`) or a tag (`refs/tags/v1`). Not
    /// together with `commit`; with neither, what the repository's own `HEAD` is.
    pub branch: Option<String>,
    /// A commit's id, in hex.
    pub commit: Option<String>,
    /// Without the history before it, and without tags.
    pub shallow: bool,
    /// How the repository is read. Absent: as `git` itself does it, with the environment of this process: the
    /// user's settings, credential helpers, `ssh` agent and known hosts. With one, nothing of that but the
    /// known hosts counts. Nobody is ever asked anything, and a host that is not known is
    /// [`Error::HostKey`].
    pub auth: Option<Authentication>,
    /// More environment variables for `git`, such as `SSH_AUTH_SOCK`.
    pub env: BTreeMap<String, String>,
    /// How long the fetch may take, or [`Error::TimedOut`]; no limit when absent.
    pub timeout: Option<Duration>,
    /// Where to put it, created if it is not there and empty if it is. A temporary folder when absent,
    /// removed with the last copy of the workspace and of its stacks.
    pub folder: Option<PathBuf>,
}

setters!(GitSource {
    project_path(Option<String>),
    branch(Option<String>),
    commit(Option<String>),
    shallow(bool),
    auth(Option<Authentication>),
    env(BTreeMap<String, String>),
    timeout(Option<Duration>),
    folder(Option<PathBuf>),
});

impl GitSource {
    /// The repository at this address, at its own `HEAD`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

impl Workspace {
    /// Fetches a project and opens it as [`Workspace::local`] does. [`Error::Git`] when it cannot be
    /// fetched, [`Error::Invalid`] when `source` contradicts itself. Dropping the future ends the fetch.
    pub async fn git(
        engine: impl Engine + 'static,
        source: &GitSource,
        home: impl Into<PathBuf>,
        backend: Backend,
    ) -> Result<Self> {
        Self::git_with_setup(engine, source, home, backend, |_| async { Ok(()) }).await
    }

    /// As [`Workspace::git`]; `setup` runs once the project is there, to install what its program needs.
    pub async fn git_with_setup<F>(
        engine: impl Engine + 'static,
        source: &GitSource,
        home: impl Into<PathBuf>,
        backend: Backend,
        setup: impl FnOnce(Workspace) -> F + Send,
    ) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let home = home.into();
        std::fs::create_dir_all(&home).map_err(Error::io("create Pulumi's home folder"))?;
        let (folder, keep) = destination(source)?;
        let project = folder.join(refs::inside(source.project_path.as_deref())?);
        let target = Target::of(source)?;
        let git = Git::new(&folder, &home, source)?;
        match source.timeout {
            None => git.fetch(&target).await?,
            Some(timeout) => tokio::time::timeout(timeout, git.fetch(&target))
                .await
                .map_err(|_| Error::TimedOut { timeout })??,
        }
        let mut workspace = Self::local(engine, project, home, backend)?;
        workspace.place.keep = keep;
        setup(workspace.clone()).await?;
        Ok(workspace)
    }
}

fn destination(source: &GitSource) -> Result<(PathBuf, Option<Arc<tempfile::TempDir>>)> {
    let Some(folder) = &source.folder else {
        let folder = tempfile::tempdir().map_err(Error::io("make a temporary folder"))?;
        return Ok((folder.path().to_owned(), Some(Arc::new(folder))));
    };
    std::fs::create_dir_all(folder).map_err(Error::io("create the project folder"))?;
    let mut entries = std::fs::read_dir(folder).map_err(Error::io("read the project folder"))?;
    if entries.next().is_some() {
        return Err(invalid(format!("{} is not empty", folder.display())));
    }
    Ok((folder.clone(), None))
}

fn invalid(message: String) -> Error {
    Error::Invalid { command: "git source".to_owned(), message }
}

#[cfg(test)]
mod tests;
