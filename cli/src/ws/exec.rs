//! `pilot ws exec`: a command in an instance, with its output and its exit code as if it had run here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::Problem;
use contracts::exec::Exec;

use super::parse;
use crate::Outcome;
use crate::args;
use crate::client::Client;
use crate::ui::Ui;

pub async fn run(client: &Client, wanted: args::Exec, ui: &mut Ui) -> Result<Outcome, Problem> {
    // A part of a second is one: less would be none.
    let seconds = wanted.timeout.as_millis().div_ceil(1000) as u64;
    let exec = Exec { command: wanted.command, timeout_seconds: Some(seconds) };
    let done = client.exec(&parse(&wanted.slug)?, &exec).await?;
    if ui.json {
        ui.document(&done);
    } else {
        ui.bytes(&written(&done.stdout, done.stdout_base64.as_deref()));
        ui.complaint(&written(&done.stderr, done.stderr_base64.as_deref()));
        for (name, dropped) in [("stdout", done.stdout_dropped), ("stderr", done.stderr_dropped)] {
            if dropped > 0 {
                ui.note(format!(
                    "pilot: {dropped} bytes more of its {name} are lost; let it write into a file."
                ));
            }
        }
    }
    Ok(match done.exit_code {
        0 => Outcome::Done,
        code => Outcome::Told(u8::try_from(code).ok().filter(|code| *code > 0).unwrap_or(u8::MAX)),
    })
}

/// Exactly, also where it is no text.
fn written(text: &str, exact: Option<&str>) -> Vec<u8> {
    exact.and_then(|exact| STANDARD.decode(exact).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}
