//! One request to the host from its sending to its end, whatever happens meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::client::{self, Failure};
use super::pool::Pool;
use super::process::{Environment, Launch, Lease, Process};
use super::unsettled::StackKey;
use super::wire::{Cancel, Ended, Line, Program, Run, Where};
use crate::deadline;
use crate::engine::{Command, Place};
use crate::error::{Error, Result};
use crate::event::EngineEvent;
use crate::options::Printed;

/// How long the news of a process's death may take after its connections broke, and how long what it
/// sent last may take after that news.
const DEATH_NOTICE: Duration = Duration::from_secs(2);

/// How often a request is sent that did not reach a process.
const MAX_ATTEMPTS: usize = 3;

/// What is asked of the host.
pub(super) struct Request<'a> {
    pub place: &'a Place,
    /// Its lock is that of the stack whose state it writes.
    pub command: &'a Command,
    pub program: Option<std::net::SocketAddr>,
    pub cancel: &'a CancellationToken,
    pub timeout: Option<Duration>,
    /// Receives what is printed while it runs.
    pub output: Option<&'a Sender<Printed>>,
    /// The engine runs, and something of that stays in the process.
    pub is_operation: bool,
}

/// How a run ended and what it printed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub ended: Ended,
    pub stdout: String,
    pub stderr: String,
    /// The caller asked for the end.
    pub canceled: bool,
}

/// Why the end is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Canceled,
    TimedOut,
}

/// Why no line is to come any more.
enum Stop {
    Failure(Failure),
    Error(Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failure(failure)
    }
}

/// Sends it to the process of its environment. Every event goes to `observe`. Dropping the future closes
/// the connection, which the host takes as a cancellation.
pub(super) async fn send(
    pool: &Arc<Pool>,
    env: &Environment,
    request: &Request<'_>,
    mut observe: impl FnMut(EngineEvent),
) -> Result<Outcome> {
    let deadline = deadline::after(request.timeout);
    let timed_out = || Error::TimedOut { timeout: request.timeout.unwrap_or_default() };
    let mut unreachable = String::new();
    for _ in 0..MAX_ATTEMPTS {
        let lease = tokio::select! {
            lease = pool.lease(env) => lease?,
            () = request.cancel.cancelled() => return Err(Error::Canceled),
            () = tokio::time::sleep_until(deadline) => return Err(timed_out()),
        };
        let (writes, is_operation) = (request.command.locks.is_some(), request.is_operation);
        let running =
            Running { pool, env, lease, number: pool.next_run(), writes, is_operation, ended: None };
        match running.run(request, deadline, &mut observe).await {
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Failure(Failure::Unreachable(reason))) => unreachable = reason,
            Err(Stop::Failure(Failure::Broken(reason))) => {
                return Err(Error::EngineBug {
                    message: format!("the engine host broke off its answer: {reason}"),
                });
            }
            Err(Stop::Failure(Failure::Refused(fault))) => {
                let ended = Ended { code: 255, fault: Some(fault) };
                return Ok(Outcome { ended, ..Outcome::default() });
            }
            Ok(outcome) => return Ok(outcome),
        }
    }
    Err(Error::HostDown { message: unreachable })
}

/// A run that may be in the middle of something until it is dropped.
struct Running<'a> {
    pool: &'a Arc<Pool>,
    env: &'a Environment,
    lease: Lease,
    number: u64,
    writes: bool,
    is_operation: bool,
    /// Whether it succeeded, once it has ended.
    ended: Option<bool>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let process = &self.lease.0;
        match self.ended {
            _ if !self.writes => {}
            Some(succeeded) => process.unsettled.end(self.number, succeeded),
            None => process.unsettled.abandon(self.number),
        }
        if self.is_operation {
            self.pool.after_operation(self.env, process);
        }
    }
}

