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

pub async fn run(provider: Provider, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    match provider.command {
        ProviderCommand::Ls => list(&connect(&provider.connection, folders).await?, ui).await,
        ProviderCommand::Check { name, case } => check::run(&name, &case, &folders.data, ui).await,
        ProviderCommand::Teardown { name } => {
            teardown(&connect(&provider.connection, folders).await?, &name, ui).await
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
    }
    Ok(Outcome::Done)
}

async fn teardown(client: &Client, name: &str, ui: &mut Ui) -> Result<Outcome, Problem> {
    let torn = client.teardown(name).await?;
    match (ui.json, torn.removed) {
        (true, _) => ui.document(&torn),
        (false, true) => ui.say(format!("removed what the workspaces of {} shared", torn.provider)),
        (false, false) => ui.say(format!("the workspaces of {} share nothing", torn.provider)),
    }
    Ok(Outcome::Done)
}

/// What is done with every instance needs no words; what not every provider can does.
fn abilities(can: &ProviderCapabilities) -> String {
    let named = [
        (can.suspend, "suspend"),
        (can.logs, "logs"),
        (can.exec, "exec"),
        (can.snapshot, "snapshot"),
        (can.persistent_home, "keep files over a stop"),
    ];
    let able: Vec<_> = named.into_iter().filter(|(able, _)| *able).map(|(_, name)| name).collect();
    if able.is_empty() { "start and stop only".to_owned() } else { able.join(", ") }
}

/// `small (2048 MiB, 1.5 cores, 0.0082 $/h)`; a limit that is not set is not named.
fn size(size: &Size) -> String {
    let memory = size.memory_mib.map(|mib| format!("{mib} MiB"));
    let cores = size.cpu_millis.map(|millis| match millis {
        1000 => "1 core".to_owned(),
        _ => format!("{} cores", f64::from(millis) / 1000.0),
    });
    let price = size.hourly_micro_usd.map(|micro| format!("{:.4} $/h", f64::from(micro) / 1e6));
    let limits: Vec<_> = memory.into_iter().chain(cores).chain(price).collect();
    if limits.is_empty() { size.name.clone() } else { format!("{} ({})", size.name, limits.join(", ")) }
}
