//! A home that begins with a snapshot of another runtime's: a new volume with its files, and a machine that lives for a moment
//! and removes what is a secret of the original, before any instance runs in it.
//!
//! While a volume of a fork has no instance, nobody has worked in it: the short machine may be made as often as a create is
//! repeated, and what is half done is done again.

use contracts::boot::HOME;
use contracts::{ErrorCode, secrets};
use provider_api::{ProviderError, Result, RuntimeRef, Source, no_snapshot};
use provider_kit::secrets::LEAVE_OUT;
use serde_json::{Value, json};
use tokio::time::Instant as Deadline;

use crate::failure::{self, error};
use crate::fly::Fly;
use crate::instance::Instance;
use crate::lifecycle::FlyLifecycle;
use crate::{names, wire};

/// What a short machine needs of the home's inputs.
pub(crate) struct Home<'a> {
    pub region: &'a str,
    pub volume: &'a str,
    pub cpus: u32,
    pub memory_mib: u32,
}

/// Before a volume is made of it: it is there, and of this installation. Fly's id of it, which may be named by the key of its take.
pub(crate) async fn must_have(
    lifecycle: &FlyLifecycle,
    runtime: &RuntimeRef,
    source: &Source,
) -> Result<String> {
    let theirs = RuntimeRef::new(source.runtime_id.clone(), runtime.installation.clone());
    let missing = || no_snapshot(&source.runtime_id, &source.snapshot);
    let Some((app, volume)) = lifecycle.find_home(&theirs).await? else { return Err(missing()) };
    let listed = lifecycle.snapshots_of(&app, &volume).await?;
    let keys = lifecycle.keys(&theirs).await?;
    let is_it = |id: &String| *id == source.snapshot || keys.get(id) == Some(&source.snapshot);
    listed.into_iter().map(|snapshot| snapshot.id).find(is_it).ok_or_else(missing)
}

/// Returns when the volume has no secret of the original any more.
pub(crate) async fn leave_secrets_out(fly: &Fly, runtime: &RuntimeRef, home: &Home<'_>) -> Result<()> {
    let instance = Instance::new(fly, runtime);
    if instance.find().await?.is_some() {
        // Its machine is made after this has ended, so it has.
        return Ok(());
    }
    let machine = ensure(fly, &instance, home).await?;
    let deadline = Deadline::now() + fly.timing.settle;
    instance.becomes_stopped(&machine, deadline).await?;
    let ended = fly.client()?.machine(&instance.app, &machine.id).await;
    let ended = ended.map_err(|failure| error(failure, "look at the machine that prepares the fork"))?;
    instance.destroy(&ended).await?;
    if ended.state == "stopped" && ended.exit_code() == Some(0) {
        return Ok(());
    }
    let code = ended.exit_code().map(|code| format!(" with the exit code {code}")).unwrap_or_default();
    let message =
        format!("the machine that removes secrets from the fork's home ended {}{code}", ended.state);
    Err(ProviderError::new(ErrorCode::ProviderFailed, message).with_action(format!(
        "`fly logs -a {}` shows why. The fork is begun anew when it is started again.",
        instance.app
    )))
}

/// Its name exists once in the app, so a second one is the first.
async fn ensure(fly: &Fly, instance: &Instance<'_>, home: &Home<'_>) -> Result<wire::Machine> {
    let client = fly.client()?;
    let find = || async {
        let listed = client.machines_with(&instance.app, names::FORK_OF, &instance.runtime.runtime_id).await;
        let listed = failure::optional(listed, "look for the machine that prepares the fork")?;
        Ok::<_, ProviderError>(listed.unwrap_or_default().into_iter().find(|machine| !machine.is_gone()))
    };
    if let Some(before) = find().await? {
        // Cut off once; whether it has removed everything is not known.
        instance.destroy(&before).await?;
    }
    let made = client.create_machine(&instance.app, body(fly, instance, home)?).await;
    match made {
        Ok(machine) => Ok(machine),
        Err(failure) if failure.status().map(|status| status.as_u16()) == Some(409) => {
            find().await?.ok_or_else(|| error(failure, "prepare the fork"))
        }
        Err(failure) => Err(error(failure, "prepare the fork")),
    }
}

fn body(fly: &Fly, instance: &Instance<'_>, home: &Home<'_>) -> Result<Value> {
    let script = format!("{LEAVE_OUT}leave_out \"$@\" && sync");
    let mut exec = vec!["/bin/sh", "-c", &script, "fork"];
    exec.extend(secrets::BELOW_HOME);
    let config = json!({
        "image": fly.settings.require("image")?,
        "guest": {"cpu_kind": "shared", "cpus": home.cpus, "memory_mb": home.memory_mib},
        "env": {"HOME": HOME},
        "metadata": {names::FORK_OF: instance.runtime.runtime_id.as_str()},
        "mounts": [{"volume": home.volume, "path": HOME}],
        "init": {"exec": exec},
        "processes": [{"ignore_app_secrets": true, "user": "root"}],
        "restart": {"policy": "no"},
    });
    Ok(json!({"name": names::FORK, "region": home.region, "config": config}))
}
