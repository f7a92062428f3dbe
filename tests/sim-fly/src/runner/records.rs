//! Machines that are records only: started at once, and nothing runs.

use std::time::Duration;

use async_trait::async_trait;

use super::{Executed, Launch, RunError, Runner, Running};

#[derive(Debug, Default)]
pub struct Records;

#[async_trait]
impl Runner for Records {
    async fn start(&self, _: &Launch) -> Result<Running, RunError> {
        Ok(Running::default())
    }

    async fn stop(&self, _: &str, _: &Running, _: i32, _: Duration) -> Result<(), RunError> {
        Ok(())
    }

    async fn signal(&self, _: &str, _: &Running, _: i32) -> Result<(), RunError> {
        Ok(())
    }

    async fn suspend(&self, _: &str, _: &Running) -> Result<(), RunError> {
        Ok(())
    }

    async fn resume(&self, _: &str, _: &Running) -> Result<(), RunError> {
        Ok(())
    }

    async fn exec(
        &self,
        _: &Launch,
        _: &Running,
        _: &[String],
        _: &str,
        _: Duration,
    ) -> Result<Executed, RunError> {
        Err(RunError::NoProgram)
    }

    async fn adopt(&self, _: &str, _: u64, _: &Running) -> bool {
        true
    }

    async fn forget(&self, _: &str) {}
}
