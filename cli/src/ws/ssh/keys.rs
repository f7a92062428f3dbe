//! The `ssh` folder beside `contexts.json`: the one key pair of this command, and by which key each instance is known.
//!
//! The private key goes nowhere. Its public part is of use only to who has the server's token as well, because each
//! connection brings the key that may use it.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use contracts::ssh::PublicKey;
use contracts::{ErrorCode, Problem};

use crate::kept::Turn;

/// What is kept for SSH.
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    pub fn below(config: &Path) -> Result<Self, Problem> {
        let folder = config.join("ssh");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| unusable(&folder, &error))?;
        let folder = std::path::absolute(&folder).map_err(|error| unusable(&folder, &error))?;
        Ok(Self { folder })
    }

    pub fn private(&self) -> PathBuf {
        self.folder.join("id_ed25519")
    }

    /// Entries for ssh, one file for each server.
    pub fn entries(&self) -> Result<PathBuf, Problem> {
        self.made("config.d")
    }

    /// Where it is kept by which key a workspace's instance is known.
    pub fn known_hosts(&self, server: &str, slug: &str) -> Result<PathBuf, Problem> {
        Ok(self.made("known_hosts")?.join(format!("{server}.{slug}")))
    }

    fn made(&self, name: &str) -> Result<PathBuf, Problem> {
        let folder = self.folder.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| unusable(&folder, &error))?;
        Ok(folder)
    }

    /// The public part of the pair, which is made when there is none. Of two commands at once one makes it.
    pub fn public(&self) -> Result<PublicKey, Problem> {
        let private = self.private();
        let turn = Turn::of(private.clone()).map_err(|error| unusable(&private, &error))?;
        if !private.exists() {
            let fresh = self.folder.join("id_ed25519.new");
            for left in [fresh.clone(), fresh.with_extension("new.pub")] {
                match fs::remove_file(&left) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(&left, &error)),
                    _ => {}
                }
            }
            let comment = ["-q", "-t", "ed25519", "-N", "", "-C", "pilot", "-f"];
            keygen(Command::new("ssh-keygen").args(comment).arg(&fresh))?;
            let _ = fs::rename(fresh.with_extension("new.pub"), private.with_extension("pub"));
            fs::rename(&fresh, &private).map_err(|error| unusable(&private, &error))?;
        }
        drop(turn);
        let said = keygen(Command::new("ssh-keygen").arg("-y").arg("-f").arg(&private))?;
        PublicKey::of_line(&said).map_err(|error| {
            Problem::new(ErrorCode::BadRequest, format!("{} is not used: {error}.", private.display()))
                .with_action("Move it away; the next connection makes another.")
        })
    }
}

/// Writes down the key that the server told of the instance. True when it had another before.
pub fn learn(file: &Path, key: &PublicKey) -> Result<bool, Problem> {
    // The file is of one workspace, so its line is for whatever name the workspace is called by.
    let line = format!("* {key}\n");
    let before = fs::read_to_string(file).unwrap_or_default();
    if before == line {
        return Ok(false);
    }
    let written = Turn::of(file.to_owned()).and_then(|turn| turn.write_bytes(line.as_bytes()));
    written.map_err(|error| unusable(file, &error))?;
    Ok(!before.is_empty())
}

fn keygen(command: &mut Command) -> Result<String, Problem> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => no_openssh("ssh-keygen"),
        _ => Problem::new(ErrorCode::Internal, format!("ssh-keygen cannot be run: {error}.")),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(Problem::new(ErrorCode::BadRequest, format!("ssh-keygen failed: {}", why.trim())))
}

pub fn no_openssh(program: &str) -> Problem {
    Problem::new(ErrorCode::CapabilityUnsupported, format!("This machine has no program `{program}`."))
        .with_title("OpenSSH is not installed here")
        .with_action("Install it, with `apt-get install openssh-client` or as your system does it.")
}

fn unusable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("{} cannot be used: {error}.", path.display()))
        .with_action("Name a folder that you may write to with --config or PILOT_CONFIG.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_pair_is_made_however_many_ask_at_once_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::below(folder.path()).unwrap();
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| keys.public().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|key| *key == all[0]), "{all:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.path().join("ssh")), mode(&keys.private())), (0o700, 0o600));
    }

    #[test]
    fn another_key_of_an_instance_is_told_and_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::below(folder.path()).unwrap();
        let file = keys.known_hosts("here", "demo").unwrap();
        let key = keys.public().unwrap();
        assert!(!learn(&file, &key).unwrap() && !learn(&file, &key).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("* {key}\n"));
        let other = Keys::below(&folder.path().join("other")).unwrap().public().unwrap();
        assert!(learn(&file, &other).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("* {other}\n"));
    }
}
