//! Runs a program that is an executable of its own and speaks to the engine by itself.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use tonic::transport::{Channel, Endpoint};

use crate::context::unreachable;
use crate::program_error::ProgramError;
use crate::source::ChildProgram;
use crate::wire as rpc;
use crate::wire::RunRequest;
use rpc::engine_client::EngineClient;

/// Until the executable ends. Dropped before, it is killed: the engine has gone or wants no more.
pub(crate) async fn run(child: &ChildProgram, request: &RunRequest) -> Result<(), ProgramError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        ProgramError::Failed(format!("{} {what}: {error}", child.path.display()))
    };
    let engine = request.args.first().map(String::as_str).unwrap_or_default();
    let log = Endpoint::from_shared(format!("http://{engine}"))
        .map_err(|error| failed("has no engine to log to", &error))?
        .connect()
        .await
        .map_err(|error| unreachable(&error))?;
    let mut process = Command::new(&child.path)
        .args(&child.args)
        .current_dir(&request.pwd)
        .env_clear()
        .envs(environment(child, request, engine).map_err(|error| failed("cannot be started", &error))?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed("does not start", &error))?;
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    // What it prints goes where the engine shows it; the last words are the reason when it fails.
    let (status, (), last) = tokio::join!(
        process.wait(),
        async {
            if let Some(stdout) = stdout {
                forward(stdout, log.clone(), rpc::LogSeverity::Info).await;
            }
        },
        async {
            match stderr {
                Some(stderr) => forward_and_keep(stderr, log.clone()).await,
                None => String::new(),
            }
        },
    );
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) if last.is_empty() => Err(failed("ended with", &status)),
        Ok(status) => Err(failed(&format!("ended with {status}"), &last)),
        Err(error) => Err(failed("cannot be waited for", &error)),
    }
}

fn environment(
    child: &ChildProgram,
    request: &RunRequest,
    engine: &str,
) -> Result<Vec<(OsString, OsString)>, serde_json::Error> {
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |key: &str, value: OsString| env.push((key.into(), value));
    set("PATH", "/usr/local/bin:/usr/bin:/bin".into());
    set("PULUMI_MONITOR", request.monitor_address.clone().into());
    set("PULUMI_ENGINE", engine.into());
    set("PULUMI_PROJECT", request.project.clone().into());
    set("PULUMI_STACK", request.stack.clone().into());
    set("PULUMI_ORGANIZATION", request.organization.clone().into());
    set("PULUMI_ROOT_DIRECTORY", request.pwd.clone().into());
    set("PULUMI_DRY_RUN", request.dry_run.to_string().into());
    set("PULUMI_PARALLEL", request.parallel.to_string().into());
    set("PULUMI_CONFIG", serde_json::to_string(&request.config)?.into());
    set("PULUMI_CONFIG_SECRET_KEYS", serde_json::to_string(&request.config_secret_keys)?.into());
    for (key, value) in &child.env {
        set(key, value.into());
    }
    Ok(env)
}

async fn forward(from: impl AsyncRead + Unpin, log: Channel, severity: rpc::LogSeverity) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tell(&log, severity, line).await;
    }
}

/// The last lines, for the error.
async fn forward_and_keep(from: impl AsyncRead + Unpin, log: Channel) -> String {
    const KEEP: usize = 10;
    let mut kept = std::collections::VecDeque::new();
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if kept.len() == KEEP {
            kept.pop_front();
        }
        kept.push_back(line.clone());
        tell(&log, rpc::LogSeverity::Info, line).await;
    }
    Vec::from(kept).join("\n")
}

async fn tell(log: &Channel, severity: rpc::LogSeverity, message: String) {
    let request = rpc::LogRequest { severity: severity.into(), message, ..Default::default() };
    // An engine that is going away shows no more lines, and that is no failure of the program.
    let _ = EngineClient::new(log.clone()).log(request).await;
}
