//! The options of an operation that Pulumi Deployments runs.

use crate::engine::Command;
use crate::options::{Authentication, EnvVar, Remote, RemoteGit};

pub(super) fn add(command: Command, remote: &Remote) -> Command {
    let pairs = |secret| {
        let of_kind = remote.env.iter().filter(move |variable| variable.secret == secret);
        of_kind.map(|EnvVar { name, value, .. }| format!("{name}={value}"))
    };
    let command = command
        .flag("remote", true)
        .values("remote-env", pairs(false))
        .values("remote-env-secret", pairs(true))
        .values("remote-pre-run-command", remote.pre_run_commands.iter().cloned())
        .option("remote-inherit-settings", remote.inherit_settings)
        .option("remote-agent-pool-id", remote.agent_pool.as_deref())
        .flag("remote-skip-install-dependencies", remote.skip_install_dependencies);
    let command = match &remote.executor_image {
        Some(image) => command
            .option("remote-executor-image", Some(image.image.as_str()))
            .option("remote-executor-image-username", image.username.as_deref())
            .option("remote-executor-image-password", image.password.as_deref()),
        None => command,
    };
    match &remote.git {
        Some(git) => of_git(command, git),
        None => command,
    }
}

fn of_git(command: Command, git: &RemoteGit) -> Command {
    let command = command
        .option("remote-git-branch", git.branch.as_deref())
        .option("remote-git-commit", git.commit.as_deref())
        .option("remote-git-repo-dir", git.project_path.as_deref())
        // The repository is the one argument.
        .args((!git.url.is_empty()).then_some(git.url.as_str()));
    let (flag, value, password) = match &git.auth {
        None => return command,
        Some(Authentication::Token(token)) => ("access-token", token, None),
        Some(Authentication::SshKey { key, passphrase }) => ("ssh-private-key", key, passphrase.as_deref()),
        Some(Authentication::SshKeyFile { path, passphrase }) => {
            ("ssh-private-key-path", path, passphrase.as_deref())
        }
        Some(Authentication::Password { user, password }) => ("username", user, Some(password.as_str())),
    };
    command
        .option(&format!("remote-git-auth-{flag}"), Some(value.as_str()))
        .option("remote-git-auth-password", password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::of_command;
    use crate::options::ExecutorImage;

    fn arguments(remote: &Remote) -> Vec<String> {
        of_command(&add(Command::default(), remote))
    }

    fn authenticated(auth: Authentication) -> Vec<String> {
        let git = RemoteGit { auth: Some(auth), ..RemoteGit::default() };
        arguments(&Remote { git: Some(git), ..Remote::default() })
    }

    #[test]
    fn a_remote_run_names_its_repository_last_and_its_secrets_as_such() {
        let git = RemoteGit {
            url: "https://example.com/r.git".to_owned(),
            branch: Some("refs/heads/main".to_owned()),
            project_path: Some("infra".to_owned()),
            auth: Some(Authentication::Password { user: "me".to_owned(), password: "p".to_owned() }),
            ..RemoteGit::default()
        };
        let remote = Remote {
            git: Some(git),
            env: vec![
                EnvVar { name: "A".to_owned(), value: "1".to_owned(), secret: false },
                EnvVar { name: "T".to_owned(), value: "s".to_owned(), secret: true },
            ],
            pre_run_commands: vec!["make".to_owned()],
            skip_install_dependencies: true,
            inherit_settings: Some(false),
            ..Remote::default()
        };
        let expected = [
            "--remote",
            "--remote-env=A=1",
            "--remote-env-secret=T=s",
            "--remote-git-auth-password=p",
            "--remote-git-auth-username=me",
            "--remote-git-branch=refs/heads/main",
            "--remote-git-repo-dir=infra",
            "--remote-inherit-settings=false",
            "--remote-pre-run-command=make",
            "--remote-skip-install-dependencies",
            "--",
            "https://example.com/r.git",
        ];
        assert_eq!(arguments(&remote), expected);
    }

    #[test]
    fn a_remote_run_has_an_image_and_a_pool_of_its_own() {
        let image = |username: Option<&str>, password: Option<&str>| ExecutorImage {
            image: "registry.example.com/runner:3".to_owned(),
            username: username.map(str::to_owned),
            password: password.map(str::to_owned),
        };
        let remote = |image| Remote {
            executor_image: Some(image),
            agent_pool: Some("pool-7".to_owned()),
            ..Remote::default()
        };
        assert_eq!(
            arguments(&remote(image(Some("me"), Some("p")))),
            [
                "--remote",
                "--remote-agent-pool-id=pool-7",
                "--remote-executor-image=registry.example.com/runner:3",
                "--remote-executor-image-password=p",
                "--remote-executor-image-username=me",
            ]
        );
        assert_eq!(
            arguments(&remote(image(None, None))),
            [
                "--remote",
                "--remote-agent-pool-id=pool-7",
                "--remote-executor-image=registry.example.com/runner:3"
            ]
        );
    }

    #[test]
    fn a_remote_repository_is_read_with_a_token_or_an_ssh_key() {
        let token = authenticated(Authentication::Token("t".to_owned()));
        assert_eq!(token, ["--remote", "--remote-git-auth-access-token=t"]);
        let passphrase = Some("open".to_owned());
        let key = authenticated(Authentication::SshKey { key: "KEY".to_owned(), passphrase });
        assert_eq!(
            key,
            ["--remote", "--remote-git-auth-password=open", "--remote-git-auth-ssh-private-key=KEY"]
        );
        let file = Authentication::SshKeyFile { path: "/keys/id".to_owned(), passphrase: None };
        assert_eq!(authenticated(file), ["--remote", "--remote-git-auth-ssh-private-key-path=/keys/id"]);
    }
}