impl Running<'_> {
    async fn run(
        mut self,
        request: &Request<'_>,
        deadline: Instant,
        observe: &mut impl FnMut(EngineEvent),
    ) -> std::result::Result<Outcome, Stop> {
        let (launch, process) = (&self.pool.launch, Arc::clone(&self.lease.0));
        let mut options = request.command.options.clone();
        let stack = options.remove("stack").and_then(|stack| stack.as_str().map(str::to_owned));
        let message = Run {
            id: self.number.to_string(),
            place: Where::of(request.place),
            command: request.command.name(),
            stack,
            options,
            arguments: request.command.args.clone(),
            input: request.command.input.clone(),
            program: request.program.map(|address| Program { address: address.to_string() }),
        };
        if let Some(stack) = &request.command.locks {
            process.unsettled.begin(self.number, StackKey::new(request.place, stack), request.place);
        }
        let mut outcome = Outcome::default();
        let mut ending =
            Ending { process: &process, id: &message.id, launch, asked: None, stage: 0, next: deadline };
        let ended = {
            let read = read(&process, &message, request, &mut outcome, observe);
            tokio::pin!(read);
            loop {
                tokio::select! {
                    biased;
                    ended = &mut read => break ended,
                    () = request.cancel.cancelled(), if ending.asked.is_none() => ending.ask(Why::Canceled),
                    () = tokio::time::sleep_until(ending.next) => ending.go_on(),
                    signal = process.ended() => {
                        // What it sent before its death is still to be read.
                        let lost = || Err(Stop::Error(Error::Interrupted { signal }));
                        break match tokio::time::timeout(DEATH_NOTICE, &mut read).await {
                            Ok(Ok(ended)) => Ok(ended),
                            Ok(Err(Stop::Failure(Failure::Unreachable(reason)))) => {
                                Err(Stop::Failure(Failure::Unreachable(reason)))
                            }
                            Ok(Err(_)) | Err(_) => lost(),
                        };
                    }
                }
            }
        };
        let ended = match ended {
            Err(Stop::Failure(failure)) => Err(self.explain(failure).await),
            ended => ended,
        };
        let why = ending.asked.as_ref().map(|asked| asked.why);
        match &ended {
            Ok(ended) => {
                process.prove();
                self.ended = Some(ended.code == 0);
            }
            // It has never begun.
            Err(Stop::Failure(Failure::Unreachable(_) | Failure::Refused(_))) => self.ended = Some(false),
            Err(_) => {}
        }
        // What came to its end after all is told as it is.
        let succeeded = ended.as_ref().is_ok_and(|ended| ended.code == 0);
        if why == Some(Why::TimedOut) && !succeeded {
            return Err(Stop::Error(Error::TimedOut { timeout: request.timeout.unwrap_or_default() }));
        }
        if why == Some(Why::Canceled) && ended.is_err() {
            return Err(Stop::Error(Error::Canceled));
        }
        outcome.ended = ended?;
        outcome.canceled = why.is_some();
        Ok(outcome)
    }

    /// A connection breaks with its process, and then that is the reason.
    async fn explain(&self, failure: Failure) -> Stop {
        let process = &self.lease.0;
        let is_dead = tokio::time::timeout(DEATH_NOTICE, process.ended()).await;
        match (failure, is_dead) {
            (Failure::Broken(_), Ok(signal)) => Stop::Error(Error::Interrupted { signal }),
            (Failure::Unreachable(reason), Err(_)) => {
                // It lives and does not listen: whoever comes next shall have another one.
                process.retire();
                Stop::Failure(Failure::Unreachable(reason))
            }
            (failure, _) => Stop::Failure(failure),
        }
    }
}

/// Sends the request and reads every line of the answer.
async fn read(
    process: &Process,
    message: &Run,
    request: &Request<'_>,
    outcome: &mut Outcome,
    observe: &mut impl FnMut(EngineEvent),
) -> std::result::Result<Ended, Stop> {
    let mut lines = client::run(&process.socket, message).await?;
    while let Some(line) = lines.next().await? {
        let tell = |printed: Printed| {
            // A listener that went away or is behind does not matter to the run.
            let _ = request.output.map(|output| output.try_send(printed));
        };
        match parse(&line, request.command).map_err(Stop::Error)? {
            Line::Event(event) => observe(EngineEvent::parse(event.get())),
            Line::Stdout(text) => {
                outcome.stdout.push_str(&text);
                tell(Printed::Stdout(text));
            }
            Line::Stderr(text) => {
                outcome.stderr.push_str(&text);
                tell(Printed::Stderr(text));
            }
            Line::Ended(ended) => return Ok(ended),
        }
    }
    Err(Stop::Failure(Failure::Broken("it has no end".to_owned())))
}

fn parse<'a>(line: &'a Bytes, command: &Command) -> Result<Line<'a>> {
    serde_json::from_slice(line).map_err(|error| {
        // The parser's words could quote a secret.
        let message =
            format!("a line of the engine host is none of the protocol, at column {}", error.column());
        Error::Output { command: command.name(), message }
    })
}

/// The way to the end of a run that nobody wants any more: in order, by force, and with its process.
struct Ending<'a> {
    process: &'a Arc<Process>,
    id: &'a str,
    launch: &'a Launch,
    asked: Option<Asked>,
    stage: u8,
    /// When it goes on.
    next: Instant,
}

struct Asked {
    why: Why,
    _asking: AbortOnDropHandle<()>,
}

impl Ending<'_> {
    fn ask(&mut self, why: Why) {
        self.tell(why, false);
        (self.stage, self.next) = (1, Instant::now() + self.launch.grace);
    }

    /// The deadline, or that of the last stage, has passed.
    fn go_on(&mut self) {
        let Some(asked) = &self.asked else { return self.ask(Why::TimedOut) };
        let why = asked.why;
        self.next = Instant::now() + self.launch.last;
        match self.stage {
            1 => self.tell(why, true),
            _ => {
                let pid = self.process.pid;
                tracing::error!(
                    pid,
                    run = self.id,
                    "a run does not end; its engine host is killed, with others"
                );
                self.process.kill();
            }
        }
        self.stage = 2;
    }

    /// Until the host knows the run: the request may overtake the run itself.
    fn tell(&mut self, why: Why, force: bool) {
        let (process, cancel) = (Arc::clone(self.process), Cancel { id: self.id.to_owned(), force });
        let asking = tokio::spawn(async move {
            loop {
                match client::cancel(&process.socket, &cancel).await {
                    Ok(answer) if answer.known => return,
                    // A second one would be taken for force, so it is sent only when there was no first.
                    Err(Failure::Broken(reason)) => {
                        return tracing::debug!(reason, run = cancel.id, "no answer to a cancellation");
                    }
                    Ok(_) | Err(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        self.asked = Some(Asked { why, _asking: AbortOnDropHandle::new(asking) });
    }
}
