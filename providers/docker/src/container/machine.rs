//! One runtime's container in Docker: find, make, start, stop, remove. Acts by the id that was looked
//! at, so that a container which took the name meanwhile is never hit.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use contracts::ErrorCode;
use provider_api::{ProviderError, Result, RunStatus, RuntimeRef};

use crate::container::spec::{Inputs, backend_port};
use crate::engine::{Engine, within};
use crate::failure::{Answer, Failure};
use crate::{logs, names, network};

const ATTEMPTS: u32 = 5;
/// What a container gets to end by itself before it is removed.
const FAREWELL: Duration = Duration::from_secs(5);
const REMOVAL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const ERROR_LOG_BYTES: usize = 2000;

pub(crate) struct Machine<'a> {
    engine: &'a Engine,
    runtime: RuntimeRef,
    name: String,
}

/// `None` when the engine says that there is no such container.
pub(crate) async fn inspect(engine: &Engine, name: &str) -> Result<Option<ContainerInspectResponse>> {
    let docker = engine.docker().await?;
    let inspection = docker.inspect_container(name, None::<InspectContainerOptions>);
    Failure::optional(engine.ask("look at the container", inspection).await)
}

/// The host port of the backend while the container runs.
pub(crate) fn published_port(found: &ContainerInspectResponse) -> Option<u16> {
    let ports = found.network_settings.as_ref()?.ports.as_ref()?;
    let bindings = ports.get(&backend_port())?.as_ref()?;
    bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok())
}

impl<'a> Machine<'a> {
    pub fn new(engine: &'a Engine, runtime: RuntimeRef) -> Self {
        let name = names::name(&runtime.runtime_id);
        Self { engine, runtime, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn must_own(&self, found: &ContainerInspectResponse) -> Result<()> {
        let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        names::must_own("container", &self.name, &labels, &self.runtime)
    }

    /// The container if it is there and ours; a foreign one is an error.
    pub async fn find(&self) -> Result<Option<ContainerInspectResponse>> {
        let found = inspect(self.engine, &self.name).await?;
        found.as_ref().map_or(Ok(()), |found| self.must_own(found))?;
        Ok(found)
    }

    /// Makes sure that a container with these inputs exists. One that differs in more than its limits
    /// is replaced; it holds no user data.
    pub async fn ensure(&self, inputs: &Inputs) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.find().await? {
                match Inputs::of(&found) {
                    Some(existing) if inputs.fits(&existing) => {
                        return if inputs.has_limits_of(&existing) {
                            Ok(())
                        } else {
                            self.limit(inputs).await.map(drop)
                        };
                    }
                    _ => self.remove().await?,
                }
            }
            match self.make(inputs).await {
                Ok(()) => return Ok(()),
                // Someone was faster, or an older one is still going away: look again.
                Err(Failure::Conflict(_)) => tokio::time::sleep(PAUSE).await,
                Err(other) => return Err(other.into()),
            }
        }
        let message = format!("the container {} keeps appearing and disappearing", self.name);
        Err(ProviderError::new(ErrorCode::ProviderFailed, message)
            .with_action("Look for another program that works on this container: `docker events`."))
    }

    async fn make(&self, inputs: &Inputs) -> Answer<()> {
        let docker = self.engine.docker().await?;
        // Docker would make a missing volume itself, without an owner.
        let volume = docker.inspect_volume(&inputs.volume);
        self.engine.ask("find the home volume", volume).await.map_err(ProviderError::from)?;
        let options = CreateContainerOptionsBuilder::default().name(&self.name).build();
        let body = inputs.body(&self.engine.config);
        self.engine.ask("create the container", docker.create_container(Some(options), body)).await.map(drop)
    }

    /// Changes the limits in place, and returns the port while it runs.
    pub async fn limit(&self, inputs: &Inputs) -> Result<Option<u16>> {
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        let differs = Inputs::of(&found).is_none_or(|existing| !inputs.has_limits_of(&existing));
        if differs {
            let docker = self.engine.docker().await?;
            let change = docker.update_container(self.id(&found), inputs.limits());
            self.engine.ask("change the container's limits", change).await?;
        }
        Ok(published_port(&found))
    }

