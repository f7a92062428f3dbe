//! Operations of the fake engine: what is registered is compared with what is in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;

use super::monitor::Monitor;
use super::run::Run;
use super::state::{Resource, StackState};
use super::{FakeEngine, Inner};
use crate::deadline;
use crate::engine::{Operation, OperationKind, OperationResult, Place};
use crate::error::{Error, Result};
use crate::event::{EventKind, Prelude, SummaryEvent};
use crate::gather::Gathered;
use crate::language;
use crate::options::Options;
use crate::value::Outputs;
use crate::wire as rpc;
use crate::wire::{MAX_MESSAGE, RunRequest};
use rpc::engine_server::EngineServer;
use rpc::resource_monitor_server::ResourceMonitorServer;

/// Marks the stack as busy until it is dropped.
struct Busy(FakeEngine, (String, String));

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(state) = self.0.lock().stacks.get_mut(&self.1) {
            state.busy = false;
        }
    }
}

/// `sequence` is the number of the last event that was sent already.
pub(super) async fn run(
    fake: &FakeEngine,
    place: &Place,
    operation: &Operation<'_>,
    sequence: i64,
) -> Result<OperationResult> {
    let options = operation.options;
    if options.cancel.is_cancelled() {
        return Err(Error::Canceled);
    }
    let key = (place.project.clone(), operation.stack.to_owned());
    let _busy = match operation.kind.is_preview() {
        true => None,
        false => Some(take(fake, &key, options).await?),
    };
    let (sender, mut events) = mpsc::unbounded_channel();
    let (old, ids) = {
        let mut inner = fake.lock();
        let state = known(&mut inner, &key)?;
        (state.resources.clone(), state.ids)
    };
    let run = Run {
        project: key.0.clone(),
        stack: key.1.clone(),
        preview: operation.kind.is_preview(),
        old,
        made: Vec::new(),
        ids,
        changes: BTreeMap::new(),
        diagnostics: Vec::new(),
        failed: Vec::new(),
        events: sender,
        sequence,
    };
    let monitor = Monitor { fake: fake.clone(), run: Arc::new(Mutex::new(run)) };
    let mut gathered = Gathered::default();
    let result = {
        let work = work(&monitor, operation, &key);
        // One for all events: each of them ends a wait.
        let late = tokio::time::sleep_until(deadline::after(options.timeout));
        tokio::pin!(work, late);
        loop {
            tokio::select! {
                result = &mut work => break result,
                Some(event) = events.recv() => gathered.take(event, options),
                () = options.cancel.cancelled() => break Err(Error::Canceled),
                () = &mut late => {
                    break Err(Error::TimedOut { timeout: options.timeout.unwrap_or_default() });
                }
            }
        }
    };
    let changes = monitor.with(|run| run.changes.clone());
    let result = result.and_then(|outputs| {
        let changed = changes.iter().any(|(op, count)| op != "same" && *count > 0);
        if options.expect_no_changes && changed { Err(Error::NoChangesExpected) } else { Ok(outputs) }
    });
    finish(&monitor, operation, &key, &result, changes);
    while let Ok(event) = events.try_recv() {
        gathered.take(event, options);
    }
    result.map(|outputs| gathered.finish(outputs, String::new(), String::new()))
}

