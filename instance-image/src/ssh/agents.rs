//! Sockets of forwarded agents, which `sshd` makes in `/tmp/ssh-*`. It removes them when a session ends by itself; a session that
//! is hung up or killed leaves them, and each is a file for ever.
//!
//! They are named by the process above the session: the connection's server, or this one where no other user is changed to. A socket of
//! that name to which nobody listens is nobody's.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::process::geteuid;
use tokio::net::UnixStream;

/// Where `sshd` makes them, whatever TMPDIR says.
const BELOW: &str = "/tmp";
/// In a connection's folder: who may have made some, for the boot after this one.
const MAKERS: &str = "makers";

/// Of a connection whose server has ended.
pub async fn sweep(server: u32) {
    remove(Path::new(BELOW), &[server, std::process::id()]).await;
}

/// Of all connections of an instance that was killed.
pub async fn sweep_of(connections: &Path) {
    for folder in fs::read_dir(connections).into_iter().flatten().flatten() {
        let noted = fs::read_to_string(folder.path().join(MAKERS)).unwrap_or_default();
        let makers: Vec<u32> = noted.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        remove(Path::new(BELOW), &makers).await;
    }
}

/// Keeps whose sockets there may be. Without it they stay, and nothing else.
pub fn note(folder: &Path, server: u32) {
    let _ = fs::write(folder.join(MAKERS), format!("{server} {}\n", std::process::id()));
}

async fn remove(below: &Path, makers: &[u32]) {
    for folder in fs::read_dir(below).into_iter().flatten().flatten() {
        let is_ours = |folder: &fs::DirEntry| {
            let found =
                folder.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
            found && folder.file_name().as_encoded_bytes().starts_with(b"ssh-")
        };
        if !is_ours(&folder) {
            continue;
        }
        for maker in makers {
            let socket = folder.path().join(format!("agent.{maker}"));
            // A file that is no socket would refuse, too.
            let is_socket = fs::symlink_metadata(&socket).is_ok_and(|found| found.file_type().is_socket());
            if !is_socket {
                continue;
            }
            let answer = UnixStream::connect(&socket).await;
            if answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                let _ = fs::remove_file(&socket);
                // With another file in it, it is another's.
                let _ = fs::remove_dir(folder.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_of_this_name_goes_when_nobody_listens_and_nothing_else_does() {
        let below = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = below.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let dead = |name: &str| drop(UnixListener::bind(at(name)).unwrap());
        for name in ["ssh-a/agent.7", "ssh-b/agent.70", "other/agent.7", "ssh-c/agent.8"] {
            dead(name);
        }
        let _listens = UnixListener::bind(at("ssh-d/agent.7")).unwrap();
        fs::write(at("ssh-e/agent.7"), "no socket").unwrap();
        dead("ssh-f/agent.7");
        fs::write(at("ssh-f/notes"), "mine").unwrap();
        remove(below.path(), &[7, 8]).await;
        let left = |name: &str| below.path().join(name).exists();
        assert!(!left("ssh-a") && !left("ssh-c") && !left("ssh-f/agent.7"));
        for name in ["ssh-b/agent.70", "other/agent.7", "ssh-d/agent.7", "ssh-f/notes"] {
            assert!(left(name), "{name}");
        }
        assert!(left("ssh-e/agent.7"), "a file is no socket");
    }
}
