//! One runtime's container in Docker: find, make, start, stop, remove. Acts by the id that was looked
//! at, so that a container which took the name meanwhile is never hit.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use contracts::ErrorCode;
use provider_api::{BootFile, ProviderError, Result, RunStatus, RuntimeRef};
use provider_kit::{errors, wait};
use tokio::time::Instant;

use crate::container::spec::{Inputs, backend_port};
use crate::engine::{Engine, within};
use crate::failure::{Answer, Failure, contended};
use crate::{boot, fence, generation, logs, names, network, snapshots};

const ATTEMPTS: u32 = 5;
/// What a container gets to end by itself before it is removed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// What the engine gets for a stop besides that.
const STOP: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const ERROR_LOG_BYTES: usize = 2000;

pub(crate) struct Machine<'a> {
    pub(super) engine: &'a Engine,
    pub(super) runtime: RuntimeRef,
    name: String,
}

/// `None` when the engine says that there is no such container.
pub(crate) async fn inspect(engine: &Engine, name: &str) -> Result<Option<ContainerInspectResponse>> {
    let docker = engine.docker().await?;
    let inspection = docker.inspect_container(name, None::<InspectContainerOptions>);
    Failure::optional(engine.look("look at the container", inspection).await)
}

/// The host port of the backend while the container runs.
pub(crate) fn published_port(found: &ContainerInspectResponse) -> Option<u16> {
    let ports = found.network_settings.as_ref()?.ports.as_ref()?;
    let bindings = ports.get(&backend_port())?.as_ref()?;
    bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok())
}

pub(crate) fn labels(found: &ContainerInspectResponse) -> HashMap<String, String> {
    found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default()
}

