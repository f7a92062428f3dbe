//! `cargo xtask tools`: the programs that Pilot starts but does not contain, each of one exact version, in
//! a cache that all checkouts share. They are looked for on PATH, then in the cache, then built or fetched.
//! A lock makes a second run wait instead of building twice; only complete tools ever get their final name.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{paths, process, ui};

mod before;
mod deny;
pub mod go;
mod host;
mod languages;
mod npm;
mod older;
mod opencode;
mod pulumi;
mod schemathesis;

pub use host::MODULE as HOST_MODULE;

/// Make sure of the Pulumi CLI with its YAML host, of the engine host, and of OpenCode.
///
/// `cargo xtask up` makes the last two by itself; the CLI is for stacks that `pilot stack export` writes, for
/// `pulumi up` in this repository, and for tests.
///
/// Pulumi is taken from PATH when its version is exactly the pinned one, else built once from the Go
/// module proxy. The engine host is built once for each version of its sources, where there is Go.
/// OpenCode is fetched with npm from the lock file in instance-image. All go to
/// $PILOT_TOOLS (default ~/.cache/pilot/tools).
#[derive(clap::Args)]
pub struct Arguments {
    /// Also install missing system packages with apt-get, without asking.
    #[arg(long)]
    yes: bool,
    /// Also what only tests need: workerd, wrangler, and what runs TypeScript, Python and Go programs.
    #[arg(long)]
    tests: bool,
    /// Also the older Pulumi CLIs of automation/versions.json, which tests run beside where they were built: about
    /// 6 min each on 2 cores, once for this machine.
    #[arg(long)]
    older: bool,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    crate::system::ensure(crate::system::BASIC, arguments.yes)?;
    let tools = ensure()?;
    if arguments.tests {
        ensure_for_tests()?;
    }
    if arguments.older {
        let cache = paths::tools()?;
        let _lock = lock(&cache)?;
        for older in older::ensure(&cache)? {
            ui::say(format!("older    {}", older.display()));
        }
    }
    ui::say(format!("pulumi   {}", tools.pulumi.display()));
    if let Some(host) = &tools.host {
        ui::say(format!("host     {}", host.display()));
    }
    ui::say(format!("opencode {}", tools.opencode.display()));
    Ok(())
}

/// Where the tools are.
pub struct Tools {
    pub pulumi: PathBuf,
    /// The engine host; none on a machine without Go.
    pub host: Option<PathBuf>,
    pub opencode: PathBuf,
}

/// What a server starts.
pub struct Running {
    pub opencode: PathBuf,
}

/// Finds or makes what a server starts: OpenCode, and what runs stacks, which is the engine host and without
/// Go the Pulumi CLI. A second call does nothing but look.
pub fn ensure_to_run() -> Result<Running> {
    let cache = made_cache()?;
    if let (Some(_), Some(opencode)) = (host::find(&cache), opencode::find(&cache)) {
        return Ok(Running { opencode });
    }
    let _lock = lock(&cache)?;
    let stacks = || match host::ensure(&cache)? {
        Some(host) => Ok(host),
        None => pulumi::ensure(&cache),
    };
    // One builds, the other waits for the network.
    let (_, opencode) = process::both(stacks, || opencode::ensure(&cache))?;
    Ok(Running { opencode })
}

/// Finds or makes all tools. A second call does nothing but look.
pub fn ensure() -> Result<Tools> {
    let cache = made_cache()?;
    if let (Some(pulumi), Some(host), Some(opencode)) =
        (pulumi::find(&cache), host::find(&cache), opencode::find(&cache))
    {
        return Ok(Tools { pulumi, host: Some(host), opencode });
    }
    let _lock = lock(&cache)?;
    // One Go build after the other: most of their packages are the same.
    let built = || Ok((pulumi::ensure(&cache)?, host::ensure(&cache)?));
    let ((pulumi, host), opencode) = process::both(built, || opencode::ensure(&cache))?;
    Ok(Tools { pulumi, host, opencode })
}

