//! A connection to an engine through the system's `ssh`, which knows keys, agents, jump hosts and known
//! hosts. It never asks and never accepts a host key that is not known.
//!
//! One login carries all connections to a host, by `ssh`'s own multiplexing: its server drops who logs in too often at a time.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

const OPTIONS: [&str; 4] =
    ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=5", "ServerAliveInterval=15"];
/// The login outlives its last connection by this.
const PERSIST: &str = "ControlPersist=60";
/// A server lets one login have ten sessions, unless its operator has changed that.
const AT_ONCE: usize = 9;
/// A login that its server has dropped is tried again: nothing was asked of the engine before.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
const HELLO: &[u8] = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n";
const LONGEST_ANSWER: usize = 8192;

#[derive(Clone)]
pub(crate) struct Ssh {
    url: String,
    /// The same as words for `ssh`.
    destination: Vec<String>,
    config: Option<PathBuf>,
    login: Arc<Login>,
}

/// What the connections to one host share.
struct Login {
    /// Where `ssh` keeps its socket; nobody else can look into it.
    folder: TempDir,
    connections: Arc<Semaphore>,
    /// Held by who logs in.
    first: Mutex<()>,
}

impl Ssh {
    pub fn to(url: &str, config: Option<PathBuf>) -> io::Result<Self> {
        let (connections, first) = (Arc::new(Semaphore::new(AT_ONCE)), Mutex::default());
        let login = Login { folder: tempfile::tempdir()?, connections, first };
        let destination = destination(url).ok_or_else(|| io::Error::other("it is no address for ssh"))?;
        Ok(Self { url: url.to_owned(), destination, config, login: Arc::new(login) })
    }
}

impl Login {
    fn is_there(&self) -> bool {
        std::fs::read_dir(self.folder.path()).is_ok_and(|mut folder| folder.next().is_some())
    }
}

impl tower_service::Service<Uri> for Ssh {
    type Response = Pipe;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Pipe>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(dial(self.clone()))
    }
}

/// Waits for its turn; the first one logs in while the others wait.
async fn dial(ssh: Ssh) -> io::Result<Pipe> {
    let connection = ssh.login.connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    let mut attempt = 1;
    loop {
        let turn = ssh.login.first.lock().await;
        let turn = (!ssh.login.is_there()).then_some(turn);
        match connect(&ssh).await {
            Err(error) if attempt < ATTEMPTS && is_dropped(&error) => {}
            answer => return answer.map(|(io, child)| Pipe { io, _child: child, _connection: connection }),
        }
        drop(turn);
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// In the words of OpenSSH.
fn is_dropped(error: &io::Error) -> bool {
    let said = error.to_string();
    ["kex_exchange_identification", "Connection reset", "Connection closed by", "Session open refused"]
        .iter()
        .any(|words| said.contains(words))
}

/// Says hello before anything is asked: whatever is wrong with the way is then known to have changed
/// nothing, and `ssh` itself says what it is.
async fn connect(ssh: &Ssh) -> io::Result<(TokioIo<Join<ChildStdout, ChildStdin>>, Child)> {
    let Ssh { url, destination, config, login } = ssh;
    let mut command = Command::new("ssh");
    command.args(config.iter().flat_map(|file| ["-F".as_ref(), file.as_os_str()]));
    command.arg("-T").args(OPTIONS.iter().flat_map(|option| ["-o", option]));
    let folder = login.folder.path().display().to_string().replace('%', "%%");
    let socket = format!("ControlPath=\"{folder}/%C\"");
    command.args(["-o", "ControlMaster=auto", "-o", PERSIST, "-o", &socket]).args(destination);
    command.args(["docker", "system", "dial-stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| io::Error::other(format!("cannot run ssh: {error}")))?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("ssh has no input or output"));
    };
    if let Err(error) = greet(&mut input, &mut output).await {
        let mut said = match error.kind() {
            // It goes on, and waits for more.
            io::ErrorKind::InvalidData => {
                let _ = child.start_kill();
                error.to_string()
            }
            _ => String::new(),
        };
        if let Some(mut errors) = child.stderr.take() {
            let _ = errors.read_to_string(&mut said).await;
        }
        return Err(io::Error::other(format!("ssh {url}: {}", said.trim())));
    }
    Ok((TokioIo::new(tokio::io::join(output, input)), child))
}

async fn greet(input: &mut ChildStdin, output: &mut ChildStdout) -> io::Result<()> {
    input.write_all(HELLO).await?;
    input.flush().await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows belongs to the next request.
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(output.read_u8().await?);
        if answer.len() > LONGEST_ANSWER {
            return Err(not_docker(&answer));
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(not_docker(&answer)) }
}

/// Mostly a shell that greets whoever logs in.
fn not_docker(answer: &[u8]) -> io::Error {
    let first = String::from_utf8_lossy(answer).lines().next().unwrap_or_default().to_owned();
    let words = format!(
        "that host answers {:?} before Docker does: its shell may write nothing where nobody has a terminal. ",
        first.chars().take(80).collect::<String>()
    );
    io::Error::new(io::ErrorKind::InvalidData, words)
}

/// The parts of `ssh://[USER@]HOST[:PORT]` as options: in a URL, OpenSSH takes no address of IPv6. `None` where the port is none.
pub(crate) fn destination(url: &str) -> Option<Vec<String>> {
    let rest = url.strip_prefix("ssh://")?;
    let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return None;
    }
    let option = |name: &str, value: Option<&str>| value.map(|value| [name.to_owned(), value.to_owned()]);
    let options = [option("-l", user), option("-p", port)].into_iter().flatten().flatten();
    Some(options.chain(["--".to_owned(), host.to_owned()]).collect())
}

/// Both directions, and the program that carries them; it ends with them.
pub(crate) struct Pipe {
    io: TokioIo<Join<ChildStdout, ChildStdin>>,
    _child: Child,
    _connection: OwnedSemaphorePermit,
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_to_ssh_by_its_parts() {
        for (url, words) in [
            ("ssh://vps", "-- vps"),
            ("ssh://pilot@vps:2222", "-l pilot -p 2222 -- vps"),
            ("ssh://root@[::1]:7238", "-l root -p 7238 -- ::1"),
            ("ssh://[fd00::6]", "-- fd00::6"),
        ] {
            assert_eq!(destination(url).unwrap().join(" "), words);
        }
        for url in ["ssh://vps:99999", "ssh://vps:0", "ssh://vps:x", "ssh://[::1]:", "vps"] {
            assert_eq!(destination(url), None, "{url}");
        }
    }

    #[test]
    fn a_shell_that_says_something_first_is_quoted() {
        let error = not_docker(b"Welcome to vps\nHTTP/1.1 200 OK\r\n\r\n");
        assert!(error.to_string().contains("\"Welcome to vps\""), "{error}");
    }
}
