//! What happens to a machine after the API has said yes: each takes its time in a task of its own,
//! moves through the transient states, and gives way when the machine was destroyed meanwhile.

pub mod stopping;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;

use crate::config::{self, Config};
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::http::apps;
use crate::journal::Event;
use crate::runner::{Exit, GuestFile, Launch};
use crate::world::{Machine, State, World};

pub use waiting::{Wanted, wait};

/// Boots a machine whose state is `starting`, as its `incarnation`.
pub async fn boot(core: Arc<Core>, id: String, incarnation: u64) {
    tokio::time::sleep(core.settings.delays.boot).await;
    // A sender that is gone holds nothing any more.
    let _ = core.boots_wait.subscribe().wait_for(|held| !held).await;
    let launched = match launch_of(&core, &id, incarnation) {
        Ok(launch) => core.runner.start(&launch).await.map_err(|error| error_chain(&error)),
        Err(refusal) => Err(refusal.words),
    };
    let running = match launched {
        Ok(running) => running,
        Err(words) => {
            tracing::warn!(machine = id, words, "a machine did not start");
            set(&core, &id, incarnation, |machine| {
                machine.become_state(State::Failed, "launch", "flyd");
                machine.note_exit(None, false);
            })
            .await;
            return;
        }
    };
    let kept = running.clone();
    let started = set(&core, &id, incarnation, move |machine| {
        machine.running = Some(kept);
        machine.become_state(State::Started, "start", "flyd");
    })
    .await;
    if !started {
        let _ = core.runner.stop(&id, &running, 9, std::time::Duration::ZERO).await;
    }
}

/// Wakes a suspended machine; without its program it is booted anew.
pub async fn resume(core: Arc<Core>, id: String, incarnation: u64) {
    tokio::time::sleep(core.settings.delays.resume).await;
    let running = core.look(|world| world.machines.get(&id).and_then(|machine| machine.running.clone()));
    let resumed = match &running {
        Some(running) => core.runner.resume(&id, running).await.is_ok(),
        None => false,
    };
    if !resumed {
        return boot(core, id, incarnation).await;
    }
    set(&core, &id, incarnation, |machine| machine.become_state(State::Started, "start", "flyd")).await;
}

/// Freezes a machine whose state is `suspending`.
pub async fn suspend(core: Arc<Core>, id: String, incarnation: u64) {
    tokio::time::sleep(core.settings.delays.suspend).await;
    let running = core.look(|world| world.machines.get(&id).and_then(|machine| machine.running.clone()));
    let state = match running {
        Some(running) if core.runner.suspend(&id, &running).await.is_ok() => State::Suspended,
        _ => State::Started,
    };
    set(&core, &id, incarnation, move |machine| machine.become_state(state, "suspend", "flyd")).await;
}

/// Changes a machine that is still in the same incarnation and in a transient state. False when it is
/// not, because somebody destroyed it or its program ended.
async fn set(core: &Core, id: &str, incarnation: u64, change: impl FnOnce(&mut Machine)) -> bool {
    let changed = core.change(|changing| {
        let found = changing.world.machines.get_mut(id);
        let Some(machine) = found.filter(|machine| {
            let is_moving = matches!(machine.state, State::Starting | State::Suspending | State::Replacing);
            machine.incarnation == incarnation && is_moving
        }) else {
            return Ok(false);
        };
        change(machine);
        changing.note_machine(Event::Changed, id);
        Ok(true)
    });
    changed.await.unwrap_or(false)
}

