//! Stands between client and engine, and once, on demand, lets a request through and loses its answer.

#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const ENGINE: &str = "/var/run/docker.sock";

pub struct Proxy {
    folder: tempfile::TempDir,
    /// Part of the head of the request whose answer is lost next.
    victim: Arc<Mutex<Option<String>>>,
}

impl Proxy {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let victim = Arc::new(Mutex::new(None));
        let listener = UnixListener::bind(socket(&folder)).expect("a socket");
        let shared = victim.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, shared.clone()));
            }
        });
        Self { folder, victim }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", socket(&self.folder).display())
    }

    pub fn lose_answer_to(&self, part: &str) {
        *self.victim.lock().expect("not poisoned") = Some(part.to_owned());
    }

    pub fn has_lost(&self) -> bool {
        self.victim.lock().expect("not poisoned").is_none()
    }
}

fn socket(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("docker.sock")
}

async fn relay(mut client: UnixStream, victim: Arc<Mutex<Option<String>>>) {
    let Ok(mut engine) = UnixStream::connect(ENGINE).await else { return };
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    let mut losing = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                let head = String::from_utf8_lossy(&up[..count]).lines().next().unwrap_or_default().to_owned();
                losing = losing || takes(&victim, &head);
                if engine.write_all(&up[..count]).await.is_err() { return }
            }
            read = engine.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                // Its first byte proves that the engine has done the work.
                if losing || client.write_all(&down[..count]).await.is_err() { return }
            }
        }
    }
}

/// True once for the request that was asked for.
fn takes(victim: &Mutex<Option<String>>, head: &str) -> bool {
    let mut wanted = victim.lock().expect("not poisoned");
    let hit = wanted.as_ref().is_some_and(|part| head.contains(part.as_str()));
    if hit {
        *wanted = None;
    }
    hit
}
