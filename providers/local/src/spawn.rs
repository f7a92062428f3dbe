//! Starts an instance's init so that it outlives the program that started it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::{BootFile, ProviderError, Result};
use provider_kit::instance::{self, Ports};
use tokio::process::{Child, Command};

use crate::LocalConfig;
use crate::definition::Definition;
use crate::files::{self, unusable};
use crate::layout::Layout;
use crate::procfs::FOLDER;

/// A log larger than this is put aside at the next start; one old log is kept.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;
/// Long enough for an init that cannot work to say so and end; one that works listens much sooner.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Starts the init and watches it for a moment. `Err(status)` inside when it ended at once.
pub(crate) fn start(
    config: &LocalConfig,
    layout: &Layout,
    definition: &Definition,
) -> Result<std::result::Result<Child, std::process::ExitStatus>> {
    let log = open_log(layout, definition)?;
    let errors =
        log.try_clone().map_err(|error| unusable("use", &layout.log(&definition.runtime), &error))?;
    let mut command = inside(config, layout, definition, &config.instance_binary);
    command.stdout(log).stderr(errors);
    let mut child = command.spawn().map_err(|error| not_started(&config.instance_binary, &error))?;

    let address = backend(definition);
    let deadline = Instant::now() + FIRST_LOOK;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Err(status)),
            Ok(None) if TcpStream::connect(address).is_ok() => break,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(Ok(child))
}

/// A program as part of an instance: with its environment, which has the labels of its process tree, and in its home.
pub(crate) fn inside(
    config: &LocalConfig,
    layout: &Layout,
    definition: &Definition,
    program: impl AsRef<OsStr>,
) -> Command {
    let home = layout.home(&definition.runtime);
    let mut command = Command::new(program);
    // Nothing of Pilot's own environment reaches the instance, it may hold secrets.
    command.env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()));
    command.env("HOME", &home).env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
    let ports = Ports { backend: backend(definition), opencode: definition.opencode_port };
    command.envs(instance::variables(&definition.owner(), &definition.git(), ports));
    command.env(instance::GENERATION, definition.generation.to_string());
    command.env(FOLDER, layout.folder(&definition.runtime));
    command.env("PILOT_OPENCODE_BIN", &config.opencode_binary);
    command.current_dir(&home).stdin(Stdio::null());
    command
}

fn backend(definition: &Definition) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, definition.port).into()
}

/// Whether a program is there and may be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Writes the boot files into the home, readable by the owner only.
pub(crate) fn write_boot_files(home: &Path, boot: &[BootFile]) -> Result<()> {
    for file in boot {
        let path = home.join(&file.path);
        if let Some(parent) = path.parent() {
            files::make_folder(parent)?;
        }
        files::write_atomic(&path, &file.content)?;
    }
    Ok(())
}

fn open_log(layout: &Layout, definition: &Definition) -> Result<File> {
    let path = layout.log(&definition.runtime);
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT) {
        let old = path.with_extension("log.1");
        fs::rename(&path, &old).map_err(|error| unusable("rename", &path, &error))?;
    }
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    open.map_err(|error| unusable("open", &path, &error))
}

fn not_started(program: &Path, error: &std::io::Error) -> ProviderError {
    let message = format!("cannot start {}: {error}", program.display());
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::OutOfMemory => {
            ProviderError::new(ErrorCode::ProviderCapacity, message)
                .with_action("This account has no room for more processes or memory; stop some workspaces.")
        }
        _ => ProviderError::new(ErrorCode::InstanceBinaryMissing, message)
            .with_action("Build it for this machine: cargo xtask tools"),
    }
}
