//! Operations that Pulumi Deployments runs in Pulumi Cloud, from a git repository.

/// Where the program is and what it needs; every stack name must be fully qualified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    pub git: Option<GitSource>,
    pub env: Vec<EnvVar>,
    /// Shell commands that run before the operation.
    pub pre_run_commands: Vec<String>,
    /// Do not install the program's dependencies.
    pub skip_install_dependencies: bool,
    /// Take what is not given here from the stack's deployment settings; `false` takes nothing.
    pub inherit_settings: Option<bool>,
    pub executor_image: Option<ExecutorImage>,
    pub agent_pool: Option<String>,
}

/// A program in a git repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitSource {
    pub url: String,
    /// `refs/heads/NAME` or a plain name. One of branch and commit.
    pub branch: Option<String>,
    pub commit: Option<String>,
    /// The project's folder inside the repository.
    pub project_path: Option<String>,
    pub auth: Option<Authentication>,
}

/// How the repository is read. In an operation on Pulumi Deployments the CLI takes these secrets as
/// arguments only, where other processes of the same user can see them.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    Token(String),
    SshKey { key: String, passphrase: Option<String> },
    SshKeyFile { path: String, passphrase: Option<String> },
    Password { user: String, password: String },
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
pub struct EnvVar {
    pub name: String,
    pub value: String,
    pub secret: bool,
}

impl std::fmt::Debug for EnvVar {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.secret { "[secret]" } else { &self.value };
        write!(formatter, "{}={value}", self.name)
    }
}

/// The image that runs the operation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExecutorImage {
    pub image: String,
    pub username: Option<String>,
    pub password: Option<String>,
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