    /// Starts it if it does not run, and returns the port of the backend.
    pub async fn start(&self) -> Result<u16> {
        let docker = self.engine.docker().await?;
        let mut attempt = 1;
        loop {
            let start = docker.start_container(&self.name, None::<StartContainerOptions>);
            match self.engine.ask("start the container", start).await {
                Ok(()) => break,
                // The range may hold a port that another program took; Docker goes on from there.
                Err(Failure::Other(error)) if error.code == ErrorCode::PortInUse && attempt < ATTEMPTS => {
                    attempt += 1
                }
                // Two programs made the network at the same moment.
                Err(Failure::Other(error))
                    if error.message.contains("is ambiguous") && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                    network::settle(self.engine, &self.runtime).await?;
                }
                Err(other) => return Err(other.into()),
            }
        }
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        match published_port(&found) {
            Some(port) => Ok(port),
            None => Err(self.ended_at_once(&found).await),
        }
    }

    /// Stops what runs; a container that is gone is stopped.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        let Some(found) = self.find().await? else { return Ok(()) };
        if !runs(&found) {
            return Ok(());
        }
        let seconds = i32::try_from(grace.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX);
        let limit = grace + REMOVAL;
        let docker = self.engine.docker().await?.clone().with_timeout(limit);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let stop = docker.stop_container(self.id(&found), Some(options));
        Failure::optional(within(limit, "stop the container", stop).await).map(drop)
    }

    /// Removes it with its anonymous volumes; the home is a named one and stays. Returns when it is gone.
    pub async fn remove(&self) -> Result<()> {
        let Some(found) = self.find().await? else { return Ok(()) };
        self.stop(FAREWELL).await?;
        let docker = self.engine.docker().await?;
        let id = self.id(&found);
        let deadline = tokio::time::Instant::now() + REMOVAL;
        loop {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match self.engine.ask("remove the container", docker.remove_container(id, Some(options))).await {
                Ok(()) | Err(Failure::Absent(_)) => return Ok(()),
                // Its removal is already under way.
                Err(Failure::Conflict(_)) if tokio::time::Instant::now() < deadline => {}
                Err(other) => return Err(other.into()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub fn missing(&self) -> ProviderError {
        let message = format!("{} has no container on this Docker host", self.runtime.runtime_id);
        ProviderError::new(ErrorCode::ProviderFailed, message)
            .with_action("Delete the workspace and create it again, or run `pulumi up` on its stack.")
    }

    pub fn does_not_run(&self, found: &ContainerInspectResponse) -> ProviderError {
        let why =
            found.state.as_ref().and_then(why_it_ended).map(|why| format!(": {why}")).unwrap_or_default();
        ProviderError::new(
            ErrorCode::WorkspaceNotReady,
            format!("the container {} does not run{why}", self.name),
        )
        .with_action("Start the workspace.")
    }

    async fn ended_at_once(&self, found: &ContainerInspectResponse) -> ProviderError {
        let why = found.state.as_ref().and_then(why_it_ended).unwrap_or_else(|| "it does not run".to_owned());
        let tail = logs::tail(self.engine, self.id(found), ERROR_LOG_BYTES).await.unwrap_or_default();
        let message = format!("the instance ended at once ({why}); its log ends with:\n{}", tail.trim_end());
        ProviderError::new(ErrorCode::InstanceFailed, message)
            .with_action("Read the log above; start the workspace again when the cause is gone.")
    }

    fn id<'f>(&'f self, found: &'f ContainerInspectResponse) -> &'f str {
        found.id.as_deref().unwrap_or(&self.name)
    }
}

fn runs(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| state.running == Some(true))
}

pub(crate) fn status(found: &ContainerInspectResponse) -> RunStatus {
    if runs(found) {
        return RunStatus::Running;
    }
    let never_ran = |state: &&ContainerState| state.status != Some(ContainerStateStatusEnum::CREATED);
    let code = found.state.as_ref().filter(never_ran).and_then(|state| state.exit_code);
    RunStatus::Stopped { exit_code: code.and_then(|code| i32::try_from(code).ok()) }
}

/// How a container ended, for people; `None` while it runs and before it ever ran.
pub(crate) fn why_it_ended(state: &ContainerState) -> Option<String> {
    if state.running == Some(true) || state.status == Some(ContainerStateStatusEnum::CREATED) {
        return None;
    }
    let code = state.exit_code.unwrap_or_default();
    if state.oom_killed == Some(true) {
        return Some(format!(
            "the kernel ended it because it used more memory than its size allows, exit code {code}"
        ));
    }
    let killed = if code == 137 { ": killed, by a stop or for want of memory" } else { "" };
    let error = state.error.as_deref().filter(|error| !error.is_empty());
    Some(format!("exit code {code}{killed}{}", error.map(|error| format!(": {error}")).unwrap_or_default()))
}
