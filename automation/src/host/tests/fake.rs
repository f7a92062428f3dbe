//! A host whose processes are a shell script and whose words are a test's own.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::super::wire::{Cancel, PROTOCOL, Run};
use crate::engine::{Engine as _, Operation, OperationKind, OperationResult, Place};
use crate::error::Result;
use crate::options::Options;
use crate::recorder::Recorder;
use crate::{Host, Source};

/// What the host does for one run, one after the other.
#[derive(Debug, Clone)]
pub enum Step {
    /// A line of the answer.
    Say(String),
    /// Nothing, until the run is cancelled; by force when that is so.
    Cancelled { force: bool },
    /// Nothing more, ever.
    Hang,
    /// Its process is killed.
    Die,
}

/// The last line of a run that went well.
pub fn done() -> Step {
    say(json!({"ended": {"code": 0}}))
}

pub fn say(line: Value) -> Step {
    Step::Say(format!("{line}\n"))
}

type Script = dyn Fn(&Run) -> Vec<Step> + Send + Sync;

pub struct Fake {
    pub folder: tempfile::TempDir,
    pub told: Arc<Told>,
    task: tokio::task::JoinHandle<()>,
}

pub struct Told {
    script: Box<Script>,
    folder: PathBuf,
    pub protocol: Mutex<u32>,
    pub runs: Mutex<Vec<Run>>,
    pub cancels: Mutex<Vec<Cancel>>,
    /// Runs whose connection was closed before their end.
    pub closed: Mutex<Vec<String>>,
    cancelled: tokio::sync::Notify,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub fn new(script: impl Fn(&Run) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("real")).unwrap();
        let told = Arc::new(Told {
            script: Box::new(script),
            folder: folder.path().to_owned(),
            protocol: Mutex::new(PROTOCOL),
            runs: Mutex::default(),
            cancels: Mutex::default(),
            closed: Mutex::default(),
            cancelled: tokio::sync::Notify::new(),
        });
        let serving = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let told = Arc::clone(&serving);
                let answer = hyper::service::service_fn(move |request| answer(Arc::clone(&told), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
                );
            }
        });
        Self { folder, told, task }
    }

    /// `begin` is what its processes do before they are ready.
    pub async fn host(&self, begin: &str) -> Host {
        let folder = self.folder.path().display();
        let (text, program) = (self.folder.path().join("text"), self.folder.path().join("pilot-engine"));
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo 'pilot-engine v3.276.0' && exit\n\
             echo \"$$ $*\" >> {folder}/began\n{begin}\nln -s {folder}/real \"$2\"\n\
             echo \"{{\\\"listening\\\":\\\"$2\\\"}}\"\nexec cat\n"
        );
        std::fs::write(&text, script).unwrap();
        // Whoever writes a program must be gone before it can be started, and so must its forks.
        let install = std::process::Command::new("install").arg("-m755").args([&text, &program]).status();
        assert!(install.unwrap().success());
        Host::open(program).await.unwrap()
    }

    /// Each start of a process: its pid, then its arguments.
    pub fn began(&self) -> Vec<String> {
        self.told.began()
    }

    /// Commands that the host was asked to run.
    pub fn asked(&self) -> Vec<String> {
        self.told.runs.lock().unwrap().iter().map(|run| run.command.clone()).collect()
    }
}

impl Told {
    fn began(&self) -> Vec<String> {
        let began = std::fs::read_to_string(self.folder.join("began")).unwrap_or_default();
        began.lines().map(str::to_owned).collect()
    }

    /// The newest process.
    pub fn kill(&self) {
        let pid: i32 = self.began().last().unwrap().split(' ').next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    async fn play(&self, run: Run, lines: mpsc::Sender<Bytes>) {
        for step in (self.script)(&run) {
            match step {
                Step::Say(line) => {
                    if lines.send(line.into()).await.is_err() {
                        self.closed.lock().unwrap().push(run.id);
                        return;
                    }
                }
                Step::Cancelled { force } => self.until_cancelled(&run.id, force).await,
                Step::Die => self.kill(),
                Step::Hang => {
                    lines.closed().await;
                    self.closed.lock().unwrap().push(run.id);
                    return;
                }
            }
        }
    }

    async fn until_cancelled(&self, id: &str, force: bool) {
        loop {
            let cancelled = self.cancelled.notified();
            let wanted = |cancel: &Cancel| cancel.id == id && (cancel.force || !force);
            if self.cancels.lock().unwrap().iter().any(wanted) {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), cancelled).await;
        }
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(told: Arc<Told>, request: Request<Incoming>) -> std::result::Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let whole = |json: Value| Response::new(Full::from(json.to_string()).boxed());
    Ok(match head.uri.path() {
        "/v1/health" => {
            let protocol = *told.protocol.lock().unwrap();
            whole(json!({"protocol": protocol, "engine": "v3.276.0", "pid": 1, "running": 0}))
        }
        "/v1/cancel" => {
            told.cancels.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            told.cancelled.notify_waiters();
            whole(json!({"known": true}))
        }
        "/v1/run" => {
            let run: Run = serde_json::from_slice(&body).unwrap();
            told.runs.lock().unwrap().push(run.clone());
            let (sender, lines) = mpsc::channel(1);
            tokio::spawn(async move { told.play(run, sender).await });
            let frames = ReceiverStream::new(lines).map(|line| Ok(Frame::data(line)));
            Response::new(BoxBody::new(StreamBody::new(frames)))
        }
        other => panic!("{other}"),
    })
}

/// A project without stacks; nothing is asked of any engine.
pub fn place() -> Place {
    Recorder::default().workspace().place().clone()
}

pub async fn up(host: &Host, place: &Place, options: &Options) -> Result<OperationResult> {
    let operation = Operation::new(OperationKind::Up, "dev", Source::Project, options);
    host.operate(place, &operation).await
}

pub async fn eventually(what: &str, is: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
