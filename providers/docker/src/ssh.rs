//! A connection to an engine through the system's `ssh`, which knows keys, agents, jump hosts and known
//! hosts. It never asks and never accepts a host key that is not known.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const OPTIONS: [&str; 4] =
    ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=5", "ServerAliveInterval=15"];
const HELLO: &[u8] = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n";
const LONGEST_ANSWER: usize = 8192;

#[derive(Clone)]
pub(crate) struct Ssh {
    url: String,
    config: Option<PathBuf>,
}

impl Ssh {
    pub fn to(url: &str, config: Option<PathBuf>) -> Self {
        Self { url: url.to_owned(), config }
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

/// Says hello before anything is asked: whatever is wrong with the way is then known to have changed
/// nothing, and `ssh` itself says what it is.
async fn dial(Ssh { url, config }: Ssh) -> io::Result<Pipe> {
    let mut command = Command::new("ssh");
    command.args(config.iter().flat_map(|file| ["-F".as_ref(), file.as_os_str()]));
    command.arg("-T").args(OPTIONS.iter().flat_map(|option| ["-o", option])).arg("--").arg(&url);
    command.args(["docker", "system", "dial-stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| io::Error::other(format!("cannot run ssh: {error}")))?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("ssh has no input or output"));
    };
    if greet(&mut input, &mut output).await.is_err() {
        let mut said = String::new();
        if let Some(mut errors) = child.stderr.take() {
            let _ = errors.read_to_string(&mut said).await;
        }
        return Err(io::Error::other(format!("ssh {url}: {}", said.trim())));
    }
    Ok(Pipe { io: TokioIo::new(tokio::io::join(output, input)), _child: child })
}

async fn greet(input: &mut ChildStdin, output: &mut ChildStdout) -> io::Result<()> {
    input.write_all(HELLO).await?;
    input.flush().await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows belongs to the next request.
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(output.read_u8().await?);
        if answer.len() > LONGEST_ANSWER {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Both directions, and the program that carries them; it ends with them.
pub(crate) struct Pipe {
    io: TokioIo<Join<ChildStdout, ChildStdin>>,
    _child: Child,
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