/// What only tests need: Cloudflare's runtime and client, what checks the types of the Worker, and language
/// hosts with the runtimes of SDKs.
pub fn ensure_for_tests() -> Result<()> {
    let cache = made_cache()?;
    let _lock = lock(&cache)?;
    npm::CLOUDFLARE.ensure(&cache)?;
    npm::WORKER_TYPES.ensure(&cache)?;
    languages::ensure(&cache)?;
    Ok(())
}

fn made_cache() -> Result<PathBuf> {
    let cache = paths::tools()?;
    std::fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    Ok(cache)
}

/// The older CLIs that were built here, as PATH lists folders.
pub fn older() -> Result<std::ffi::OsString> {
    Ok(std::env::join_paths(older::found(&paths::tools()?))?)
}

/// The programs of the Pilot that the test of an upgrade begins with; `None` in a clone without its history.
pub fn before() -> Result<Option<PathBuf>> {
    let cache = made_cache()?;
    let _lock = lock(&cache)?;
    before::ensure(&cache)
}

/// Schemathesis' packages.
pub fn schemathesis() -> Result<PathBuf> {
    let cache = made_cache()?;
    let _lock = lock(&cache)?;
    schemathesis::ensure(&cache)
}

/// `cargo deny`; with `build` also where it has to be built first.
pub fn cargo_deny(build: bool) -> Result<Option<PathBuf>> {
    let cache = made_cache()?;
    if !build {
        return Ok(deny::find(&cache));
    }
    let _lock = lock(&cache)?;
    deny::ensure(&cache).map(Some)
}

/// Cloudflare's runtime and client, for the simulator.
pub fn ensure_cloudflare() -> Result<()> {
    let cache = made_cache()?;
    let _lock = lock(&cache)?;
    npm::CLOUDFLARE.ensure(&cache).map(drop)
}

/// Only OpenCode, for what needs no Pulumi.
pub fn ensure_opencode() -> Result<PathBuf> {
    let cache = made_cache()?;
    let _lock = lock(&cache)?;
    opencode::ensure(&cache)
}

/// Fails with all missing programs at once, each with the way to get it.
fn need(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<String> = programs
        .iter()
        .filter(|(program, _)| paths::on_path(program).is_none())
        .map(|(program, advice)| format!("  {program}: {advice}"))
        .collect();
    if !missing.is_empty() {
        bail!("these programs are not on PATH:\n{}", missing.join("\n"));
    }
    Ok(())
}

/// Held until dropped; another process that holds it is waited for.
fn lock(cache: &Path) -> Result<File> {
    let path = cache.join(".lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {}
        Err(std::fs::TryLockError::Error(error)) => return Err(error).context(path.display().to_string()),
    }
    let step = ui::Step::begin("waiting for another `cargo xtask` that prepares the same tools", None);
    file.lock().with_context(|| path.display().to_string())?;
    step.done("");
    Ok(file)
}

/// A folder in the cache that becomes `name` when it is complete.
fn publish(staged: tempfile::TempDir, place: &Path) -> Result<()> {
    if place.exists() {
        std::fs::remove_dir_all(place).with_context(|| place.display().to_string())?;
    }
    let staged = staged.keep();
    std::fs::rename(&staged, place).with_context(|| format!("{} -> {}", staged.display(), place.display()))
}

/// A staging folder on the cache's file system, so that `publish` is one rename.
fn stage(cache: &Path) -> Result<tempfile::TempDir> {
    // Readable by others: `local` instances of other users may share a machine-wide $PILOT_TOOLS.
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(".staging-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(cache)
        .with_context(|| cache.display().to_string())
}

/// What a program prints as its version, trimmed; none when it does not run.
fn version_of(program: &Path, argument: &str) -> Option<String> {
    let text = process::capture(std::process::Command::new(program).arg(argument)).ok()?;
    Some(text.trim().to_owned())
}
