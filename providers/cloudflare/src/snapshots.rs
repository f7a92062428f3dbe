//! Copies of homes at an account that keeps file systems. The Durable Object has their keys; Cloudflare has the files, until
//! 30 days after they were last begun with.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use http::Method;
use jiff::Timestamp;
use provider_api::{ProviderError, Result, RuntimeRef, Snapshot, Snapshots, Take, Told, no_snapshot};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Cloud;

pub(crate) struct CloudflareSnapshots {
    pub cloud: Arc<Cloud>,
}

/// As the Worker tells of one; times in milliseconds.
#[derive(Deserialize)]
struct Kept {
    key: String,
    name: Option<String>,
    created: i64,
    size: u64,
    until: i64,
}

fn read(kept: Value) -> Result<Snapshot> {
    let unreadable =
        |error: String| ProviderError::new(ErrorCode::ProviderUnreadable, format!("a snapshot: {error}"));
    let kept: Kept = serde_json::from_value(kept).map_err(|error| unreadable(error.to_string()))?;
    let time = |ms| Timestamp::from_millisecond(ms).map_err(|error| unreadable(error.to_string()));
    Ok(Snapshot {
        id: kept.key,
        name: kept.name,
        created: time(kept.created)?,
        size: Some(kept.size),
        until: Some(time(kept.until)?),
    })
}

impl CloudflareSnapshots {
    async fn change(
        &self,
        doing: &str,
        method: Method,
        runtime: &RuntimeRef,
        verb: &str,
        call: Value,
    ) -> Result<Value> {
        let mut body = call;
        body["installation"] = json!(runtime.installation);
        body["fence"] = json!(runtime.fence);
        let path = format!("/{}/{verb}", runtime.runtime_id);
        Ok(self.cloud.control(doing, method, &path, Some(body)).await?)
    }
}

#[async_trait]
impl Snapshots for CloudflareSnapshots {
    async fn take(&self, runtime: &RuntimeRef, take: &Take) -> Result<Snapshot> {
        let call = json!({"key": take.key, "name": take.name});
        read(self.change("take the snapshot", Method::POST, runtime, "snapshots", call).await?)
    }

    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>> {
        let path = format!("/{}/snapshots?installation={}", runtime.runtime_id, runtime.installation);
        let mut listed = self.cloud.control("list the snapshots", Method::GET, &path, None).await?;
        let Value::Array(all) = listed["snapshots"].take() else { return Ok(Vec::new()) };
        all.into_iter().map(read).collect()
    }

    /// Nobody can begin with it any more. Cloudflare has no call that removes its files: they go by themselves.
    async fn remove(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        let call = json!({"key": id});
        self.change("remove the snapshot", Method::DELETE, runtime, "snapshots", call).await.map(drop)
    }

    /// The next start begins with it. One of another image has its files moved by that start.
    async fn restore(&self, runtime: &RuntimeRef, id: &str, _told: &Told) -> Result<()> {
        let call = json!({"key": id});
        match self.change("restore the snapshot", Method::POST, runtime, "restore", call).await {
            Err(error) if error.code == ErrorCode::SnapshotNotFound => {
                Err(no_snapshot(&runtime.runtime_id, id))
            }
            restored => restored.map(drop),
        }
    }

    /// A snapshot is of a whole file system: a fork would hold the secrets of its original until it boots.
    fn forks(&self) -> bool {
        false
    }
}
