//! The arguments of an operation that Pulumi Deployments runs.

use crate::options::{Authentication, Remote};

pub(crate) fn arguments(remote: &Remote) -> Vec<String> {
    let mut argv = vec!["--remote".to_owned()];
    let mut add = |flag: &str, value: &str| argv.push(format!("--{flag}={value}"));
    for variable in &remote.env {
        let flag = if variable.secret { "remote-env-secret" } else { "remote-env" };
        add(flag, &format!("{}={}", variable.name, variable.value));
    }
    for command in &remote.pre_run_commands {
        add("remote-pre-run-command", command);
    }
    if let Some(inherit) = remote.inherit_settings {
        add("remote-inherit-settings", &inherit.to_string());
    }
    if let Some(image) = &remote.executor_image {
        add("remote-executor-image", &image.image);
        optional(&mut add, "remote-executor-image-username", image.username.as_deref());
        optional(&mut add, "remote-executor-image-password", image.password.as_deref());
    }
    optional(&mut add, "remote-agent-pool-id", remote.agent_pool.as_deref());
    if let Some(git) = &remote.git {
        optional(&mut add, "remote-git-branch", git.branch.as_deref());
        optional(&mut add, "remote-git-commit", git.commit.as_deref());
        optional(&mut add, "remote-git-repo-dir", git.project_path.as_deref());
        match &git.auth {
            None => {}
            Some(Authentication::Token(token)) => add("remote-git-auth-access-token", token),
            Some(Authentication::SshKey { key, passphrase }) => {
                add("remote-git-auth-ssh-private-key", key);
                optional(&mut add, "remote-git-auth-password", passphrase.as_deref());
            }
            Some(Authentication::SshKeyFile { path, passphrase }) => {
                add("remote-git-auth-ssh-private-key-path", path);
                optional(&mut add, "remote-git-auth-password", passphrase.as_deref());
            }
            Some(Authentication::Password { user, password }) => {
                add("remote-git-auth-username", user);
                add("remote-git-auth-password", password);
            }
        }
    }
    if remote.skip_install_dependencies {
        argv.push("--remote-skip-install-dependencies".to_owned());
    }
    // The repository is the one positional argument.
    argv.extend(remote.git.iter().map(|git| git.url.clone()).filter(|url| !url.is_empty()));
    argv
}

fn optional(add: &mut impl FnMut(&str, &str), flag: &str, value: Option<&str>) {
    if let Some(value) = value {
        add(flag, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{EnvVar, ExecutorImage, RemoteGit};

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
            "--remote-pre-run-command=make",
            "--remote-inherit-settings=false",
            "--remote-git-branch=refs/heads/main",
            "--remote-git-repo-dir=infra",
            "--remote-git-auth-username=me",
            "--remote-git-auth-password=p",
            "--remote-skip-install-dependencies",
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
                "--remote-executor-image=registry.example.com/runner:3",
                "--remote-executor-image-username=me",
                "--remote-executor-image-password=p",
                "--remote-agent-pool-id=pool-7",
            ]
        );
        assert_eq!(
            arguments(&remote(image(None, None))),
            [
                "--remote",
                "--remote-executor-image=registry.example.com/runner:3",
                "--remote-agent-pool-id=pool-7"
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
            ["--remote", "--remote-git-auth-ssh-private-key=KEY", "--remote-git-auth-password=open"]
        );
        let file = Authentication::SshKeyFile { path: "/keys/id".to_owned(), passphrase: None };
        assert_eq!(authenticated(file), ["--remote", "--remote-git-auth-ssh-private-key-path=/keys/id"]);
    }
}