/// Whose it is, when its labels say so.
pub(crate) fn owner(found: &ContainerInspectResponse) -> Option<RuntimeRef> {
    found.config.as_ref()?.labels.as_ref().and_then(names::owner)
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
        names::must_own("container", &self.name, &labels(found), &self.runtime)
    }

    /// The container if it is there and ours; a foreign one is an error.
    pub async fn find(&self) -> Result<Option<ContainerInspectResponse>> {
        let found = inspect(self.engine, &self.name).await?;
        found.as_ref().map_or(Ok(()), |found| self.must_own(found))?;
        Ok(found)
    }

    /// What every write asks before it acts, see [`fence::pass`].
    pub async fn pass(&self) -> Result<()> {
        fence::pass(self.engine, &self.runtime, ("container", &self.name), None).await
    }

    /// The container if there is one of ours; an error when it has seen a newer generation.
    pub async fn must_be_newest(&self, ours: u64) -> Result<Option<ContainerInspectResponse>> {
        let Some(found) = self.find().await? else { return Ok(None) };
        let theirs = generation::of(self.engine, &found).await?;
        names::object(("container", &self.name)).must_be_newest(ours, theirs)?;
        Ok(Some(found))
    }

    /// Makes sure that a container with these inputs exists. One that differs in more than its limits
    /// is replaced; it holds no user data.
    pub async fn ensure(&self, inputs: &Inputs) -> Result<()> {
        self.ensure_as(inputs, false).await
    }

    /// `rests`: one that is made is not to run.
    async fn ensure_as(&self, inputs: &Inputs, rests: bool) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let found = self.must_be_newest(inputs.owned.generation).await?;
            self.pass().await?;
            if let Some(found) = found {
                match Inputs::of(&found) {
                    Some(existing) if inputs.fits(&existing) && is_whole(&found) => {
                        return self.limit(&found, inputs).await;
                    }
                    // What is there is better than nothing.
                    _ => {
                        self.engine.bring(&inputs.image).await?;
                        self.remove().await?;
                    }
                }
            }
            match self.make(inputs, rests).await {
                Ok(()) => return Ok(()),
                // Someone was faster, or an older one is still going away: look again.
                Err(Failure::Conflict(_)) => tokio::time::sleep(PAUSE).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(contended(&self.name))
    }

    /// Brings the image of these inputs to the host, unless what is there is made from them already. It may take minutes, so it is
    /// done before anybody waits for this runtime.
    pub async fn supply(&self, inputs: &Inputs) -> Result<()> {
        let found = self.find().await?;
        let fits = |found: &ContainerInspectResponse| {
            Inputs::of(found).is_some_and(|existing| inputs.fits(&existing)) && is_whole(found)
        };
        if found.as_ref().is_some_and(fits) { Ok(()) } else { self.engine.bring(&inputs.image).await }
    }

    async fn make(&self, inputs: &Inputs, rests: bool) -> Answer<()> {
        let docker = self.engine.docker().await?;
        // Docker would make a missing volume itself, without an owner.
        let volume = docker.inspect_volume(&inputs.volume);
        self.engine.ask("find the home volume", volume).await.map_err(ProviderError::from)?;
        let options = CreateContainerOptionsBuilder::default().name(&self.name).build();
        let mut body = inputs.body(self.engine, self.engine.oci_runtime().await?, self.runtime.fence);
        if rests && let Some(labels) = &mut body.labels {
            labels.insert(names::RESTS.to_owned(), "yes".to_owned());
        }
        self.engine.ask("create the container", docker.create_container(Some(options), body)).await.map(drop)
    }

    /// Changes limits and generation in place, and all else by another container, which runs only if the one before did or was
    /// not well.
    /// Returns the port while it runs.
    pub async fn update(&self, inputs: &Inputs, boot: &[BootFile]) -> Result<Option<u16>> {
        let before = self.must_be_newest(inputs.owned.generation).await?.ok_or_else(|| self.missing())?;
        let stopped = matches!(status(&before), RunStatus::Stopped { .. });
        let is_well = self.why_not_well(&before).await?.is_none();
        self.ensure_as(inputs, stopped && is_well).await?;
        let now = self.find().await?.ok_or_else(|| self.missing())?;
        self.enclose_again(&now).await?;
        match (status(&before), status(&now)) {
            (RunStatus::Running, RunStatus::Stopped { .. }) => self.run(boot).await.map(Some),
            (RunStatus::Stopped { .. }, RunStatus::Stopped { .. }) if !is_well => {
                self.run(boot).await.map(Some)
            }
            _ => Ok(published_port(&now)),
        }
    }

    async fn limit(&self, found: &ContainerInspectResponse, inputs: &Inputs) -> Result<()> {
        let seen = generation::seen(self.engine, found).await?;
        self.exchange(found, (seen.egress.as_ref(), inputs.egress_allow.as_ref())).await?;
        if seen.generation < inputs.owned.generation || seen.egress != inputs.egress_allow {
            generation::record(self.engine, &self.runtime, inputs).await?;
        }
        let differs = Inputs::of(found).is_none_or(|existing| !inputs.has_limits_of(&existing));
        if differs {
            let docker = self.engine.docker().await?;
            let change = docker.update_container(self.id(found), inputs.limits());
            self.engine.ask("change the container's limits", change).await?;
        }
        Ok(())
    }

    /// Delivers the boot files, starts it if it does not run or lets it go on if it is suspended, and
    /// returns the port of the backend.
    pub async fn run(&self, boot: &[BootFile]) -> Result<u16> {
        self.enclose().await?;
        let image = || async {
            let found = self.find().await?.ok_or_else(|| self.missing())?;
            Ok(found.image.unwrap_or_default())
        };
        snapshots::settle(self.engine, &self.runtime, image).await?;
        let mut attempt = 1;
        loop {
            boot::deliver(self.engine, &self.name, boot).await?;
            let failure = match self.start().await {
                Ok(()) => break,
                Err(failure) if attempt < ATTEMPTS => failure,
                Err(failure) => return Err(failure.into()),
            };
            attempt += 1;
            self.mend(failure).await?;
        }
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        match published_port(&found) {
            Some(port) => Ok(port),
            None => Err(self.ended_at_once(&found).await),
        }
    }

    async fn start(&self) -> Answer<()> {
        let docker = self.engine.docker().await?;
        let start = docker.start_container(&self.name, None::<StartContainerOptions>);
        self.engine.ask("start the container", start).await
    }

    /// Removes the reason why a start failed, or returns the failure.
    async fn mend(&self, failure: Failure) -> Result<()> {
        match failure {
            // The range held a port that another program took; Docker goes on from there.
            Failure::Other(error) if error.code == ErrorCode::PortInUse => Ok(()),
            // Two programs made the network at the same moment.
            Failure::Other(error) if error.message.contains("is ambiguous") => {
                network::settle(self.engine, &self.runtime).await.map(drop)
            }
            // A container remembers its network's id, which a repair of the network changes.
            Failure::Absent(message) if message.contains("network") => {
                let found = self.find().await?.ok_or_else(|| self.missing())?;
                let inputs = self.again(&found).await?;
                if network::settle(self.engine, &self.runtime).await?.is_none() {
                    tracing::warn!(container = self.name, message, "the network is gone, and is made anew");
                    let is_listed = inputs.egress_allow.is_some();
                    network::make(self.engine, &self.runtime, inputs.owned.generation, is_listed).await?;
                }
                self.remove().await?;
                self.ensure(&inputs).await
            }
            // Docker does not start what is suspended.
            Failure::Conflict(message) if message.contains("paused") => self.unpause(&self.name).await,
            other => Err(other.into()),
        }
    }

    /// Stops what runs; a container that is gone is stopped. What had failed before is stopped as well from then on.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        self.end(grace).await?;
        self.note_stop().await
    }

    async fn end(&self, grace: Duration) -> Result<()> {
        let Some(found) = self.find().await? else { return Ok(()) };
        match status(&found) {
            RunStatus::Running => {}
            // Frozen processes could not end by themselves.
            RunStatus::Suspended => self.unpause(self.id(&found)).await?,
            RunStatus::Stopped { .. } | RunStatus::Pending { .. } | RunStatus::Absent => return Ok(()),
        }
        let seconds = i32::try_from(grace.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX);
        let limit = grace + STOP;
        let docker = self.engine.docker().await?.clone().with_timeout(limit);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let stop = docker.stop_container(self.id(&found), Some(options));
        Failure::optional(within(limit, "stop the container", stop).await).map(drop)
    }

    /// Removes it with its anonymous volumes; the home is a named one and stays. Returns when it is gone.
    pub async fn remove(&self) -> Result<()> {
        let Some(found) = self.find().await? else { return Ok(()) };
        self.end(STOP_GRACE).await?;
        let id = self.id(&found);
        // A conflict is a removal that is already under way.
        let deadline = Instant::now() + self.engine.timing.removal;
        let removed = wait::while_refused(deadline, PAUSE, Failure::is_conflict, || async {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let removal = |docker: Docker| async move { docker.remove_container(id, Some(options)).await };
            self.engine.remove("remove the container", removal).await
        });
        Failure::optional(removed.await).map(drop)
    }

    pub fn missing(&self) -> ProviderError {
        errors::has_no(&self.runtime, "container on this Docker host")
    }

    pub fn does_not_run(&self, found: &ContainerInspectResponse) -> ProviderError {
        let why = found.state.as_ref().and_then(why_it_ended);
        errors::does_not_run(("container", &self.name), why.as_deref())
    }

    async fn ended_at_once(&self, found: &ContainerInspectResponse) -> ProviderError {
        let why = found.state.as_ref().and_then(why_it_ended).unwrap_or_else(|| "it does not run".to_owned());
        let tail = logs::tail(self.engine, self.id(found), ERROR_LOG_BYTES).await.unwrap_or_default();
        errors::ended_at_once(&why, &tail)
    }

    pub(super) fn id<'f>(&'f self, found: &'f ContainerInspectResponse) -> &'f str {
        found.id.as_deref().unwrap_or(&self.name)
    }
}

