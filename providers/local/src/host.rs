//! What this provider does on the machine, one runtime at a time and under that runtime's lock.
//!
//! Everything here blocks and is run on the blocking pool, where a call goes on to its end even when
//! its caller has gone away. Each step can be repeated and none relies on the one before it having
//! been made by this program.

mod folder;

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::workspace::Endpoint;
use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, ProviderError, Result, RunStatus, RuntimeRef};
use provider_kit::errors;
use tokio::process::Child;

use crate::LocalConfig;
use crate::definition::Definition;
use crate::exec;
use crate::files;
use crate::layout::{Folder, Layout, Marker};
use crate::lock::Lock;
use crate::ports::{self, Ports};
use crate::procfs::{self, Identity};
use crate::spawn;
use crate::tree::Tree;

/// How often a start is tried with other ports when another program was faster.
const PORT_ATTEMPTS: u32 = 3;
/// What an instance gets to end by itself before it is removed.
const FAREWELL: Duration = Duration::from_secs(5);
const ERROR_LOG_BYTES: usize = 2000;

pub(crate) struct Host {
    pub config: LocalConfig,
    pub layout: Layout,
    /// Where each leader was last seen. Only saves a look through the whole process table.
    leaders: Mutex<HashMap<RuntimeId, Identity>>,
    /// How the processes that this program started have ended.
    exits: Mutex<HashMap<RuntimeId, i32>>,
}

impl Host {
    pub fn new(config: LocalConfig) -> Self {
        let layout = Layout::new(config.root.clone());
        Self { config, layout, leaders: Mutex::default(), exits: Mutex::default() }
    }

