//! Stands between a module and the engine: passes everything on, or loses answers, hangs, or is away. It can also make a host
//! of it that is larger than the machine.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use provider_api::conformance::Faults;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

const ENGINE: &str = "/var/run/docker.sock";
/// What the first line of a request begins with. Clients send one request at a time on a connection, and
/// its head in one piece.
const METHODS: [&str; 5] = ["GET ", "HEAD ", "POST ", "PUT ", "DELETE "];

#[derive(Clone, Default)]
enum Mode {
    #[default]
    Open,
    /// The answer to the next request with this in its head is lost.
    Losing(String),
    /// The answer to the next request with this in its head comes so much later.
    Delaying(String, Duration),
    /// So many in a hundred are lost, as the seed and the number of the request decide.
    LosingSome {
        percent: u8,
        seed: u64,
        requests: u64,
    },
    Hanging,
}

/// A socket of its own that leads to the machine's engine.
pub struct Proxy {
    folder: tempfile::TempDir,
    mode: Arc<Mutex<Mode>>,
    /// What was connected before a change is cut.
    changes: watch::Sender<()>,
    requests: Arc<AtomicUsize>,
}

impl Proxy {
    /// One that passes everything on.
    #[allow(clippy::missing_panics_doc, reason = "a failed expectation is a failed test")]
    pub async fn start() -> Self {
        Self::larger(1).await
    }

    /// The same as of a host that has so many times the processors and the memory of this machine.
    #[allow(clippy::missing_panics_doc, reason = "a failed expectation is a failed test")]
    pub async fn larger(times: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let mode = Arc::new(Mutex::new(Mode::Open));
        let (changes, changed) = watch::channel(());
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let shared = mode.clone();
        let requests = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut changed, shared) = (changed.clone(), shared.clone());
                let counted = Arc::clone(&counted);
                changed.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = relay(client, shared, counted, times) => {}
                        // Also when the proxy is gone.
                        _ = changed.changed() => {}
                    }
                });
            }
        });
        Self { folder, mode, changes, requests }
    }

    /// Its address, as a module's only host.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// How many requests there were since this was asked before.
    pub fn take_requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }

    /// Once, the request with this in its first line is carried out, and its answer lost.
    pub fn lose_answer_to(&self, part: &str) {
        *lock(&self.mode) = Mode::Losing(part.to_owned());
    }

    /// Once, the request with this in its first line is carried out, and its answer comes so much later.
    pub fn delay_answer_to(&self, part: &str, by: Duration) {
        *lock(&self.mode) = Mode::Delaying(part.to_owned(), by);
    }

    /// Whether that has happened.
    pub fn has_lost(&self) -> bool {
        matches!(*lock(&self.mode), Mode::Open)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn change(&self, mode: Mode) {
        *lock(&self.mode) = mode;
        self.changes.send_replace(());
    }

    fn away(&self) -> PathBuf {
        self.folder.path().join("away.sock")
    }
}

#[async_trait]
impl Faults for Proxy {
    async fn lose_answers(&self, percent: u8, seed: u64) {
        self.change(Mode::LosingSome { percent, seed, requests: 0 });
    }

    async fn hang(&self) {
        self.change(Mode::Hanging);
    }

    async fn unreachable(&self) {
        std::fs::rename(self.socket(), self.away()).expect("the socket goes away");
        self.change(Mode::Open);
    }

    async fn heal(&self) {
        if self.away().exists() {
            std::fs::rename(self.away(), self.socket()).expect("the socket comes back");
        }
        self.change(Mode::Open);
    }
}

async fn relay(mut client: UnixStream, mode: Arc<Mutex<Mode>>, requests: Arc<AtomicUsize>, times: i64) {
    let Ok(mut engine) = UnixStream::connect(ENGINE).await else { return };
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    let mut fate = Fate::Passes;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                let head = String::from_utf8_lossy(&up[..count]).lines().next().unwrap_or_default().to_owned();
                if METHODS.iter().any(|method| head.starts_with(method)) {
                    requests.fetch_add(1, Ordering::Relaxed);
                    fate = decide(&mut lock(&mode), &head);
                }
                if times > 1 && head.starts_with("GET ") && head.contains("/info ") {
                    let Some(answer) = info(times).await else { return };
                    if client.write_all(&answer).await.is_err() { return }
                    continue;
                }
                if fate != Fate::Hangs && engine.write_all(&up[..count]).await.is_err() { return }
            }
            read = engine.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if let Fate::Late(by) = fate {
                    tokio::time::sleep(by).await;
                    fate = Fate::Passes;
                }
                // Its first byte proves that the engine has done the work.
                if fate == Fate::Lost || client.write_all(&down[..count]).await.is_err() { return }
            }
        }
    }
}

/// What the engine says of its host, with so many times the processors and the memory.
async fn info(times: i64) -> Option<Vec<u8>> {
    let docker = bollard::Docker::connect_with_unix(ENGINE, 120, bollard::API_DEFAULT_VERSION).ok()?;
    let mut info = docker.info().await.ok()?;
    info.ncpu = info.ncpu.map(|count| count * times);
    info.mem_total = info.mem_total.map(|bytes| bytes * times);
    let body = serde_json::to_vec(&info).ok()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Some([head.as_bytes(), &body].concat())
}

#[derive(PartialEq)]
enum Fate {
    Passes,
    Lost,
    Late(Duration),
    Hangs,
}

fn decide(mode: &mut Mode, head: &str) -> Fate {
    let lost = match mode {
        Mode::Open => false,
        Mode::Hanging => return Fate::Hangs,
        Mode::Losing(part) => {
            let hit = head.contains(part.as_str());
            if hit {
                *mode = Mode::Open;
            }
            hit
        }
        Mode::Delaying(part, by) if head.contains(part.as_str()) => {
            let by = *by;
            *mode = Mode::Open;
            return Fate::Late(by);
        }
        Mode::Delaying(..) => false,
        Mode::LosingSome { percent, seed, requests } => {
            *requests += 1;
            let mut hasher = DefaultHasher::new();
            (*seed, *requests).hash(&mut hasher);
            hasher.finish() % 100 < u64::from(*percent)
        }
    };
    if lost { Fate::Lost } else { Fate::Passes }
}

fn lock(mode: &Mutex<Mode>) -> MutexGuard<'_, Mode> {
    mode.lock().unwrap_or_else(PoisonError::into_inner)
}
