//! Stands in for an instance's init in this crate's tests: listens where it is told, keeps a child,
//! ends on SIGTERM. Files in its home named `behave-*` make it misbehave as a real one might.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    if std::env::args().nth(1).as_deref() == Some("child") {
        if std::env::var_os("PILOT_RUNTIME").is_none() {
            // As what goes into the background does.
            let _ = rustix::process::setsid();
        }
        return sleep_for_ever();
    }
    // Fails when it already leads a session, which is just as good.
    let _ = rustix::process::setsid();
    if home.join("behave-die").exists() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"cannot work today\n");
        return ExitCode::from(7);
    }
    let children = if home.join("behave-fork").exists() { 20 } else { 1 };
    for number in 0..children {
        let mut child = Command::new(std::env::current_exe().unwrap_or_default());
        // Under a name of its own, as OpenCode has one.
        child.arg0("stand-in-child").arg("child").stdin(Stdio::null());
        if home.join("behave-nest").exists() {
            // As somebody may do who works on the init inside an instance.
            child.arg0(std::env::args_os().next().unwrap_or_default());
        }
        if number % 2 == 1 {
            // Some tools clean the environment of what they start.
            child.env_clear().env("HOME", &home);
        }
        if child.spawn().is_err() {
            return ExitCode::from(4);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(home.join("behave-ignore-term").exists())),
        Err(_) => ExitCode::from(5),
    }
}

/// Ignores SIGTERM, like a daemon that nobody taught to end.
fn sleep_for_ever() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::from(5);
    };
    runtime.block_on(async {
        let Ok(mut term) = signal(SignalKind::terminate()) else { return ExitCode::from(5) };
        loop {
            term.recv().await;
        }
    })
}

async fn serve(ignore_term: bool) -> ExitCode {
    let address = std::env::var("PILOT_LISTEN").unwrap_or_default();
    let opencode = std::env::var("PILOT_OPENCODE_PORT").unwrap_or_default();
    let (Ok(mut term), Ok(listener), Ok(_inner)) = (
        signal(SignalKind::terminate()),
        TcpListener::bind(&address).await,
        TcpListener::bind(format!("127.0.0.1:{opencode}")).await,
    ) else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"a port is taken\n");
        return ExitCode::from(3);
    };
    loop {
        tokio::select! {
            _ = term.recv() => {
                if !ignore_term {
                    // A real init needs a moment for its children.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return ExitCode::SUCCESS;
                }
            }
            connection = listener.accept() => drop(connection),
        }
    }
}
