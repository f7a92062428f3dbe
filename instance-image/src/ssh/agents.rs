//! Sockets of forwarded agents, which `sshd` makes in `/tmp/ssh-*`. It removes them when a session ends by itself; a session that
//! is hung up or killed leaves them, and each is a file for ever.
//!
//! Each session notes its own in the folder of its connection (`text::session`): which process they are named by differs with who
//! `sshd` is. A socket to which nobody listens is nobody's.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::UnixStream;
use tokio::time::sleep;

/// In a connection's folder: the sockets of its sessions, one a line.
pub const NOTED: &str = "agents";
/// Where `sshd` makes them, whatever TMPDIR says.
const BELOW: &str = "/tmp";
/// What a server has begun listens a moment longer than it.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(4)];

/// Of a connection whose server has ended.
pub async fn sweep(connection: &Path) {
    for pause in PAUSES {
        if !remove(Path::new(BELOW), connection).await {
            return;
        }
        sleep(pause).await;
    }
    remove(Path::new(BELOW), connection).await;
}

/// Of all connections of an instance that was killed.
pub async fn sweep_of(connections: &Path) {
    for folder in fs::read_dir(connections).into_iter().flatten().flatten() {
        remove(Path::new(BELOW), &folder.path()).await;
    }
}

/// Whether somebody listens to one of them still, which stays.
async fn remove(below: &Path, connection: &Path) -> bool {
    let noted = fs::read_to_string(connection.join(NOTED)).unwrap_or_default();
    let mut is_any_left = false;
    for socket in noted.lines().map(Path::new).filter(|socket| is_of_sshd(below, socket)) {
        match UnixStream::connect(socket).await {
            Ok(_) => is_any_left = true,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                let _ = fs::remove_file(socket);
                // With another file in it, it is another's.
                let _ = socket.parent().map(fs::remove_dir);
            }
            Err(_) => {}
        }
    }
    is_any_left
}

/// A socket in a folder as `sshd` makes it for us. The note is a user's to change, and names nothing else to remove.
fn is_of_sshd(below: &Path, socket: &Path) -> bool {
    let Some(folder) = socket.parent().filter(|folder| folder.parent() == Some(below)) else { return false };
    let is_named = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ssh-"));
    let is_ours = || {
        fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
    };
    // A file that is no socket would refuse, too.
    let is_socket = || fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    is_named && is_ours() && is_socket()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_noted_socket_goes_when_nobody_listens_and_nothing_else_does() {
        let below = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = below.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let dead = |name: &str| drop(UnixListener::bind(at(name)).unwrap());
        for name in ["ssh-a/agent.7", "ssh-b/agent.7", "other/agent.7", "ssh-c/agent.8", "ssh-g/h/agent.7"] {
            dead(name);
        }
        let listens = UnixListener::bind(at("ssh-d/agent.7")).unwrap();
        fs::write(at("ssh-e/agent.7"), "no socket").unwrap();
        dead("ssh-f/agent.7");
        fs::write(at("ssh-f/notes"), "mine").unwrap();
        let noted = ["ssh-a/agent.7", "ssh-c/agent.8", "ssh-d/agent.7", "ssh-e/agent.7", "ssh-f/agent.7"];
        let lures = ["other/agent.7", "ssh-g/h/agent.7", "ssh-a/../other/agent.7", "ssh-none/agent.7"];
        let lines = noted.iter().chain(&lures).map(|name| format!("{}/{name}\n", below.path().display()));
        fs::write(at("connection/agents"), lines.collect::<String>()).unwrap();

        assert!(remove(below.path(), &at("connection")).await, "somebody listens to one");
        let left = |name: &str| below.path().join(name).exists();
        assert!(!left("ssh-a") && !left("ssh-c") && !left("ssh-f/agent.7"));
        for name in ["ssh-b/agent.7", "other/agent.7", "ssh-g/h/agent.7", "ssh-d/agent.7", "ssh-f/notes"] {
            assert!(left(name), "{name}");
        }
        assert!(left("ssh-e/agent.7"), "a file is no socket");
        drop(listens);
        assert!(!remove(below.path(), &at("connection")).await && !left("ssh-d"));
    }
}
