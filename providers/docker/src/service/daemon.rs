//! A service's container in Docker: find, make, start, wait, remove. Acts by the id that was looked at.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};
use contracts::ErrorCode;
use provider_api::{ProviderError, Result, RunStatus};
use provider_kit::wait;
use tokio::time::Instant;

use super::health::Health;
use super::spec::Inputs;
use super::{guard, labels};
use crate::engine::{Engine, within};
use crate::failure::{Answer, Failure, contended};
use crate::{container, logs};

const ATTEMPTS: u32 = 5;
/// What it gets to end by itself: Pilot lets running operations come to an end.
const STOP_GRACE: Duration = Duration::from_secs(30);
const REMOVAL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// So often Docker may start it again before that is a failure.
const RESTARTS: i64 = 3;
const ERROR_LOG_BYTES: usize = 2000;

pub(super) struct Daemon<'a> {
    pub engine: &'a Engine,
    pub inputs: &'a Inputs,
}

impl Daemon<'_> {
    /// The container if it is there and ours; a foreign one is an error.
    async fn find(&self) -> Result<Option<ContainerInspectResponse>> {
        let found = container::inspect(self.engine, &self.inputs.name).await?;
        if let Some(found) = &found {
            labels::must_own("container", &self.inputs.name, &container::labels(found), &self.inputs.owner)?;
        }
        Ok(found)
    }

    /// Makes sure that a container of these inputs exists. One that differs is replaced; what is to be
    /// kept is in volumes.
    pub async fn ensure(&self) -> Result<()> {
        // Before anything is removed: what cannot be made again must not go.
        let image = self.image().await?.ok_or_else(|| {
            let name = &self.inputs.image;
            self.engine.no_image(name).with_action(format!(
                "Bring the image {name} to this Docker host. Pilot's own is built by `cargo xtask image --pilot`."
            ))
        })?;
        self.inputs.health_url.as_deref().map(Health::new).transpose()?;
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.find().await? {
                let same = Inputs::of(&found).as_ref() == Some(self.inputs);
                if same && found.image.as_ref() == Some(&image) && container::is_whole(&found) {
                    return Ok(());
                }
                self.remove(&found).await?;
            }
            match self.make().await {
                Ok(()) => return Ok(()),
                // Someone was faster, or an older one is still going away: look again.
                Err(Failure::Conflict(_)) => tokio::time::sleep(PAUSE).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(contended(&self.inputs.name))
    }

    /// What the image's name means now.
    async fn image(&self) -> Result<Option<String>> {
        let docker = self.engine.docker().await?;
        let found = self.engine.ask("look for the image", docker.inspect_image(&self.inputs.image)).await;
        match found {
            Ok(image) => Ok(image.id),
            Err(Failure::Absent(_)) => Ok(None),
            Err(Failure::Other(error)) if error.code == ErrorCode::ImageMissing => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    async fn make(&self) -> Answer<()> {
        let docker = self.engine.docker().await?;
        // Docker would make missing volumes itself, without an owner.
        for volume in self.inputs.volumes.keys() {
            let look = docker.inspect_volume(volume);
            self.engine.ask("find the service's volume", look).await.map_err(ProviderError::from)?;
        }
        let options = CreateContainerOptionsBuilder::default().name(&self.inputs.name).build();
        let create = docker.create_container(Some(options), self.inputs.body());
        self.engine.ask("create the service's container", create).await.map(drop)
    }

    /// Starts it if it does not run, and waits until it answers.
    pub async fn run(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let health = self.inputs.health_url.as_deref().map(Health::new).transpose()?;
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        let docker = self.engine.docker().await?;
        match container::status(&found) {
            RunStatus::Running => {}
            RunStatus::Suspended => {
                self.engine.ask("let the service go on", docker.unpause_container(id(&found))).await?;
            }
            RunStatus::Stopped { .. } | RunStatus::Pending { .. } | RunStatus::Absent => {
                if let Some(health) = &health
                    && health.is_taken().await
                {
                    return Err(taken(health.url()));
                }
                let start = docker.start_container(id(&found), None::<StartContainerOptions>);
                self.engine.ask("start the service", start).await?;
            }
        }
        loop {
            let answer = match &health {
                Some(health) => health.ask().await,
                None => Ok(()),
            };
            let found = self.find().await?.ok_or_else(|| self.missing())?;
            let runs = container::status(&found) == RunStatus::Running;
            let restarts = found.restart_count.unwrap_or_default();
            match answer {
                Ok(()) if runs && !is_restarting(&found) => return Ok(()),
                _ if restarts >= RESTARTS || !runs && !is_restarting(&found) => {
                    let why = found.state.as_ref().and_then(container::why_it_ended);
                    let why = why.unwrap_or_else(|| "it ends again and again".to_owned());
                    return Err(self.failed(ErrorCode::InstanceFailed, &why).await);
                }
                Err(why) if Instant::now() > deadline => {
                    return Err(self.failed(ErrorCode::InstanceNotReady, &why).await);
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Whether an update would have nothing to do: it runs, from what its image's name means now.
    pub async fn is_intact(&self, found: &ContainerInspectResponse) -> Result<bool> {
        let image = self.image().await?;
        // Without the image nothing better can be made.
        let newest = image.is_none() || image == found.image;
        Ok(newest && container::status(found) == RunStatus::Running && !is_restarting(found))
    }

    /// Refused while its guard does not agree.
    pub async fn delete(&self) -> Result<()> {
        let Some(found) = self.find().await? else { return Ok(()) };
        guard::must_agree(self.engine, self.inputs, (id(&found), container::status(&found))).await?;
        self.remove(&found).await
    }

    /// Ends it, then removes it; named volumes stay. Returns when it is gone.
    async fn remove(&self, found: &ContainerInspectResponse) -> Result<()> {
        let docker = self.engine.docker().await?;
        if container::status(found) == RunStatus::Running {
            let limit = STOP_GRACE + REMOVAL;
            let options = StopContainerOptionsBuilder::default().t(STOP_GRACE.as_secs() as i32).build();
            let patient = docker.clone().with_timeout(limit);
            let stop = patient.stop_container(id(found), Some(options));
            Failure::optional(within(limit, "stop the service", stop).await)?;
        }
        // A conflict is a removal that is already under way.
        let removed = wait::while_refused(Instant::now() + REMOVAL, PAUSE, Failure::is_conflict, || async {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let removal = docker.remove_container(id(found), Some(options));
            self.engine.ask("remove the service's container", removal).await
        });
        Failure::optional(removed.await).map(drop)
    }

    fn missing(&self) -> ProviderError {
        let message = format!("the container {} was removed while it was to start", self.inputs.name);
        ProviderError::new(ErrorCode::ProviderFailed, message).with_action("Run the update again.")
    }

    async fn failed(&self, code: ErrorCode, why: &str) -> ProviderError {
        let name = &self.inputs.name;
        let log = logs::tail(self.engine, name, ERROR_LOG_BYTES).await.unwrap_or_default();
        let message =
            format!("the service {name} is not well: {why}; its log ends with:\n{}", log.trim_end());
        ProviderError::new(code, message)
            .with_action("Read the log above, correct the inputs, and run the update again.")
    }
}

fn taken(url: &str) -> ProviderError {
    let message = format!("another program answers at {url} already, so the service was not started");
    ProviderError::new(ErrorCode::PortInUse, message)
        .with_action("End that program, or give the service another address.")
}

fn id(found: &ContainerInspectResponse) -> &str {
    found.id.as_deref().unwrap_or_default()
}

/// Docker says of what waits for its next start that it runs.
fn is_restarting(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| state.restarting == Some(true))
}
