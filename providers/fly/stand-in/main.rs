//! Stands in for an instance's init in this crate's tests: listens where it is told, keeps a text in
//! memory (a line `set TEXT` or `get`), takes its boot files, gives the home to its user, and ends on SIGTERM. `behave-die` in its home makes it end at once.

use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    if home.join("behave-die").exists() {
        return ExitCode::from(7);
    }
    if let Some(folder) = std::env::var_os("PILOT_BOOT_FOLDER") {
        take(folder.as_ref(), &home);
    }
    if let Some(user) = std::env::var("PILOT_USER").ok().and_then(|user| user.parse().ok()) {
        give(&home, user);
    }
    let address = std::env::var("PILOT_LISTEN").unwrap_or_default();
    let Ok(mut term) = signal(SignalKind::terminate()) else { return ExitCode::from(2) };
    let Ok(listener) = TcpListener::bind(&address).await else { return ExitCode::from(3) };
    let memory = Arc::new(Mutex::new(String::new()));
    loop {
        tokio::select! {
            _ = term.recv() => return ExitCode::SUCCESS,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(converse(stream, memory.clone()));
                }
            }
        }
    }
}

/// As the init does where it is root; anybody else owns it already, and may not.
fn give(path: &Path, user: u32) {
    let _ = lchown(path, Some(user), Some(user));
    if path.is_dir() && !path.is_symlink() {
        std::fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| give(&entry.path(), user));
    }
}

/// The boot files that are beside the home; nobody sees half of one.
fn take(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            let _ = std::fs::create_dir_all(&place);
            take(&path, &place);
        } else {
            let draft = place.with_extension("new");
            let _ = std::fs::copy(&path, &draft).and_then(|_| std::fs::rename(&draft, &place));
        }
    }
}

async fn converse(stream: TcpStream, memory: Arc<Mutex<String>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(text) = line.strip_prefix("set ") {
                text.clone_into(&mut memory);
            }
            format!("{memory}\n")
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
