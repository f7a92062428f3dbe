//! `pilot provider`: where workspaces can run.

use std::path::Path;

use contracts::Problem;
use contracts::workspace::Size;

use crate::Outcome;
use crate::args::{Provider, ProviderCommand};
use crate::connection::connect;
use crate::ui::Ui;

pub async fn run(provider: Provider, data: &Path, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&provider.connection, data).await?;
    let ProviderCommand::Ls = provider.command;
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
    }
    Ok(Outcome::Done)
}

/// `small (2048 MiB, 1.5 cores)`; a limit that is not set is not named.
fn size(size: &Size) -> String {
    let memory = size.memory_mib.map(|mib| format!("{mib} MiB"));
    let cores = size.cpu_millis.map(|millis| match millis {
        1000 => "1 core".to_owned(),
        _ => format!("{} cores", f64::from(millis) / 1000.0),
    });
    let limits: Vec<_> = memory.into_iter().chain(cores).collect();
    if limits.is_empty() { size.name.clone() } else { format!("{} ({})", size.name, limits.join(", ")) }
}
