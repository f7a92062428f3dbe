//! Keeps OpenCode running: starts it, watches it, starts it again when it dies or falls silent.
//!
//! It publishes what happens and decides when to give up; it never touches the workspace's content.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use contracts::ErrorCode;
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::boot;
use crate::children::{Children, Owned};
use crate::readiness::Probe;
use crate::state::{Event, Publisher};

mod backoff;
mod output;
mod watching;

use backoff::Backoff;
use output::Output;

/// How long OpenCode may take to end by itself; it needs about 80 ms.
const STOP_GRACE: Duration = Duration::from_secs(4);

/// Deaths in a row, before it ever answered, after which another try is pointless.
const HOPELESS: u32 = 5;

/// A port that a stopped predecessor still holds is free again after a moment.
const PORT_TRIES: u32 = 20;
const PORT_PAUSE: Duration = Duration::from_millis(100);

/// How to start OpenCode.
#[derive(Debug, Clone)]
pub struct OpenCode {
    pub binary: PathBuf,
    pub port: u16,
    pub password: String,
    pub home: PathBuf,
    pub workspace: PathBuf,
}

/// What keeps one OpenCode running.
pub struct Supervisor {
    pub opencode: OpenCode,
    pub probe: Probe,
    pub children: Children,
    pub publisher: Publisher,
    pub stop: CancellationToken,
}

/// How one run of OpenCode ended.
enum End {
    /// The instance is stopping; OpenCode has ended.
    Stopped,
    /// Another run cannot do better.
    Hopeless(Event),
    Ended {
        why: String,
        lived: Duration,
        answered: bool,
    },
}

impl Supervisor {
    /// Runs OpenCode until `stop`; then ends it. Returns early only when it gave up.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        let mut answered_once = false;
        self.publisher.tell(Event::Began("OpenCode is starting".to_owned()));
        loop {
            let why = match self.run_once(answered_once).await {
                End::Stopped => return,
                End::Hopeless(event) => return self.publisher.tell(event),
                End::Ended { why, lived, answered } => {
                    answered_once |= answered;
                    backoff.note(lived, answered);
                    why
                }
            };
            if !answered_once && backoff.failures() >= HOPELESS {
                let why = format!("OpenCode ended {HOPELESS} times before it answered; {why}");
                return self.publisher.tell(Event::GaveUp { code: ErrorCode::InstanceFailed, why });
            }
            self.publisher.tell(Event::Lost(format!("{why}; it is being started again")));
            tokio::select! {
                () = sleep(backoff.pause()) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn run_once(&self, answered_once: bool) -> End {
        let ended = |why| End::Ended { why, lived: Duration::ZERO, answered: false };
        // The user may have removed it since the last start.
        if let Err(error) = boot::make_folder(&self.opencode.workspace) {
            return ended(error.to_string());
        }
        if !port_is_free(self.opencode.port).await {
            let why = format!("port {} on loopback is used by another program", self.opencode.port);
            return End::Hopeless(Event::GaveUp { code: ErrorCode::PortInUse, why });
        }
        let mut process = match self.children.spawn(&mut command(&self.opencode)) {
            Ok(process) => process,
            // What ran before is there; an update may just be replacing it.
            Err(error) if answered_once || error.kind() == io::ErrorKind::ExecutableFileBusy => {
                return ended(format!("OpenCode cannot be started: {error}"));
            }
            Err(error) => return End::Hopeless(cannot_start(&self.opencode, &error)),
        };
        let output = Output::of(&mut process.child);
        let watched = tokio::select! {
            watched = watching::watch(&mut process, &self.probe, &self.publisher) => watched,
            () = self.stop.cancelled() => {
                self.publisher.tell(Event::Lost("the instance is stopping".to_owned()));
                end(process).await;
                return End::Stopped;
            }
        };
        process.kill_group();
        let why = format!("{}{}", watched.why, output.last_words().await);
        End::Ended { why, lived: watched.lived, answered: watched.answered }
    }
}

async fn port_is_free(port: u16) -> bool {
    for _ in 0..PORT_TRIES {
        if tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return true;
        }
        sleep(PORT_PAUSE).await;
    }
    false
}

fn command(opencode: &OpenCode) -> Command {
    let mut command = Command::new(&opencode.binary);
    command
        .args(["serve", "--hostname", "127.0.0.1", "--port"])
        .arg(opencode.port.to_string())
        .current_dir(&opencode.workspace)
        .env("HOME", &opencode.home)
        .env("OPENCODE_SERVER_PASSWORD", &opencode.password)
        // The version is pinned; a download would also race with the first request.
        .env("OPENCODE_DISABLE_AUTOUPDATE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Left over from a shell in which Pilot was started: they would move state out of this home, change
    // the login that we use, or take the web page away.
    for name in [
        "OPENCODE_SERVER_USERNAME",
        "OPENCODE_DISABLE_EMBEDDED_WEB_UI",
        "OPENCODE_DB",
        "OPENCODE_PID",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
    ] {
        command.env_remove(name);
    }
    command
}

fn cannot_start(opencode: &OpenCode, error: &io::Error) -> Event {
    let binary = opencode.binary.display();
    // The working folder was made just before, so "not found" is about the binary.
    let (code, why) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            (ErrorCode::OpencodeMissing, format!("opencode_missing: {binary} cannot be run: {error}"))
        }
        _ => (ErrorCode::InstanceFailed, format!("{binary} cannot be started: {error}")),
    };
    Event::GaveUp { code, why }
}

/// Politely first; its tools and terminals are ended by the caller with everything else.
async fn end(mut process: Owned) {
    process.signal(Signal::TERM);
    if timeout(STOP_GRACE, process.wait()).await.is_err() {
        tracing::warn!("OpenCode did not end by itself");
    }
    process.kill_group();
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("OpenCode ended ({status})"),
        Err(error) => format!("OpenCode is gone ({error})"),
    }
}

/// How long one run of OpenCode lived and what ended it.
struct Watched {
    why: String,
    lived: Duration,
    answered: bool,
}

impl Watched {
    fn since(began: Instant, answered: bool, why: String) -> Self {
        Self { why, lived: began.elapsed(), answered }
    }
}

#[cfg(test)]
mod tests;
