//! `cargo xtask down`: stops the workspaces, then the server. Running it twice is fine.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use crate::server::Server;
use crate::{paths, process, ui};

/// Stop every workspace and the server. Files and sessions stay for the next `up`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Delete the workspaces with everything in them.
    #[arg(long)]
    purge: bool,
    /// The data folder that `up` was given.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let data = paths::data(arguments.data.as_deref())?;
    let built = [false, true].map(|release| paths::programs(release).join("pilot"));
    let pilot = Server::recorded_program(&data).or_else(|| built.into_iter().find(|path| path.is_file()));
    let Some(pilot) = pilot else {
        ui::note("Pilot was never built here, so nothing runs");
        return Ok(());
    };
    stop_everything(&Server { pilot, data }, arguments.purge)
}

/// Stops or deletes every workspace, then ends the server.
pub fn stop_everything(server: &Server, purge: bool) -> Result<()> {
    if !server.answers() {
        let hung = server.stop()?;
        // Deleting needs the server: it knows what belongs to a workspace.
        if purge && server.data.join("secrets").is_dir() {
            let step = ui::Step::begin("starting Pilot to delete the workspaces", None);
            server.start_private(&[])?;
            step.done("");
        } else {
            ui::note(if hung { "the server did not answer; it is stopped now" } else { "nothing runs" });
            return Ok(());
        }
    }
    let mut failed = Vec::new();
    let mut all = workspaces(server, &[])?;
    if purge {
        // What is kept of those that were deleted is by its id alone.
        all.extend(workspaces(server, &["--deleted"])?);
    }
    for workspace in all {
        let slug = workspace["id"].as_str().unwrap_or_default().to_owned();
        let name = workspace["slug"].as_str().unwrap_or_default();
        let verb = match (purge, workspace["state"].as_str().unwrap_or_default()) {
            (true, _) => "rm",
            (false, "stopped" | "absent" | "deleting") => continue,
            (false, _) => "stop",
        };
        let step = ui::Step::begin(format!("{verb} {name}"), None);
        // `rm` asks on a terminal; here the person has already said --purge.
        let mut words = vec!["ws", verb, slug.as_str(), "--json"];
        if purge {
            words.extend(["--yes", "--purge"]);
        }
        match process::capture(&mut server.command(&words)) {
            Ok(_) => step.done(""),
            Err(error) => failed.push(error),
        }
    }
    if server.stop()? {
        ui::note("stopped");
    } else {
        ui::note("the server was not started by `cargo xtask up`; stop it where you started it");
    }
    match failed.pop() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The workspaces as `pilot ws ls --json` shows them.
pub fn workspaces(server: &Server, which: &[&str]) -> Result<Vec<Value>> {
    let words = [&["ws", "ls", "--json"], which].concat();
    let text = process::capture(&mut server.command(&words))?;
    let value: Value = serde_json::from_str(&text)?;
    let list = value.get("workspaces").unwrap_or(&value);
    Ok(list.as_array().cloned().unwrap_or_default())
}
