//! `pilot provider`: where workspaces can run, and how the next place is added.

mod check;
mod new;
mod scaffold;
mod template;

use contracts::Problem;
use contracts::workspace::{ProviderCapabilities, Size};

use crate::Outcome;
use crate::args::{Folders, Provider, ProviderCommand};
use crate::client::Client;
use crate::connection::connect;
use crate::ui::Ui;
use crate::watch::{Watched, watch};

pub async fn run(provider: Provider, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    match provider.command {
        ProviderCommand::Ls => list(&connect(&provider.connection, folders).await?, ui).await,
        ProviderCommand::Check { name, case } => check::run(&name, &case, &folders.data, ui).await,
        ProviderCommand::Teardown { name, no_wait } => {
            teardown(&connect(&provider.connection, folders).await?, &name, no_wait, ui).await
        }
        ProviderCommand::New { name } => new::run(&name, ui).await,
    }
}

async fn list(client: &Client, ui: &mut Ui) -> Result<Outcome, Problem> {
    let list = client.providers().await?;
    if ui.json {
        ui.document(&list);
        return Ok(Outcome::Done);
    }
    for info in &list.providers {
        let mark = if info.default { " (default)" } else { "" };
        ui.say(format!("{}{mark}: {}", info.name, info.summary));
        ui.say(format!("  isolation  {}", info.isolation));
        let sizes: Vec<_> = info.sizes.iter().map(size).collect();
        ui.say(format!("  sizes      {}", sizes.join(", ")));
        if !info.regions.is_empty() {
            let regions: Vec<_> =
                info.regions.iter().map(|region| format!("{} ({})", region.name, region.title)).collect();
            ui.say(format!("  regions    {}", regions.join(", ")));
        }
        ui.say(format!("  can        {}", abilities(&info.capabilities)));
        if let Some(updates) = &info.updates {
            ui.say(format!("  new image  {}", updates.image.downtime()));
            ui.say(format!("  new size   {}", updates.size.downtime()));
        }
    }
    Ok(Outcome::Done)
}

async fn teardown(client: &Client, name: &str, no_wait: bool, ui: &mut Ui) -> Result<Outcome, Problem> {
    let operation = client.teardown(name).await?;
    let id = &operation.id;
    if no_wait {
        match ui.json {
            true => ui.document(&operation),
            false => ui.say(format!("{name}: accepted as {id}; `pilot op watch {id}` follows it.")),
        }
        return Ok(Outcome::Done);
    }
    let total = match watch(client, &operation, ui).await? {
        Watched::Succeeded(total) => total,
        Watched::Failed(problem) => return Ok(ui.failed(&problem)),
        Watched::Interrupted => return Ok(Outcome::Interrupted),
    };
    let after = total.map(|total| format!(" after {total}")).unwrap_or_default();
    match ui.json {
        true => ui.document(&client.operation(id).await?),
        false => ui.say(format!("Workspaces on {name} share nothing any more{after}.")),
    }
    Ok(Outcome::Done)
}

/// What is done with every instance needs no words; what not every provider can does.
fn abilities(can: &ProviderCapabilities) -> String {
    let named = [
        (can.suspend, "suspend"),
        (can.hibernate, "hibernate"),
        (can.logs, "logs"),
        (can.exec, "exec"),
        (can.snapshot, "snapshot"),
        (can.rewind, "restore"),
        (can.fork, "fork"),
        (can.push, "take images"),
        (can.persistent_home, "keep files over a stop"),
    ];
    let able: Vec<_> = named.into_iter().filter(|(able, _)| *able).map(|(_, name)| name).collect();
    if able.is_empty() { "start and stop only".to_owned() } else { able.join(", ") }
}

/// `small (2048 MiB, 1.5 cores, 10 GiB disk, 0.0082 $/h)`; a limit that is not set is not named.
fn size(size: &Size) -> String {
    let memory = size.memory_mib.map(|mib| format!("{mib} MiB"));
    let cores = size.cpu_millis.map(|millis| match millis {
        1000 => "1 core".to_owned(),
        _ => format!("{} cores", f64::from(millis) / 1000.0),
    });
    let disk = size.disk_mib.map(|mib| match mib % 1024 {
        0 => format!("{} GiB disk", mib / 1024),
        _ => format!("{mib} MiB disk"),
    });
    let price = size.hourly_micro_usd.map(|micro| format!("{:.4} $/h", f64::from(micro) / 1e6));
    let limits: Vec<_> = memory.into_iter().chain(cores).chain(disk).chain(price).collect();
    if limits.is_empty() { size.name.clone() } else { format!("{} ({})", size.name, limits.join(", ")) }
}
