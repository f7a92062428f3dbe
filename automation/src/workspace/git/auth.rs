//! How `git` proves who asks. Secrets are in files of a private folder that goes with the fetch; neither
//! arguments nor the environment hold them.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::invalid;
use crate::error::{Error, Result};
use crate::options::Authentication;

/// Environment variables, and the folder that they refer to.
#[derive(Debug, Default)]
pub(super) struct Proof {
    pub env: Vec<(String, String)>,
    _folder: Option<tempfile::TempDir>,
}

impl Proof {
    pub fn of(auth: Option<&Authentication>) -> Result<Self> {
        let Some(auth) = auth else { return Ok(Self::default()) };
        let folder = tempfile::tempdir().map_err(Error::io("make a folder for git's credentials"))?;
        let write = |name: &str, content: &str| {
            private(folder.path(), name, content).map_err(Error::io("write git's credentials"))
        };
        let env = match auth {
            // The user's name of a token can be anything but empty.
            Authentication::Token(token) => helper(&write("login", &login("git", token)?)?),
            Authentication::Password { user, password } => helper(&write("login", &login(user, password)?)?),
            Authentication::SshKeyFile { path, passphrase } => {
                ssh(Path::new(path), passphrase.as_deref(), write)?
            }
            Authentication::SshKey { key, passphrase } => {
                // OpenSSH refuses a key without its last line break.
                let key = write("key", &format!("{}\n", key.trim_end()))?;
                ssh(&key, passphrase.as_deref(), write)?
            }
        };
        Ok(Self { env, _folder: Some(folder) })
    }
}

/// What git's credential helpers print.
fn login(user: &str, password: &str) -> Result<String> {
    if user.contains(['\n', '\0']) || password.contains(['\n', '\0']) {
        return Err(invalid("a user's name and password are one line each".to_owned()));
    }
    Ok(format!("username={user}\npassword={password}\n"))
}

fn helper(file: &Path) -> Vec<(String, String)> {
    let config = [
        // The first empties the list of helpers.
        ("credential.helper", String::new()),
        ("credential.helper", format!("!f() {{ test \"$1\" = get && cat {}; }}; f", quoted(file))),
    ];
    let mut env = vec![("GIT_CONFIG_COUNT".to_owned(), config.len().to_string())];
    for (at, (key, value)) in config.into_iter().enumerate() {
        env.push((format!("GIT_CONFIG_KEY_{at}"), key.to_owned()));
        env.push((format!("GIT_CONFIG_VALUE_{at}"), value));
    }
    env
}

fn ssh(
    key: &Path,
    passphrase: Option<&str>,
    write: impl Fn(&str, &str) -> Result<PathBuf>,
) -> Result<Vec<(String, String)>> {
    let mut command = format!("ssh -i {} -o IdentitiesOnly=yes", quoted(key));
    let mut env = Vec::new();
    match passphrase {
        // Nobody is there to answer.
        None => command.push_str(" -o BatchMode=yes"),
        Some(passphrase) => {
            let file = write("passphrase", &format!("{passphrase}\n"))?;
            let script = write("askpass", &format!("#!/bin/sh\nexec cat {}\n", quoted(&file)))?;
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))
                .map_err(Error::io("write git's credentials"))?;
            env.push(("SSH_ASKPASS".to_owned(), script.display().to_string()));
            env.push(("SSH_ASKPASS_REQUIRE".to_owned(), "force".to_owned()));
        }
    }
    env.push(("GIT_SSH_COMMAND".to_owned(), command));
    Ok(env)
}

fn private(folder: &Path, name: &str, content: &str) -> std::io::Result<PathBuf> {
    let path = folder.join(name);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(content.as_bytes())?;
    Ok(path)
}

/// For a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(auth: &Authentication) -> String {
        let proof = Proof::of(Some(auth)).unwrap();
        assert!(!format!("{:?}", proof.env).contains("hush"), "the environment holds no secret");
        let mut child = std::process::Command::new("git")
            .args(["credential", "fill"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(proof.env.iter().map(|(key, value)| (key, value)))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"protocol=https\nhost=example.com\n\n").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn git_is_told_a_token_or_a_password_when_it_asks() {
        let told = ask(&Authentication::Token("hush".to_owned()));
        assert!(told.contains("username=git\npassword=hush\n"), "{told}");
        let told = ask(&Authentication::Password { user: "me".to_owned(), password: "hush 'x".to_owned() });
        assert!(told.contains("username=me\npassword=hush 'x\n"), "{told}");
    }

    #[test]
    fn a_password_cannot_bring_other_answers_with_it() {
        let auth = Authentication::Token("a\nurl=https://elsewhere".to_owned());
        assert!(matches!(Proof::of(Some(&auth)), Err(Error::Invalid { .. })));
    }

    #[test]
    fn ssh_gets_one_key_and_its_passphrase_from_private_files() {
        let key = Authentication::SshKey { key: "KEY hush".to_owned(), passphrase: Some("hush".to_owned()) };
        let proof = Proof::of(Some(&key)).unwrap();
        assert!(!format!("{:?}", proof.env).contains("hush"));
        let folder = proof._folder.as_ref().unwrap().path();
        let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("key"), mode("passphrase"), mode("askpass")), (0o600, 0o600, 0o700));
        assert_eq!(std::fs::read_to_string(folder.join("key")).unwrap(), "KEY hush\n");
        let answer = std::process::Command::new(folder.join("askpass")).output().unwrap();
        assert_eq!(answer.stdout, b"hush\n");
        let file = Authentication::SshKeyFile { path: "/k's".to_owned(), passphrase: None };
        let expected = "ssh -i '/k'\\''s' -o IdentitiesOnly=yes -o BatchMode=yes";
        assert_eq!(
            Proof::of(Some(&file)).unwrap().env,
            [("GIT_SSH_COMMAND".to_owned(), expected.to_owned())]
        );
    }
}
