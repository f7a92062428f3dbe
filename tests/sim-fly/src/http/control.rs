//! Start, stop, suspend and the other verbs of a machine.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paging::{self, Query};
use super::{Body, Caller, NONCE};
use crate::config::{self, Config};
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::journal::Event;
use crate::lifecycle::{self, stopping};
use crate::runner::signal_number;
use crate::world::{Machine, State as MachineState};

type Address = Path<(String, String)>;
const SIGINT: i32 = 2;
/// A command that takes longer is ended, whatever it was given.
const LONGEST_COMMAND: Duration = Duration::from_secs(30);
/// A machine with more memory cannot be suspended.
const MOST_SUSPENDED_MIB: u32 = 2048;
/// How long a program may take to end when nobody says otherwise.
const GRACE: Duration = Duration::from_secs(5);

fn nonce(headers: &HeaderMap) -> Option<&str> {
    headers.get(NONCE).and_then(|nonce| nonce.to_str().ok())
}

/// `"10s"`, `"1m30s"` is not; seconds as text or number, nanoseconds when they are many.
pub fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(number) => match number.as_u64()? {
            seconds @ ..1_000_000 => Some(Duration::from_secs(seconds)),
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        },
        Value::String(text) => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number: u64 = digits.parse().ok()?;
            match &text[digits.len()..] {
                "" | "s" => Some(Duration::from_secs(number)),
                "ms" => Some(Duration::from_millis(number)),
                "m" => Some(Duration::from_secs(number * 60)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// How a machine ends: as the request says, else as its configuration says.
pub fn ending_of(config: &Config, signal: &Value, timeout: &Value) -> Answer<stopping::Ending> {
    let named = config.stop_config.signal.clone().map_or(Value::Null, Value::String);
    let wanted = if signal.is_null() || signal == "" { &named } else { signal };
    let signal = match wanted {
        Value::Null => SIGINT,
        wanted => signal_number(wanted).ok_or_else(|| Refusal::bad(format!("unknown signal {wanted}")))?,
    };
    let grace = duration(timeout).or_else(|| duration(&config.stop_config.timeout));
    Ok(stopping::Ending { signal, grace: grace.unwrap_or(GRACE) })
}

fn cannot(verb: &str, machine: &Machine) -> Refusal {
    Refusal::precondition(format!("unable to {verb} machine from current state: '{}'", machine.state.word()))
}

pub async fn start(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let before = start_machine(&core, &caller.org, &app, &id, nonce(&headers)).await?;
    Ok(Json(json!({"previous_state": before, "migrated": false, "new_host": ""})))
}

/// Also what the edge does for a machine that starts by itself.
pub async fn start_machine(
    core: &Arc<Core>,
    org: &str,
    app: &str,
    id: &str,
    nonce: Option<&str>,
) -> Answer<MachineState> {
    let (before, incarnation) = core
        .change(|changing| {
            let machine = changing.world.machine_mut(org, app, id)?;
            machine.must_hold_lease(nonce)?;
            let before = machine.state;
            match before {
                MachineState::Started => return Ok((before, 0)),
                MachineState::Created | MachineState::Stopped | MachineState::Failed => {
                    machine.incarnation += 1
                }
                MachineState::Suspended => {}
                _ => return Err(cannot("start", machine)),
            }
            machine.restarts = 0;
            machine.become_state(MachineState::Starting, "start", "user");
            let incarnation = machine.incarnation;
            changing.note_machine(Event::Changed, id);
            Ok((before, incarnation))
        })
        .await?;
    let (core, id) = (core.clone(), id.to_owned());
    match before {
        MachineState::Started => {}
        MachineState::Suspended => drop(tokio::spawn(lifecycle::resume(core, id, incarnation))),
        _ => drop(tokio::spawn(lifecycle::boot(core, id, incarnation))),
    }
    Ok(before)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Stop {
    signal: Value,
    timeout: Value,
}

pub async fn stop(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    headers: HeaderMap,
    Body(stop): Body<Stop>,
) -> Answer<Json<Value>> {
    let ending = core.change(|changing| {
        let machine = changing.world.machine_mut(&caller.org, &app, &id)?;
        machine.must_hold_lease(nonce(&headers))?;
        let mut ending = ending_of(&config::read(&machine.config)?, &stop.signal, &stop.timeout)?;
        match machine.state {
            MachineState::Started => {}
            // Its memory is thrown away; nobody is asked.
            MachineState::Suspended => ending.grace = Duration::ZERO,
            MachineState::Stopped | MachineState::Created | MachineState::Failed => return Ok(None),
            _ => return Err(cannot("stop", machine)),
        }
        machine.become_state(MachineState::Stopping, "stop", "user");
        changing.note_machine(Event::Changed, &id);
        Ok(Some(ending))
    });
    if let Some(ending) = ending.await? {
        tokio::spawn(stopping::stop(core, id, ending));
    }
    Ok(Json(json!({"ok": true})))
}

pub async fn suspend(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    suspend_machine(&core, &caller.org, &app, &id, nonce(&headers)).await?;
    Ok(Json(json!({"ok": true})))
}

/// Also what the edge does with an idle machine.
pub async fn suspend_machine(
    core: &Arc<Core>,
    org: &str,
    app: &str,
    id: &str,
    nonce: Option<&str>,
) -> Answer<()> {
    let incarnation = core.change(|changing| {
        let machine = changing.world.machine_mut(org, app, id)?;
        machine.must_hold_lease(nonce)?;
        let config = config::read(&machine.config)?;
        if config.init.swap_size_mb > 0 || config.schedule.is_some() {
            return Err(Refusal::precondition("a machine with swap or a schedule cannot be suspended"));
        }
        if config.guest.memory_mb > MOST_SUSPENDED_MIB {
            return Err(Refusal::precondition(
                "a machine with more than 2048 MB of memory cannot be suspended",
            ));
        }
        match machine.state {
            MachineState::Started => {}
            MachineState::Suspended => return Ok(None),
            _ => return Err(cannot("suspend", machine)),
        }
        machine.become_state(MachineState::Suspending, "suspend", "user");
        let incarnation = machine.incarnation;
        changing.note_machine(Event::Changed, id);
        Ok(Some(incarnation))
    });
    if let Some(incarnation) = incarnation.await? {
        tokio::spawn(lifecycle::suspend(core.clone(), id.to_owned(), incarnation));
    }
    Ok(())
}

pub async fn restart(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    query: Query,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let given = |name: &str| query.get(name).cloned().map_or(Value::Null, Value::String);
    let ending = core.change(|changing| {
        let machine = changing.world.machine_mut(&caller.org, &app, &id)?;
        machine.must_hold_lease(nonce(&headers))?;
        let mut ending = ending_of(&config::read(&machine.config)?, &given("signal"), &given("timeout"))?;
        if paging::says_yes(&query, "force_stop") {
            ending.grace = Duration::ZERO;
        }
        if !matches!(machine.state, MachineState::Started | MachineState::Suspended | MachineState::Stopped) {
            return Err(cannot("restart", machine));
        }
        machine.become_state(MachineState::Replacing, "restart", "user");
        changing.note_machine(Event::Changed, &id);
        Ok(ending)
    });
    let ending = ending.await?;
    tokio::spawn(stopping::replace(core.clone(), id, ending, true));
    Ok(Json(json!({"ok": true})))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Signal {
    signal: Value,
}

pub async fn signal(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    Body(signal): Body<Signal>,
) -> Answer<Json<Value>> {
    let raw = signal_number(&signal.signal).ok_or_else(|| Refusal::bad("unknown signal"))?;
    let running =
        core.look(|world| Ok::<_, Refusal>(world.machine(&caller.org, &app, &id)?.running.clone()))?;
    if let Some(running) = running {
        core.runner.signal(&id, &running, raw).await.map_err(failed)?;
    }
    Ok(Json(json!({"ok": true})))
}

pub async fn cordon(
    core: State<Arc<Core>>,
    caller: Extension<Caller>,
    address: Address,
) -> Answer<Json<Value>> {
    set_cordoned(core.0, caller.0, address, true).await
}

pub async fn uncordon(
    core: State<Arc<Core>>,
    caller: Extension<Caller>,
    address: Address,
) -> Answer<Json<Value>> {
    set_cordoned(core.0, caller.0, address, false).await
}

async fn set_cordoned(
    core: Arc<Core>,
    caller: Caller,
    Path((app, id)): Address,
    on: bool,
) -> Answer<Json<Value>> {
    let done = core.change(|changing| {
        changing.world.machine_mut(&caller.org, &app, &id)?.cordoned = on;
        changing.note_machine(Event::Changed, &id);
        Ok(())
    });
    done.await?;
    Ok(Json(json!({"ok": true})))
}

pub async fn destroy(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    query: Query,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let force = paging::says_yes(&query, "force") || paging::says_yes(&query, "kill");
    let first = core.change(|changing| {
        let machine = changing.world.machine_mut(&caller.org, &app, &id)?;
        machine.must_hold_lease(nonce(&headers))?;
        use MachineState::{Created, Destroyed, Destroying, Failed, Stopped, Suspended};
        match machine.state {
            Destroying | Destroyed => return Ok(false),
            Created | Failed | Stopped | Suspended => {}
            _ if force => {}
            _ => return Err(Refusal::precondition("unable to destroy machine, not currently stopped")),
        }
        machine.become_state(Destroying, "destroy", "user");
        changing.note_machine(Event::Changed, &id);
        Ok(true)
    });
    if first.await? {
        tokio::spawn(stopping::destroy(core, id));
    }
    Ok(Json(json!({"ok": true})))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Exec {
    command: Vec<String>,
    /// The old form: one line.
    cmd: String,
    stdin: String,
    timeout: u64,
}

pub async fn exec(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    Body(exec): Body<Exec>,
) -> Answer<Json<Value>> {
    let (running, incarnation) = core.look(|world| {
        let machine = world.machine(&caller.org, &app, &id)?;
        let running = machine.running.clone().filter(|_| machine.state == MachineState::Started);
        Ok::<_, Refusal>((running.ok_or_else(|| cannot("exec on", machine))?, machine.incarnation))
    })?;
    let command = match exec.command.is_empty() {
        true => exec.cmd.split_whitespace().map(str::to_owned).collect(),
        false => exec.command,
    };
    if command.is_empty() {
        return Err(Refusal::bad("a command is required"));
    }
    let launch = lifecycle::launch_of(&core, &id, incarnation)?;
    let limit = LONGEST_COMMAND.min(Duration::from_secs(if exec.timeout == 0 { 60 } else { exec.timeout }));
    let done = core.runner.exec(&launch, &running, &command, &exec.stdin, limit).await;
    let done = done.map_err(|error| match error {
        crate::runner::RunError::Late => {
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "deadline_exceeded: the command did not end in time")
        }
        other => failed(other),
    })?;
    Ok(Json(json!({
        "exit_code": done.exit_code, "exit_signal": done.exit_signal,
        "stdout": done.stdout, "stderr": done.stderr,
    })))
}

fn failed(error: crate::runner::RunError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, lifecycle::error_chain(&error))
}
