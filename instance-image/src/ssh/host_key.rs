//! The key by which this instance is known. It is made at first use and stays with the home, so that it is the same after a
//! restart and in another image.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use contracts::ssh::PublicKey;
use contracts::{ErrorCode, Problem};
use tokio::process::Command;

use super::{Sshd, no_sshd, unusable};

/// In the state's folder.
pub const FILE: &str = "host_ed25519";

/// The public part. A file that is no key, as a full disk leaves one, is replaced.
pub async fn of(sshd: &Sshd, folder: &Path) -> Result<PublicKey, Problem> {
    let file = folder.join(FILE);
    if file.exists() {
        match public(sshd, &file).await {
            Ok(key) => return Ok(key),
            Err(problem) => tracing::warn!(%problem, "the SSH host key cannot be read; another is made"),
        }
    }
    let fresh = folder.join("host_ed25519.new");
    for path in [fresh.clone(), fresh.with_extension("new.pub")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(&path, &error)),
            _ => {}
        }
    }
    let mut make = keygen();
    make.args(["-q", "-t", "ed25519", "-N", "", "-C", "pilot", "-f"]).arg(&fresh);
    sshd.said(&mut make).await?;
    let key = public(sshd, &fresh).await?;
    // There is never half a key under its name.
    fs::rename(&fresh, &file).map_err(|error| unusable(&file, &error))?;
    let _ = fs::remove_file(fresh.with_extension("new.pub"));
    Ok(key)
}

async fn public(sshd: &Sshd, file: &Path) -> Result<PublicKey, Problem> {
    if super::find("ssh-keygen").is_none() {
        return Err(no_sshd());
    }
    let said = sshd.said(keygen().arg("-y").arg("-f").arg(file)).await?;
    PublicKey::of_line(&said)
        .map_err(|_| Problem::new(ErrorCode::Internal, "ssh-keygen did not print a public key"))
}

fn keygen() -> Command {
    Command::new("ssh-keygen")
}
