//! `pilot-instance`: the init of every instance, the same on every provider.
//!
//! It answers `/health` at once, fetches the workspace's repository, runs OpenCode and keeps it
//! running, and serves the backend in front of it. It knows nothing of clouds, Pulumi or users.

mod config;
mod logging;

mod boot;
mod delivery;
mod git;
mod opencode_home;
mod privileges;

mod children;
mod proc_table;
mod readiness;
mod state;
mod supervisor;

mod run;
mod session;
mod ssh;

use std::process::ExitCode;

use clap::Parser;

use crate::config::Config;

/// The server and the supervisor wait nearly always; more threads would only cost memory.
const WORKER_THREADS: usize = 2;

fn main() -> ExitCode {
    let config = Config::parse();
    logging::start(config.log_level);
    if let Err(error) = privileges::give_up(&config.home) {
        tracing::error!(code = error.code().as_str(), "{error}");
        return ExitCode::FAILURE;
    }
    let delivered = delivery::collect(&config.home).and_then(|()| delivery::receive(&config.home));
    if let Err(error) = delivered {
        tracing::error!(code = error.code().as_str(), "{error}");
        return ExitCode::FAILURE;
    }
    session::lead();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(4)
        .thread_stack_size(512 * 1024)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run::run(config)),
        Err(source) => Err(run::Fatal::Runtime { source }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            tracing::error!(code = fatal.code().as_str(), "{}", fatal.problem());
            ExitCode::from(fatal.exit_code())
        }
    }
}
