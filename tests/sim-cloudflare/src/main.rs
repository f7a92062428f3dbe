//! `sim-cloudflare`: the simulator as a program.

mod arguments;

use std::io::Write as _;

use anyhow::Context as _;
use clap::Parser as _;
use sim_cloudflare::Simulator;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = arguments::Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let temporary = tempfile::tempdir()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let simulator = Simulator::start(arguments.options(temporary.path())).await;
    let simulator = simulator.context("the simulator does not start")?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(&simulator.urls)?)?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await;
    Ok(())
}
