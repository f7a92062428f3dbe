//! How much log is kept, and the end of a container's.

use std::time::Duration;

use bollard::models::HostConfigLogConfig;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use provider_api::Result;
use provider_api::lifecycle::last_lines;

use crate::engine::Engine;
use crate::failure::{Failure, classify, timed_out};

const LIMIT: Duration = Duration::from_secs(10);
/// Docker counts lines, not bytes; most lines are longer than this.
const SHORT_LINE: usize = 20;

/// What Docker keeps of the log of everything that this module makes.
pub(crate) fn limited() -> HostConfigLogConfig {
    let options = [("max-size", "10m"), ("max-file", "3")];
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
    }
}

/// Empty when there is no such container.
pub(crate) async fn tail(engine: &Engine, container: &str, max_bytes: usize) -> Result<String> {
    let docker = engine.docker().await?;
    let lines = (max_bytes / SHORT_LINE).clamp(1, 100_000);
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let mut stream = Box::pin(docker.logs(container, Some(options)));
    // One byte more than asked tells whether the cut is between two lines.
    let keep = max_bytes.saturating_add(1);
    let read = async {
        let mut log = Vec::new();
        while let Some(chunk) = stream.next().await {
            match chunk.map_err(|error| classify("read the log", &error)) {
                Ok(chunk) => log.extend_from_slice(chunk.as_ref()),
                // What is being removed has none any more.
                Err(Failure::Absent(_) | Failure::Conflict(_)) => break,
                Err(other) => return Err(other.into()),
            }
            // Trimmed now and then, so that a log of gigabytes needs no memory.
            if log.len() > keep.saturating_mul(4).max(1 << 16) {
                log.drain(..log.len() - keep);
            }
        }
        Ok(last_lines(&log, max_bytes))
    };
    tokio::time::timeout(LIMIT, read).await.unwrap_or_else(|_| Err(timed_out("read the log")))
}
