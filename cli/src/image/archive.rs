//! What is sent: a file, what comes through a pipe, or what `docker save` writes while it is sent.
//!
//! An image is saved by its id and not by its name: an archive with names in it moves those names wherever it is loaded. That the
//! program failed is only known at its end, so the body breaks there, and what it has said is kept for who is told.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::{ErrorCode, Problem};
use futures_util::{Stream, TryStreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::bytes::Bytes;
use tokio_util::io::ReaderStream;

use crate::args::Push;

const CHUNK: usize = 1 << 18;
/// The name of what comes through a pipe.
const STDIN: &str = "-";
/// Of what a program complains.
const LONGEST_COMPLAINT: u64 = 16 * 1024;

/// Why it could not be made whole.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<Option<Problem>>>);

impl Said {
    pub fn take(&self) -> Option<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, problem: Problem) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }
}

enum Source {
    File { path: PathBuf, file: tokio::fs::File },
    Stdin,
    Saved { reference: String, child: Child },
}

pub struct Archive {
    source: Source,
    /// Where it is known before it is sent.
    pub size: Option<u64>,
    pub said: Said,
}

pub async fn open(wanted: &Push) -> Result<Archive, Problem> {
    let said = Said::default();
    match &wanted.archive {
        Some(path) if path == Path::new(STDIN) => {
            if std::io::stdin().is_terminal() {
                return Err(unreadable(path, "a terminal writes no archive"));
            }
            return Ok(Archive { source: Source::Stdin, size: None, said });
        }
        Some(path) => {
            let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(path, error))?;
            let metadata = file.metadata().await.map_err(|error| unreadable(path, error))?;
            if metadata.is_dir() {
                return Err(unreadable(path, "it is a folder"));
            }
            // What is no file, as a pipe with a name, says no size.
            let size = metadata.is_file().then_some(metadata.len());
            return Ok(Archive { source: Source::File { path: path.clone(), file }, size, said });
        }
        None => {}
    }
    let reference = wanted.reference.clone().unwrap_or_default();
    let id = id(&wanted.docker, &reference).await?;
    let child =
        docker(&wanted.docker, &["save", &id]).spawn().map_err(|error| not_there(&wanted.docker, &error))?;
    Ok(Archive { source: Source::Saved { reference, child }, size: None, said })
}

impl Archive {
    /// `sent` hears of each part.
    pub fn into_body(self, sent: impl Fn(u64) + Send + Sync + 'static) -> reqwest::Body {
        let told = move |chunk: &Bytes| sent(chunk.len() as u64);
        match self.source {
            Source::File { path, file } => {
                let said = self.said;
                let content = ReaderStream::with_capacity(file, CHUNK).inspect_ok(told);
                // That it could not be read to its end is why the request broke.
                reqwest::Body::wrap_stream(
                    content.inspect_err(move |error| said.keep(unreadable(&path, error))),
                )
            }
            Source::Stdin => {
                let content = ReaderStream::with_capacity(tokio::io::stdin(), CHUNK);
                reqwest::Body::wrap_stream(content.inspect_ok(told))
            }
            Source::Saved { reference, child } => {
                reqwest::Body::wrap_stream(saved(reference, child, self.said).inspect_ok(told))
            }
        }
    }
}

/// What the program writes, and an error where it does not end well.
fn saved(reference: String, mut child: Child, said: Said) -> impl Stream<Item = std::io::Result<Bytes>> {
    let content = child.stdout.take().map(|stdout| ReaderStream::with_capacity(stdout, CHUNK));
    let complaint = child.stderr.take().map(|stderr| tokio::spawn(read(stderr)));
    let state = Some((content, child, complaint));
    futures_util::stream::try_unfold(state, move |state| {
        let (reference, said) = (reference.clone(), said.clone());
        async move {
            let Some((mut content, mut child, complaint)) = state else { return Ok(None) };
            if let Some(chunk) = next(&mut content).await? {
                return Ok(Some((chunk, Some((content, child, complaint)))));
            }
            let status = child.wait().await?;
            if status.success() {
                return Ok(None);
            }
            let complaint = match complaint {
                Some(complaint) => complaint.await.unwrap_or_default(),
                None => String::new(),
            };
            said.keep(refused(&reference, &complaint));
            Err(std::io::Error::other("the image could not be saved"))
        }
    })
}

async fn next(content: &mut Option<ReaderStream<ChildStdout>>) -> std::io::Result<Option<Bytes>> {
    match content {
        Some(content) => content.try_next().await,
        None => Ok(None),
    }
}

async fn read(stderr: tokio::process::ChildStderr) -> String {
    let mut text = Vec::new();
    // What is missing of it is missing.
    let _ = stderr.take(LONGEST_COMPLAINT).read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn docker(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn id(program: &Path, reference: &str) -> Result<String, Problem> {
    // What begins like an option is no reference.
    let words = ["image", "inspect", "--format", "{{.Id}}", "--", reference];
    let output = docker(program, &words).output().await.map_err(|error| not_there(program, &error))?;
    if !output.status.success() {
        return Err(refused(reference, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn refused(reference: &str, complaint: &str) -> Problem {
    let code = match complaint.to_lowercase().contains("no such image") {
        true => ErrorCode::ImageMissing,
        false => ErrorCode::DockerUnavailable,
    };
    Problem::new(code, format!("Docker does not save the image {reference}: {complaint}."))
        .with_action("`docker images` lists what is on this machine.")
}

fn not_there(program: &Path, error: &std::io::Error) -> Problem {
    let detail = format!("{} cannot be started: {error}.", program.display());
    Problem::new(ErrorCode::DockerUnavailable, detail)
        .with_action("Install Docker's command, or push an archive with --archive FILE --name NAME:TAG.")
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("{} cannot be read: {why}.", path.display()))
        .with_action("Name a file that `docker save -o FILE IMAGE` has written.")
}
