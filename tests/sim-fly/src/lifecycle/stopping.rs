//! The ways down: stop, restart, replace, destroy.

use std::sync::Arc;
use std::time::Duration;

use super::boot;
use crate::core::Core;
use crate::journal::Event;
use crate::world::State;

/// How a machine is asked to end, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub signal: i32,
    pub grace: Duration,
}

/// Stops a machine whose state is `stopping`.
pub async fn stop(core: Arc<Core>, id: String, ending: Ending) {
    halt(&core, &id, ending).await;
    let done = core.change(|changing| {
        let Some(machine) =
            changing.world.machines.get_mut(&id).filter(|machine| machine.state == State::Stopping)
        else {
            return Ok(());
        };
        machine.running = None;
        machine.become_state(State::Stopped, "exit", "flyd");
        machine.note_exit(Some(0), true);
        changing.note_machine(Event::Changed, &id);
        Ok(())
    });
    if let Err(refusal) = done.await {
        tracing::error!(machine = id, %refusal, "a stop was not noted");
    }
}

/// Ends a machine whose state is `replacing` and boots its new version, unless it shall stay down.
pub async fn replace(core: Arc<Core>, id: String, ending: Ending, then_boot: bool) {
    halt(&core, &id, ending).await;
    let next = core.change(|changing| {
        let found = changing.world.machines.get_mut(&id);
        let Some(machine) = found.filter(|machine| machine.state == State::Replacing) else {
            return Ok(None);
        };
        machine.running = None;
        machine.incarnation += 1;
        let (state, kind) = if then_boot { (State::Starting, "launch") } else { (State::Stopped, "update") };
        machine.become_state(state, kind, "flyd");
        let incarnation = machine.incarnation;
        changing.note_machine(Event::Changed, &id);
        Ok(then_boot.then_some(incarnation))
    });
    if let Ok(Some(incarnation)) = next.await {
        boot(core, id, incarnation).await;
    }
}

/// Ends and removes a machine whose state is `destroying`. It is shown as destroyed for a while, then
/// nobody knows it any more.
pub async fn destroy(core: Arc<Core>, id: String) {
    halt(&core, &id, Ending { signal: 9, grace: Duration::ZERO }).await;
    core.runner.forget(&id).await;
    let done = core.change(|changing| {
        let world = &mut *changing.world;
        let Some(machine) = world.machines.get_mut(&id) else { return Ok(()) };
        let first_time = machine.state != State::Destroyed;
        machine.running = None;
        if first_time {
            machine.become_state(State::Destroyed, "destroy", "flyd");
        }
        if let Some(app) = world.apps.get_mut(&machine.app)
            && app.names.get(&machine.name) == Some(&id)
        {
            app.names.remove(&machine.name);
        }
        let attached: Vec<String> = world
            .volumes
            .values_mut()
            .filter(|volume| volume.attached_machine.as_deref() == Some(id.as_str()))
            .map(|volume| {
                volume.attached_machine = None;
                volume.id.clone()
            })
            .collect();
        if first_time {
            changing.note_machine(Event::Changed, &id);
        }
        for volume in attached {
            changing.note_volume(Event::Changed, &volume);
        }
        Ok(())
    });
    if let Err(refusal) = done.await {
        tracing::error!(machine = id, %refusal, "a destruction was not noted");
    }
    tokio::spawn(async move {
        tokio::time::sleep(core.settings.delays.tombstone).await;
        bury(&core, &id).await;
    });
}

async fn bury(core: &Core, id: &str) {
    let done = core.change(|changing| {
        changing.note_machine(Event::Gone, id);
        changing.world.remove("machine", id);
        Ok(())
    });
    // The simulator may be ending; then the next start buries it.
    let _ = done.await;
    core.forget_notice(id);
}

/// Ends what runs, however it is.
async fn halt(core: &Core, id: &str, ending: Ending) {
    let running = core.look(|world| world.machines.get(id).and_then(|machine| machine.running.clone()));
    if let Some(running) = running
        && let Err(error) = core.runner.stop(id, &running, ending.signal, ending.grace).await
    {
        tracing::warn!(machine = id, error = super::error_chain(&error), "a machine did not end as asked");
    }
}

/// Ends every program, for a simulator that ends.
pub async fn all(core: &Arc<Core>) {
    let running = core.look(|world| {
        let machines = world.machines.values().filter(|machine| machine.running.is_some());
        machines.map(|machine| machine.id.clone()).collect::<Vec<_>>()
    });
    let mut ends = tokio::task::JoinSet::new();
    for id in running {
        let core = core.clone();
        ends.spawn(async move {
            halt(&core, &id, Ending { signal: 15, grace: Duration::from_secs(2) }).await;
            let done = core.change(|changing| {
                if let Some(machine) = changing.world.machines.get_mut(&id) {
                    machine.running = None;
                    machine.become_state(State::Stopped, "exit", "sim-fly");
                    changing.note_machine(Event::Changed, &id);
                }
                Ok(())
            });
            // The program has ended, whatever the journal says.
            let _ = done.await;
        });
    }
    while ends.join_next().await.is_some() {}
}
