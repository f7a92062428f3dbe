//! The program around the simulator: a first line with its addresses, and a clean end.

mod arguments;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use sim_fly::Sim;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes =
                std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source());
            let words: Vec<String> = causes.map(ToString::to_string).collect();
            // There is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "sim-fly: {}", words.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let sim = Sim::start(arguments.settings()).await?;
    let first = json!({
        "api": sim.api_url(),
        "edge": sim.edge().to_string(),
        "admin": sim.admin_url(),
        "registry": sim.registry(),
        "journal": sim.journal(),
    });
    writeln!(std::io::stdout(), "{first}")?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    sim.stop().await;
    Ok(())
}
