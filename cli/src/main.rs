//! The `pilot` command: runs Pilot (`serve`) and talks to a Pilot that runs (everything else).
//!
//! Read `args` for what it can do. Commands hold no logic of their own: they send what `contracts`
//! defines and show the answer. Every failure is a problem document, printed for people or as JSON.

mod args;
mod exit;
mod ui;
mod usage;

mod client;
mod connection;
mod contexts;
mod endpoints;
mod kept;
mod sse;

mod progress;
mod watch;

mod backup;
mod completion;
mod doctor;
mod explain;
mod image;
mod login;
mod op;
mod provider;
mod rollout;
mod serve;
mod stack;
mod telemetry;
mod ws;

use std::process::ExitCode;

use contracts::Problem;

use crate::args::{Args, Command};
use crate::ui::Ui;

/// How a command ended. Problems are failures too, but they are printed. What follows for the exit code: `exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Nothing went wrong, but the answer is "no" (`stack diff --exit-code`, `doctor`).
    Negative,
    /// The operation failed; its problem was printed.
    Failed,
    /// Something went wrong and was printed; this is the exit code.
    Told(u8),
    /// Ctrl-C.
    Interrupted,
}

/// A server reads many rows each round, in threads that take turns: the system's allocator kept what each had used at most.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return ExitCode::from(ui::usage(&error)),
    };
    let mut ui = Ui::standard(args.json);
    let result = run(args, &mut ui).await;
    if let Err(problem) = &result {
        ui.problem(problem);
    }
    ExitCode::from(exit::told(exit::of(&result), ui.is_lost))
}

async fn run(args: Args, ui: &mut Ui) -> Result<Outcome, Problem> {
    let folders = args.folders();
    match args.command {
        Command::Serve(serve) => serve::run(serve, folders.data, ui).await,
        Command::Ws(ws) => ws::run(ws, &folders, ui).await,
        Command::Op(op) => op::run(op, &folders, ui).await,
        Command::Rollout(it) => rollout::run(it, &folders, ui).await,
        Command::Usage(usage) => usage::run(usage, &folders, ui).await,
        Command::Stack(stack) => stack::run(stack, &folders, ui).await,
        Command::Provider(provider) => provider::run(provider, &folders, ui).await,
        Command::Image(image) => image::run(image, &folders, ui).await,
        Command::Login(login) => login::run(login, &folders, ui).await,
        Command::Context(context) => login::context(context, &folders, ui),
        Command::Backup(backup) => backup::run(backup, folders.data, ui).await,
        Command::Store(store) => backup::store(store, folders.data, ui).await,
        Command::Doctor(doctor) => doctor::run(doctor, folders, ui).await,
        Command::Completion(completion) => completion::run(&completion, ui),
        Command::Explain(explain) => explain::run(&explain, ui),
    }
}

#[cfg(test)]
mod tests;
