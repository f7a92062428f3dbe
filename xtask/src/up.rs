//! `cargo xtask up`: from a fresh clone to a link that opens a workspace. Every step looks first whether
//! its work is already done, so running it again is quick and safe.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::server::Server;
use crate::{build, image, paths, process, system, tools, ui};

/// The workspace that `up` makes.
const DEMO: &str = "demo";

/// Start Pilot on this machine with a workspace `demo`, and print its link.
///
/// Builds what is missing (the first run takes about 10 minutes of processor time, later ones seconds), starts
/// `pilot serve` on loopback, creates or starts the workspace, and waits until it is ready.
#[derive(clap::Args)]
pub struct Arguments {
    /// Return when the workspace is ready; without it the log is shown and Ctrl-C stops everything.
    #[arg(long)]
    detach: bool,
    /// Where the workspace runs: as processes of your own account, or in a container [default: where it
    /// is already, else local]
    #[arg(long, value_enum)]
    provider: Option<Provider>,
    /// Build with optimisations: slower to build, faster to run.
    #[arg(long)]
    release: bool,
    /// The data folder (default: $PILOT_DATA, else ~/.local/share/pilot).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// An opencode.json with your model provider; workspaces get it at their next start.
    #[arg(long, value_name = "FILE")]
    model_config: Option<PathBuf>,
    /// Install missing system packages with apt-get, without asking.
    #[arg(long)]
    yes: bool,
    /// What follows `--` goes to `pilot serve`, for example `-- --listen-gateway 127.0.0.1:8080`.
    #[arg(last = true, value_name = "SERVE OPTION")]
    serve: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Provider {
    Local,
    Docker,
}

impl Provider {
    fn name(self) -> &'static str {
        match self {
            Provider::Local => "local",
            Provider::Docker => "docker",
        }
    }
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    system::ensure(system::BASIC, arguments.yes)?;
    let docker = arguments.provider == Some(Provider::Docker);
    if docker {
        system::ensure_docker()?;
    }
    // None of them keeps two cores busy to its end, so they run at once.
    let (tools, programs) = process::both(tools::ensure_to_run, || build::product(arguments.release))?;
    if docker {
        image::ensure(&programs, &tools.opencode, arguments.yes)?;
    }
    let data = paths::data(arguments.data.as_deref())?;
    std::fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
    if let Some(file) = &arguments.model_config {
        install_model_config(file, &data)?;
    }
    let server = Server { pilot: programs.pilot(), data };
    if arguments.detach {
        return begin(&server, arguments);
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for Ctrl-C")?;
    let begun = begin(&server, arguments);
    if begun.is_ok() && server.recorded().is_none() {
        ui::note(
            "this server was not started by `cargo xtask up`, so it stays; its log is where you started it",
        );
        return Ok(());
    }
    // Ctrl-C while the workspace is being made must not leave a server behind either.
    let interrupted = signals.pending().next().is_some();
    match begun {
        Ok(()) if !interrupted => follow(&server, &mut signals)?,
        Err(error) if !interrupted => return Err(error),
        _ => {}
    }
    crate::down::stop_everything(&server, false)
}

fn begin(server: &Server, arguments: &Arguments) -> Result<()> {
    start(server, &arguments.serve)?;
    let provider = workspace(server, arguments.provider)?;
    explain(server, arguments, &provider)
}

fn start(server: &Server, options: &[String]) -> Result<()> {
    if server.answers() {
        ui::note("Pilot is already running; using it");
        if server.is_older_than_its_program() {
            ui::note(
                "It is older than the program just built: `cargo xtask down`, then `up`, starts the new one",
            );
        }
        return Ok(());
    }
    let step = ui::Step::begin("starting Pilot", None);
    server.start(&options.iter().map(String::as_str).collect::<Vec<_>>())?;
    step.done("");
    Ok(())
}

/// Creates the demo workspace, or starts the one that is there; both wait until it is ready. Tells the
/// name of its provider.
fn workspace(server: &Server, wanted: Option<Provider>) -> Result<String> {
    let list = crate::down::workspaces(server, &[])?;
    let Some(demo) = list.iter().find(|workspace| workspace["slug"] == DEMO) else {
        let provider = wanted.unwrap_or(Provider::Local).name();
        process::run(&mut server.command(&["ws", "create", DEMO, "--provider", provider]))?;
        return Ok(provider.to_owned());
    };
    let provider = provider_of(demo, wanted)?;
    if demo["state"] != "ready" {
        process::run(&mut server.command(&["ws", "start", DEMO]))?;
    }
    Ok(provider)
}

/// A workspace stays where it is; asking for another place is an error, not a move.
fn provider_of(demo: &Value, wanted: Option<Provider>) -> Result<String> {
    let current = demo["provider"].as_str().unwrap_or_default();
    match wanted.map(Provider::name) {
        Some(other) if other != current => bail!(
            "the workspace `{DEMO}` exists on the provider `{current}`. Use it with `--provider {current}`, or \
             delete it with `pilot ws rm {DEMO}` and run this again"
        ),
        _ => Ok(current.to_owned()),
    }
}

fn explain(server: &Server, arguments: &Arguments, provider: &str) -> Result<()> {
    let link = process::capture(&mut server.command(&["ws", "open", DEMO]))?;
    ui::say(format!(
        "\nThe workspace `{DEMO}` is ready. Open it (the link logs you in once):\n  {}",
        link.trim()
    ));
    if provider == Provider::Local.name() {
        ui::say(
            "\nThe `local` provider gives no isolation: the agent runs with all rights of your own account.",
        );
    }
    if !server.data.join("opencode.json").exists() {
        ui::say(
            "\nThe agent has no model of yours yet: `cargo xtask up --detach --model-config opencode.json`, \
             or connect a provider in its settings.",
        );
    }
    let folder = server.pilot.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    ui::say(format!("\nThe `pilot` command:\n  export PATH=\"{folder}:$PATH\""));
    if arguments.data.is_some() {
        ui::say(format!("  export PILOT_DATA={}", server.data.display()));
    }
    ui::say("  pilot ws ls             what runs");
    ui::say("  pilot ws open demo      a new link");
    ui::say("  pilot ws create NAME    another workspace");
    let flag =
        arguments.data.as_ref().map_or(String::new(), |_| format!(" --data {}", server.data.display()));
    if arguments.detach {
        ui::say(format!("\nStop everything: cargo xtask down{flag}"));
    } else {
        ui::say("\nStop everything: Ctrl-C. The server's log follows.");
    }
    Ok(())
}

/// The file holds the model's key, so only the owner may read it.
fn install_model_config(file: &Path, data: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    if let Err(error) = serde_json::from_str::<Value>(&text) {
        bail!("{} is not JSON: {error}", file.display());
    }
    let place = data.join("opencode.json");
    let staged = data.join(".opencode.json.new");
    let _ = std::fs::remove_file(&staged);
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&staged, &place).with_context(|| place.display().to_string())
}