/// Waits for another operation on the stack as long as the options say.
async fn take(fake: &FakeEngine, key: &(String, String), options: &Options) -> Result<Busy> {
    let deadline = deadline::after(Some(options.lock_timeout));
    loop {
        {
            let mut inner = fake.lock();
            let state = known(&mut inner, key)?;
            if !state.busy {
                state.busy = true;
                return Ok(Busy(fake.clone(), key.clone()));
            }
        }
        if tokio::time::Instant::now() >= deadline {
            let owner = "another operation of this process".to_owned();
            return Err(Error::ConcurrentUpdate { stack: key.1.clone(), owner, unproven: false });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn known<'a>(inner: &'a mut Inner, key: &(String, String)) -> Result<&'a mut StackState> {
    inner.stacks.get_mut(key).ok_or_else(|| Error::StackNotFound { stack: key.1.clone() })
}

async fn work(
    monitor: &Monitor,
    operation: &Operation<'_>,
    key: &(String, String),
) -> Result<Option<Outputs>> {
    let config = {
        let mut inner = monitor.fake.lock();
        known(&mut inner, key)?.config.clone()
    };
    let shown = |(key, (value, secret)): (&String, &(String, bool))| {
        (key.clone(), if *secret { "[secret]".to_owned() } else { value.clone() })
    };
    let prelude = Prelude { config: config.iter().map(shown).collect() };
    monitor.with(|run| run.emit(EventKind::Prelude(prelude)));
    let outputs = match operation.kind {
        OperationKind::Up | OperationKind::Preview => program(monitor, operation, config).await?,
        OperationKind::Refresh | OperationKind::PreviewRefresh => {
            monitor.with(|run| {
                for resource in run.old.clone() {
                    run.step(&resource, "refresh", EventKind::ResourcePre);
                    run.done(resource, "same");
                }
            });
            return Ok(None);
        }
        OperationKind::Destroy | OperationKind::PreviewDestroy => None,
        OperationKind::Import | OperationKind::PreviewImport => {
            let command = operation.kind.command().to_owned();
            return Err(Error::Invalid { command, message: "the fake engine imports nothing".to_owned() });
        }
    };
    delete(monitor, operation).await?;
    Ok(outputs)
}

/// Runs the program against the monitor.
async fn program(
    monitor: &Monitor,
    operation: &Operation<'_>,
    config: BTreeMap<String, (String, bool)>,
) -> Result<Option<Outputs>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listen for the program"))?;
    let address = listener.local_addr().map_err(Error::io("listen for the program"))?.to_string();
    let resources = ResourceMonitorServer::new(monitor.clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let serve = tonic::transport::Server::builder()
        .add_service(resources)
        .add_service(EngineServer::new(monitor.clone()))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let secret = config.iter().filter(|(_, (_, secret))| *secret).map(|(key, _)| key.clone());
    let request = RunRequest {
        project: monitor.with(|run| run.project.clone()),
        stack: operation.stack.to_owned(),
        pwd: ".".to_owned(),
        args: vec![address.clone()],
        config_secret_keys: secret.collect(),
        config: config.into_iter().map(|(key, (value, _))| (key, value)).collect(),
        dry_run: operation.kind.is_preview(),
        monitor_address: address,
        organization: "organization".to_owned(),
        ..RunRequest::default()
    };
    let answer = tokio::select! {
        answer = language::answer(operation.program.clone(), request) => answer,
        served = serve => return Err(Error::EngineBug { message: format!("the monitor ended: {served:?}") }),
    };
    monitor.with(|run| match &answer {
        _ if !run.failed.is_empty() || !run.diagnostics.is_empty() => Err(update_failed(run, operation.kind)),
        Ok(outputs) => Ok(outputs.clone()),
        Err(message) => {
            run.diagnostic("", message.as_deref().unwrap_or("the program gave up"));
            Err(match message {
                Some(message) => Error::Program { message: message.clone() },
                None => update_failed(run, operation.kind),
            })
        }
    })
}

/// Deletes what is in the state and was not registered, dependents first.
async fn delete(monitor: &Monitor, operation: &Operation<'_>) -> Result<()> {
    let gone = monitor.with(|run| {
        let made = |old: &Resource| run.made.iter().any(|made| made.urn == old.urn);
        run.old.iter().rev().filter(|old| !made(old)).cloned().collect::<Vec<_>>()
    });
    for resource in gone {
        monitor.with(|run| run.step(&resource, "delete", EventKind::ResourcePre));
        if resource.protect {
            let message = format!("resource {:?} cannot be deleted because it is protected", resource.urn);
            monitor.with(|run| run.failed(&resource, "delete", &message, false));
        }
        let played = monitor.play(&resource, "delete").await;
        if played.is_err() || resource.protect {
            return Err(monitor.with(|run| update_failed(run, operation.kind)));
        }
        monitor.with(|run| {
            run.step(&resource, "delete", EventKind::ResourceOutputs);
            *run.changes.entry("delete".to_owned()).or_default() += 1;
            run.old.retain(|old| old.urn != resource.urn);
        });
    }
    Ok(())
}

fn update_failed(run: &Run, kind: OperationKind) -> Error {
    Error::UpdateFailed {
        operation: kind.command().to_owned(),
        diagnostics: run.diagnostics.clone(),
        failed_operations: run.failed.clone(),
    }
}

/// Stores what was done and says how it ended.
fn finish(
    monitor: &Monitor,
    operation: &Operation<'_>,
    key: &(String, String),
    result: &Result<Option<Outputs>>,
    changes: BTreeMap<String, u64>,
) {
    let ended = match result {
        Ok(_) => "succeeded",
        Err(Error::Canceled) => "canceled",
        Err(_) => "failed",
    };
    if !operation.kind.is_preview() {
        let (resources, ids) = monitor.with(|run| (run.resources(), run.ids));
        let mut inner = monitor.fake.lock();
        if let Some(state) = inner.stacks.get_mut(key) {
            (state.resources, state.ids) = (resources, ids);
            state.record(operation.kind, operation.options, ended, &changes);
        }
        if operation.kind == OperationKind::Destroy && operation.options.remove && result.is_ok() {
            inner.stacks.remove(key);
        }
    }
    let summary = SummaryEvent {
        resource_changes: changes,
        is_preview: operation.kind.is_preview(),
        result: Some(ended.to_owned()),
        ..SummaryEvent::default()
    };
    monitor.with(|run| {
        run.emit(EventKind::Summary(summary));
        run.emit(EventKind::Cancel);
    });
}