    /// Runs blocking work to its end, whether or not the caller waits for it.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Host>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let host = self.clone();
        tokio::task::spawn_blocking(move || work(&host)).await.unwrap_or_else(|error| {
            Err(ProviderError::unknown(
                ErrorCode::Internal,
                format!("the work on this machine broke off: {error}"),
            ))
        })
    }

    pub fn programs_are_present(&self) -> Result<()> {
        let missing = |code, what: &str, path: &std::path::Path| {
            ProviderError::new(code, format!("{what} is not at {} or is not executable", path.display()))
                .with_action("Install it: cargo xtask tools")
        };
        let (instance, opencode) = (&self.config.instance_binary, &self.config.opencode_binary);
        if !spawn::is_executable(instance) {
            return Err(missing(ErrorCode::InstanceBinaryMissing, "the instance program", instance));
        }
        if !spawn::is_executable(opencode) {
            return Err(missing(ErrorCode::OpencodeMissing, "OpenCode", opencode));
        }
        files::make_folder(self.layout.root())
    }

    /// The owner of an existing runtime folder, for an import that knows only the id.
    pub async fn imported(self: &Arc<Self>, id: &str) -> Result<Option<RuntimeRef>> {
        let Ok(runtime) = id.parse::<RuntimeId>() else { return Ok(None) };
        let marker = self.run(move |host| host.layout.read_marker(&runtime)).await?;
        Ok(marker.map(|Marker { owner, .. }| RuntimeRef::new(owner.runtime, owner.installation)))
    }

    pub fn lock(&self, runtime: &RuntimeRef) -> Result<Lock> {
        Lock::take(&self.layout.lock(runtime.runtime_id.as_str()))
    }

    /// Defines the process and makes it run. An error with `Partial` means that the definition and its
    /// ports exist.
    pub fn make_process(
        self: &Arc<Self>,
        wanted: &Definition,
        fence: Option<u64>,
        boot: &[BootFile],
    ) -> Result<Definition> {
        let runtime = wanted.owner().under(fence);
        let _lock = self.lock(&runtime)?;
        self.programs_are_present()?;
        if !self.is_whole(&runtime)? {
            let home = self.layout.home(&runtime.runtime_id);
            let message = format!("{} is missing, so the process has no home", home.display());
            return Err(ProviderError::new(ErrorCode::ProviderFailed, message).with_action(
                "Create the runtime's directory first; `pulumi up` or a repair of the workspace does.",
            ));
        }
        Definition::must_be_newest(&self.layout, &runtime.runtime_id, wanted.generation)?;
        self.layout.pass(&runtime)?;
        let ports = match Definition::load(&self.layout, &runtime.runtime_id)? {
            Some(existing) => existing.ports(),
            None => {
                // What a crash claimed just before it could write the definition.
                self.ports().release(&runtime)?;
                self.ports().reserve(&runtime)?
            }
        };
        let mut definition = wanted.clone();
        definition.set_ports(ports);
        definition.store(&self.layout)?;
        self.make_run(&runtime, &mut definition, boot).map_err(|error| {
            error.partial(definition.runtime.as_str(), crate::process::outputs(self, &definition))
        })?;
        Ok(definition)
    }

    /// Takes over a changed definition; a running process follows at its next start.
    pub fn redefine(&self, wanted: &Definition, fence: Option<u64>) -> Result<Definition> {
        let runtime = wanted.owner().under(fence);
        let _lock = self.lock(&runtime)?;
        self.layout.look(&runtime)?;
        Definition::must_be_newest(&self.layout, &runtime.runtime_id, wanted.generation)?;
        self.layout.pass(&runtime)?;
        let mut definition = wanted.clone();
        definition.set_ports(self.definition(&runtime)?.ports());
        definition.store(&self.layout)?;
        Ok(definition)
    }

    pub fn remove_process(&self, runtime: &RuntimeRef, generation: u64) -> Result<()> {
        let lock = self.lock(runtime)?;
        let folder = self.layout.look(runtime)?;
        Definition::must_be_newest(&self.layout, &runtime.runtime_id, generation)?;
        self.layout.pass(runtime)?;
        self.tree(runtime).stop(FAREWELL)?;
        files::remove_file(&self.layout.definition(&runtime.runtime_id))?;
        self.end(runtime)?;
        if folder == Folder::Absent { lock.remove() } else { Ok(()) }
    }

    pub fn start(self: &Arc<Self>, runtime: &RuntimeRef, boot: &[BootFile]) -> Result<()> {
        self.layout.look(runtime)?;
        self.definition(runtime)?;
        let _lock = self.lock(runtime)?;
        self.programs_are_present()?;
        self.layout.look(runtime)?;
        self.layout.pass(runtime)?;
        let mut definition = self.definition(runtime)?;
        self.make_run(runtime, &mut definition, boot)
    }

    pub fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        // A runtime that is gone has no lock file and gets none here.
        if self.layout.look(runtime)? == Folder::Absent {
            return self.tree(runtime).stop(grace);
        }
        let _lock = self.lock(runtime)?;
        self.layout.pass(runtime)?;
        self.tree(runtime).stop(grace)
    }

    /// Begins a command as part of an instance that runs. A stop that comes after it finds it, because both have the lock.
    pub fn begin(&self, runtime: &RuntimeRef, command: &[String]) -> Result<exec::Begun> {
        self.layout.look(runtime)?;
        let definition = self.definition(runtime)?;
        let _lock = self.lock(runtime)?;
        let instance = self.leader(runtime).ok_or_else(|| exec::does_not_run(runtime))?;
        let (program, arguments) = command.split_first().ok_or_else(exec::empty)?;
        let mut child = spawn::inside(&self.config, &self.layout, &definition, program);
        exec::begin(child.args(arguments), program, instance)
    }

    /// The leader that runs when a stop that is under way has ended.
    pub fn leader_after_others(&self, runtime: &RuntimeRef) -> Result<Option<Identity>> {
        let is_there = self.layout.look(runtime)? != Folder::Absent;
        let _lock = if is_there { Some(self.lock(runtime)?) } else { None };
        Ok(self.leader(runtime))
    }

    pub fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        let is_whole = self.is_whole(runtime)?;
        if self.leader(runtime).is_some() {
            return Ok(RunStatus::Running);
        }
        let exit_code = self.exits().get(&runtime.runtime_id).copied();
        Ok(if is_whole { RunStatus::Stopped { exit_code } } else { RunStatus::Absent })
    }

    pub fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        self.layout.look(runtime)?;
        let definition = self.definition(runtime)?;
        Ok(Endpoint::plain("127.0.0.1", definition.port))
    }

    /// The leader that runs now. The remembered one is believed only after a look at it.
    pub fn leader(&self, runtime: &RuntimeRef) -> Option<Identity> {
        let remembered = self.leaders().get(&runtime.runtime_id).copied();
        let still = remembered.filter(|identity| {
            procfs::is_alive(*identity)
                && procfs::read(identity.pid).and_then(|process| process.label).is_some_and(|label| {
                    label.runtime == runtime.runtime_id
                        && label.installation == runtime.installation
                        && label.is_in(&self.layout.folder(&runtime.runtime_id))
                })
        });
        let leader = still.or_else(|| self.tree(runtime).leader());
        match leader {
            Some(identity) => self.leaders().insert(runtime.runtime_id.clone(), identity),
            None => self.leaders().remove(&runtime.runtime_id),
        };
        leader
    }

    pub fn ports(&self) -> Ports<'_> {
        Ports::new(&self.layout, self.config.ports)
    }

    /// Makes the defined process run; call with the lock held.
    fn make_run(
        self: &Arc<Self>,
        runtime: &RuntimeRef,
        definition: &mut Definition,
        boot: &[BootFile],
    ) -> Result<()> {
        let home = self.layout.home(&runtime.runtime_id);
        // Made with its folder, and never by a start: it would be an empty one.
        if !home.is_dir() {
            let message =
                format!("the home of {} is gone: {} is not there", runtime.runtime_id, home.display());
            return Err(ProviderError::new(ErrorCode::HomeGone, message).with_action(
                "Put it back where it was, or `pilot ws start NAME` makes the workspace anew, with an empty home.",
            ));
        }
        spawn::write_boot_files(&home, boot)?;
        if self.tree(runtime).leader().is_some() {
            // A snapshot that was cut off has stopped it by a signal.
            return self.thaw(runtime);
        }
        if let Some((pid, folder)) = self.tree(runtime).elsewhere() {
            return Err(runs_elsewhere(runtime, pid, &folder));
        }
        // Children of a leader that died may still hold its ports and files.
        self.tree(runtime).kill()?;
        let mut attempt = 1;
        loop {
            let (port, opencode_port) = definition.ports();
            let confirmed = self.ports().confirm(runtime, definition.ports())?;
            if !(confirmed && ports::is_free(port) && ports::is_free(opencode_port)) {
                definition.set_ports(self.ports().reserve(runtime)?);
                definition.store(&self.layout)?;
            }
            self.exits().remove(&runtime.runtime_id);
            let status = match spawn::start(&self.config, &self.layout, definition)? {
                Ok(child) => {
                    self.reap(runtime.runtime_id.clone(), child);
                    return Ok(());
                }
                Err(status) => status,
            };
            self.tree(runtime).kill()?;
            self.exits().insert(runtime.runtime_id.clone(), code_of(status));
            let (port, opencode_port) = definition.ports();
            let taken = !(ports::is_free(port) && ports::is_free(opencode_port));
            if !taken || attempt == PORT_ATTEMPTS {
                return Err(self.ended_at_once(runtime, status));
            }
            attempt += 1;
        }
    }

    /// Reads the exit status when the process ends, so that no zombie stays.
    fn reap(self: &Arc<Self>, runtime: RuntimeId, mut child: Child) {
        let host = self.clone();
        tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                host.exits().insert(runtime, code_of(status));
            }
        });
    }

    fn ended_at_once(&self, runtime: &RuntimeRef, status: std::process::ExitStatus) -> ProviderError {
        let tail =
            crate::logs::tail(&self.layout.log(&runtime.runtime_id), ERROR_LOG_BYTES).unwrap_or_default();
        errors::ended_at_once(&status.to_string(), &tail)
    }

    /// Ends all processes and gives back the ports; call with the lock held.
    fn end(&self, runtime: &RuntimeRef) -> Result<()> {
        self.tree(runtime).kill()?;
        self.ports().release(runtime)?;
        self.leaders().remove(&runtime.runtime_id);
        self.exits().remove(&runtime.runtime_id);
        Ok(())
    }

    fn definition(&self, runtime: &RuntimeRef) -> Result<Definition> {
        Definition::load(&self.layout, &runtime.runtime_id)?
            .ok_or_else(|| errors::has_no(runtime, "process on this machine"))
    }

    fn tree<'a>(&'a self, runtime: &'a RuntimeRef) -> Tree<'a> {
        let program = self.config.instance_binary.file_name().unwrap_or_default();
        Tree::new(runtime, self.layout.folder(&runtime.runtime_id), program.as_bytes())
    }

    fn leaders(&self) -> std::sync::MutexGuard<'_, HashMap<RuntimeId, Identity>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exits(&self) -> std::sync::MutexGuard<'_, HashMap<RuntimeId, i32>> {
        self.exits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two of one runtime would be two agents at the same work.
fn runs_elsewhere(runtime: &RuntimeRef, pid: i32, folder: &Path) -> ProviderError {
    let message = format!(
        "an instance of {} runs already, process {pid}, in the folder {} of another copy of this installation",
        runtime.runtime_id,
        folder.display()
    );
    ProviderError::new(ErrorCode::ForeignObject, message).with_action(format!(
        "Stop the workspace there; or end it with `kill {pid}`, when nothing serves that folder any more. Then \
         start the workspace again."
    ))
}

/// The shell's convention for an end by a signal.
fn code_of(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