/// A container whose removal began or failed can never run again.
pub(crate) fn is_whole(found: &ContainerInspectResponse) -> bool {
    let state = found.state.as_ref().and_then(|state| state.status);
    !matches!(state, Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING))
}

pub(crate) fn status(found: &ContainerInspectResponse) -> RunStatus {
    let state = found.state.as_ref();
    // Docker says of what is paused that it runs too.
    if state.is_some_and(|state| state.paused == Some(true)) {
        return RunStatus::Suspended;
    }
    if state.is_some_and(|state| state.running == Some(true)) {
        return RunStatus::Running;
    }
    let never_ran = |state: &&ContainerState| state.status != Some(ContainerStateStatusEnum::CREATED);
    let code = found.state.as_ref().filter(never_ran).and_then(|state| state.exit_code);
    RunStatus::Stopped { exit_code: code.and_then(|code| i32::try_from(code).ok()) }
}

/// Of what was ended by SIGKILL.
const KILLED: i64 = 137;

/// How a container ended, for people; `None` while it runs and before it ever ran.
pub(crate) fn why_it_ended(state: &ContainerState) -> Option<String> {
    if state.running == Some(true) || state.status == Some(ContainerStateStatusEnum::CREATED) {
        return None;
    }
    let code = state.exit_code.unwrap_or_default();
    // Docker also says so where the kernel ended a program inside, and the container went on.
    if state.oom_killed == Some(true) && code == KILLED {
        return Some(format!(
            "the kernel ended it because it used more memory than its size allows, exit code {code}"
        ));
    }
    let killed = if code == KILLED { ": killed, by a stop or for want of memory" } else { "" };
    let error = state.error.as_deref().filter(|error| !error.is_empty());
    Some(format!("exit code {code}{killed}{}", error.map(|error| format!(": {error}")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: ContainerStateStatusEnum, code: i64, oom: bool) -> ContainerState {
        let running = Some(status == ContainerStateStatusEnum::RUNNING);
        ContainerState {
            status: Some(status),
            running,
            exit_code: Some(code),
            oom_killed: Some(oom),
            ..Default::default()
        }
    }

    #[test]
    fn the_reason_of_an_end_is_said_in_words() {
        let exited = |code, oom| why_it_ended(&state(ContainerStateStatusEnum::EXITED, code, oom)).unwrap();
        assert!(exited(137, true).contains("more memory than its size allows"));
        assert!(exited(137, false).contains("killed"));
        assert_eq!(exited(0, true), "exit code 0", "a program inside it was ended, at another time");
        assert_eq!(exited(7, false), "exit code 7");
        assert_eq!(why_it_ended(&state(ContainerStateStatusEnum::RUNNING, 0, false)), None);
        assert_eq!(why_it_ended(&state(ContainerStateStatusEnum::CREATED, 0, false)), None);
    }

    #[test]
    fn a_container_that_never_ran_has_no_exit_code() {
        let found = |status, code| ContainerInspectResponse {
            state: Some(state(status, code, false)),
            ..Default::default()
        };
        assert_eq!(
            status(&found(ContainerStateStatusEnum::CREATED, 0)),
            RunStatus::Stopped { exit_code: None }
        );
        assert_eq!(
            status(&found(ContainerStateStatusEnum::EXITED, 3)),
            RunStatus::Stopped { exit_code: Some(3) }
        );
        assert_eq!(status(&found(ContainerStateStatusEnum::RUNNING, 0)), RunStatus::Running);
        // Only where somebody has given it a policy of restarts: Docker says that it runs too, and a stop has to end it.
        let mut restarts = state(ContainerStateStatusEnum::RESTARTING, 7, false);
        (restarts.running, restarts.restarting) = (Some(true), Some(true));
        let restarts = ContainerInspectResponse { state: Some(restarts), ..Default::default() };
        assert_eq!(status(&restarts), RunStatus::Running);
    }
}
