//! Operations that Pulumi Deployments runs in Pulumi Cloud, from a git repository.

use crate::setters::setters;

/// Where the program is and what it needs; every stack name must be fully qualified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remote {
    /// Where the program is; absent: as the deployment settings say.
    pub git: Option<GitSource>,
    /// Environment variables of the run.
    pub env: Vec<EnvVar>,
    /// Shell commands that run before the operation.
    pub pre_run_commands: Vec<String>,
    /// Do not install the program's dependencies.
    pub skip_install_dependencies: bool,
    /// Take what is not given here from the stack's deployment settings; `false` takes nothing.
    pub inherit_settings: Option<bool>,
    /// The image to run in, in place of the standard one.
    pub executor_image: Option<ExecutorImage>,
    /// The id of the pool of agents that runs it.
    pub agent_pool: Option<String>,
}

setters!(Remote {
    git(Option<GitSource>),
    env(Vec<EnvVar>),
    pre_run_commands(Vec<String>),
    skip_install_dependencies(bool),
    inherit_settings(Option<bool>),
    executor_image(Option<ExecutorImage>),
    agent_pool(Option<String>),
});

/// A program in a git repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitSource {
    /// The address of the repository.
    pub url: String,
    /// `refs/heads/NAME` or a plain name. One of branch and commit.
    pub branch: Option<String>,
    /// A full hash.
    pub commit: Option<String>,
    /// The project's folder inside the repository.
    pub project_path: Option<String>,
    /// How the repository is read, if it is not public.
    pub auth: Option<Authentication>,
}

setters!(GitSource {
    branch(Option<String>),
    commit(Option<String>),
    project_path(Option<String>),
    auth(Option<Authentication>),
});

impl GitSource {
    /// The repository at this address; a branch or a commit is to be named yet.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

/// How the repository is read. In an operation on Pulumi Deployments the CLI takes these secrets as
/// arguments only, where other processes of the same user can see them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// A personal access token.
    Token(String),
    /// The text of a private key.
    SshKey {
        /// With its line breaks.
        key: String,
        /// If the key is encrypted.
        passphrase: Option<String>,
    },
    /// A file with a private key.
    SshKeyFile {
        /// Of the file.
        path: String,
        /// If the key is encrypted.
        passphrase: Option<String>,
    },
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
}

/// Names the way and hides the secret.
impl std::fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Authentication::Token(_) => "Token",
            Authentication::SshKey { .. } => "SshKey",
            Authentication::SshKeyFile { .. } => "SshKeyFile",
            Authentication::Password { .. } => "Password",
        })
    }
}

/// An environment variable of the remote run.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Pulumi Cloud keeps it encrypted.
    pub secret: bool,
}

impl EnvVar {
    /// In plain text.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), secret: false }
    }

    /// Kept encrypted.
    pub fn secret(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { secret: true, ..Self::new(name, value) }
    }
}

impl std::fmt::Debug for EnvVar {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.secret { "[secret]" } else { &self.value };
        write!(formatter, "{}={value}", self.name)
    }
}

/// The image that runs the operation.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorImage {
    /// As `docker pull` takes it.
    pub image: String,
    /// For its registry.
    pub username: Option<String>,
    /// For its registry.
    pub password: Option<String>,
}

setters!(ExecutorImage { username(Option<String>), password(Option<String>) });

impl ExecutorImage {
    /// A public image.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// Hides the password.
impl std::fmt::Debug for ExecutorImage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ExecutorImage")
            .field("image", &self.image)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
