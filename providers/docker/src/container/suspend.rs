//! A container whose processes are frozen: they keep their memory and get no processor.

use std::time::Duration;

use provider_api::{Result, RunStatus};

use super::machine::{Machine, status};
use crate::failure::Failure;

/// How often the kernel is asked to freeze what is making processes, and how Docker says that it did not.
const ATTEMPTS: u32 = 10;
const NOT_FROZEN: &str = "unable to freeze";
const PAUSE: Duration = Duration::from_millis(50);

impl Machine<'_> {
    /// Freezes its processes: they keep their memory and get no processor.
    pub async fn suspend(&self) -> Result<()> {
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        match status(&found) {
            RunStatus::Suspended => return Ok(()),
            RunStatus::Running => {}
            RunStatus::Stopped { .. } | RunStatus::Pending { .. } | RunStatus::Absent => {
                return Err(self.does_not_run(&found));
            }
        }
        let docker = self.engine.docker().await?;
        for attempt in 1.. {
            match self.engine.ask("suspend the container", docker.pause_container(self.id(&found))).await {
                // Someone was faster.
                Err(Failure::Conflict(message)) if message.contains("already paused") => break,
                // Processes that are just being made keep the kernel from it for a moment.
                Err(Failure::Other(error)) if attempt < ATTEMPTS && error.message.contains(NOT_FROZEN) => {
                    tracing::debug!(%error, container = self.name(), "it is frozen again");
                    tokio::time::sleep(PAUSE).await;
                }
                answer => {
                    answer?;
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn unpause(&self, id: &str) -> Result<()> {
        let docker = self.engine.docker().await?;
        match self.engine.ask("let the container go on", docker.unpause_container(id)).await {
            Err(Failure::Conflict(message)) if message.contains("not paused") => Ok(()),
            answer => Ok(answer?),
        }
    }

    /// Goes on with what is suspended, in a moment and without new boot files; anything else is started.
    pub async fn resume(&self) -> Result<bool> {
        let found = self.find().await?.ok_or_else(|| self.missing())?;
        match status(&found) {
            RunStatus::Suspended => self.unpause(self.id(&found)).await.map(|()| true),
            RunStatus::Running => Ok(true),
            RunStatus::Stopped { .. } | RunStatus::Pending { .. } | RunStatus::Absent => Ok(false),
        }
    }
}