/// Everything that the next start of a machine needs.
///
/// # Errors
/// When its configuration names a secret that does not exist, or one that is not base64.
pub fn launch_of(core: &Core, id: &str, incarnation: u64) -> Answer<Launch> {
    let (machine, app) = core.look(|world: &World| {
        let machine = world.machines.get(id).ok_or_else(|| Refusal::missing("machine not found"))?;
        Ok::<_, Refusal>((machine.clone(), machine.app.clone()))
    })?;
    let secrets = core.secrets.of(&app).map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the secrets cannot be read: {error}"))
    })?;
    let config: Config = config::read(&machine.config)?;
    let mut env = std::collections::BTreeMap::new();
    let ignores = config.processes.iter().any(|process| process.ignore_app_secrets);
    if !machine.skip_secrets && !ignores {
        env.extend(secrets.clone());
    }
    env.extend(config.env.clone());
    for (name, value) in [
        ("FLY_APP_NAME", &machine.app),
        ("FLY_MACHINE_ID", &machine.id),
        ("FLY_ALLOC_ID", &machine.id),
        ("FLY_MACHINE_VERSION", &machine.version),
        ("FLY_PRIVATE_IP", &machine.private_ip),
        ("FLY_REGION", &machine.region),
        ("FLY_IMAGE_REF", &config.image),
    ] {
        env.insert(name.to_owned(), value.clone());
    }
    let mut files = Vec::new();
    for file in &config.files {
        let encoded = match (&file.raw_value, &file.secret_name) {
            (Some(raw), _) => raw,
            (_, Some(name)) => {
                secrets.get(name).ok_or_else(|| Refusal::bad(format!("there is no secret {name}")))?
            }
            _ => continue,
        };
        let content = config::decode(encoded)
            .ok_or_else(|| Refusal::bad(format!("the file {} is not base64", file.guest_path)))?;
        files.push(GuestFile { path: file.guest_path.clone(), content, mode: file.mode.unwrap_or(0o644) });
    }
    if core.mounts_hide_files.load(Ordering::Relaxed) {
        let is_hidden = |file: &GuestFile| config.mounts.iter().any(|mount| file.is_below(&mount.path));
        files.retain(|file| !is_hidden(file));
    }
    let mount = config.mounts.first().map(|mount| (core.volume_folder(&mount.volume), mount.path.clone()));
    let ports = config.services.iter().map(|service| service.internal_port).collect();
    Ok(Launch { machine: machine.id, incarnation, config, env, files, mount, ports })
}

/// A machine's program ended by itself: it is stopped, or started again when its policy says so.
pub async fn ended(core: Arc<Core>, exit: Exit) {
    let again = core.change(|changing| {
        let found = changing.world.machines.get_mut(&exit.machine);
        let Some(machine) = found.filter(|machine| {
            let ran = matches!(machine.state, State::Started | State::Suspended | State::Suspending);
            ran && machine.incarnation == exit.incarnation
        }) else {
            return Ok(None);
        };
        machine.running = None;
        machine.become_state(State::Stopped, "exit", "flyd");
        machine.note_exit(exit.code, false);
        let restart = config::read(&machine.config).unwrap_or_default().restart;
        let allowed = match restart.policy.as_deref() {
            Some("no") => false,
            Some("always") => true,
            _ => exit.code != Some(0) && machine.restarts < restart.max_retries.unwrap_or(10),
        };
        if allowed {
            machine.restarts += 1;
            machine.incarnation += 1;
            machine.become_state(State::Starting, "restart", "flyd");
        }
        let incarnation = machine.incarnation;
        changing.note_machine(Event::Changed, &exit.machine);
        Ok(allowed.then_some(incarnation))
    });
    if let Ok(Some(incarnation)) = again.await {
        boot(core, exit.machine, incarnation).await;
    }
}

/// After a restart: machines whose processes still run are taken over, the others are stopped. What
/// was on its way is brought to an end.
pub async fn adopt_all(core: &Arc<Core>) {
    let going = core.look(|world| {
        let going = world.apps.values().filter(|app| app.deleting);
        going.map(|app| app.name.clone()).collect::<Vec<_>>()
    });
    for app in going {
        tokio::spawn(apps::bury(core.clone(), app));
    }
    let machines: Vec<Machine> = core.look(|world| world.machines.values().cloned().collect());
    for machine in machines {
        let id = machine.id.clone();
        let alive = match &machine.running {
            Some(running) => core.runner.adopt(&id, machine.incarnation, running).await,
            None => false,
        };
        let state = match (machine.state, alive) {
            (State::Destroying | State::Destroyed, _) => {
                stopping::destroy(core.clone(), id).await;
                continue;
            }
            (State::Started | State::Suspended, true) => continue,
            // The answer to the request said that it would come to be so.
            (State::Starting | State::Replacing, _) => State::Stopped,
            (State::Suspending | State::Stopping, true) => State::Started,
            (State::Started | State::Suspended | State::Suspending | State::Stopping, false) => {
                State::Stopped
            }
            (State::Created | State::Stopped | State::Failed, _) => continue,
        };
        let done = core.change(|changing| {
            if let Some(machine) = changing.world.machines.get_mut(&id) {
                if state == State::Stopped {
                    machine.running = None;
                }
                machine.become_state(state, "restart", "sim-fly");
                changing.note_machine(Event::Changed, &id);
            }
            Ok(())
        });
        if let Err(refusal) = done.await {
            tracing::error!(machine = id, %refusal, "a machine was not taken over");
        }
    }
}

/// An error with its causes.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
