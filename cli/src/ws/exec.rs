//! `pilot ws exec`: a command in an instance, with its output and its exit code as if it had run here.
//!
//! A signal that ends this command ends that one: the server sees that nobody waits for the answer any more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::exec::{Exec, LONGEST_TIMEOUT_SECONDS};
use contracts::{ErrorCode, Problem};
use tokio::signal::unix::{SignalKind, signal};

use super::parse;
use crate::Outcome;
use crate::args;
use crate::client::Client;
use crate::exit;
use crate::ui::Ui;

pub async fn run(client: &Client, wanted: args::Exec, ui: &mut Ui) -> Result<Outcome, Problem> {
    // A part of a second is one: less would be none.
    let seconds = wanted.timeout.as_millis().div_ceil(1000) as u64;
    let exec = Exec { command: wanted.command, timeout_seconds: Some(seconds) };
    let name = parse(&wanted.slug)?;
    let unheard = |error: std::io::Error| {
        Problem::new(ErrorCode::Internal, format!("Signals cannot be waited for: {error}."))
    };
    let (mut interrupted, mut terminated) = (
        signal(SignalKind::interrupt()).map_err(unheard)?,
        signal(SignalKind::terminate()).map_err(unheard)?,
    );
    let done = tokio::select! {
        done = client.exec(&name, &exec) => done,
        _ = interrupted.recv() => return Ok(Outcome::Interrupted),
        _ = terminated.recv() => return Ok(Outcome::Told(exit::TERMINATED)),
    };
    // By now whoever writes into a pipe has begun to.
    if ui.has_unread_input() {
        ui.note(format!(
            "pilot: what is at stdin was not read: a command of `ws exec` has no input. `pilot ws ssh {} -- COMMAND` passes \
             it on; with `< /dev/null` this is not said.",
            wanted.slug
        ));
    }
    let done = done?;
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
        if done.timed_out {
            let program = exec.command.first().map_or("", String::as_str);
            let more = if seconds < LONGEST_TIMEOUT_SECONDS {
                "give it more with --timeout, at most 5m"
            } else {
                "a longer one can go on in the background, with nohup"
            };
            ui.note(format!("pilot: {program} did not end within {seconds} s and was ended; {more}."));
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