/// Shows the log until a signal arrives or the server ends.
fn follow(server: &Server, signals: &mut Signals) -> Result<()> {
    let mut log = std::fs::File::open(server.log()).with_context(|| server.log().display().to_string())?;
    log.seek(SeekFrom::Start(0))?;
    loop {
        let mut text = Vec::new();
        log.read_to_end(&mut text)?;
        let _ = std::io::stdout().write_all(&text);
        if signals.pending().next().is_some() {
            ui::note("\nstopping");
            return Ok(());
        }
        if !server.answers_or_runs() {
            bail!("the server ended by itself; its log is {}", server.log().display());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_config_is_checked_and_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("mine.json"), folder.path().join("data"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&file, "{ nonsense").unwrap();
        assert!(install_model_config(&file, &data).is_err());
        std::fs::write(&file, r#"{"model":"a/b"}"#).unwrap();
        install_model_config(&file, &data).unwrap();
        let place = data.join("opencode.json");
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        install_model_config(&file, &data).unwrap();
    }

    #[test]
    fn a_demo_of_another_provider_is_used_or_refused_but_never_replaced() {
        let demo = serde_json::json!({"slug": DEMO, "provider": "docker"});
        assert_eq!(provider_of(&demo, None).unwrap(), "docker");
        assert_eq!(provider_of(&demo, Some(Provider::Docker)).unwrap(), "docker");
        let error = provider_of(&demo, Some(Provider::Local)).unwrap_err().to_string();
        assert!(error.contains("--provider docker"), "{error}");
    }
}
