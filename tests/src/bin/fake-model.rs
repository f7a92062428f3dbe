//! The fake model as a program, for trying Pilot by hand and for containers.
//!
//! Prints `listening on ADDRESS` once it answers, and the `opencode.json` that uses it on request.

use std::io::Write;

use anyhow::{Context, bail};

const USAGE: &str = "usage: fake-model [--port PORT] [--print-config]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut port = 0;
    let mut print_config = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => {
                let value = arguments.next().context(USAGE)?;
                port = value.parse().with_context(|| format!("{value:?} is not a port; {USAGE}"))?;
            }
            "--print-config" => print_config = true,
            _ => bail!("unknown argument {argument:?}; {USAGE}"),
        }
    }
    let model = tests::fake_model::FakeModel::start_on(port)
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", model.address())?;
    if print_config {
        writeln!(out, "{:#}", tests::fake_model::opencode_config(&model.base_url()))?;
    }
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
