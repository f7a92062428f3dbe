//! Start, stop, status and endpoint of a runtime, and what an installation owns: one call each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{ErrorCode, InstallationId};
use http::Method;
use provider_api::{Inventory, Lifecycle, OwnedObject, ProviderError, Result, RunStatus, RuntimeRef};
use serde_json::json;

use crate::Cloud;
use crate::runtime::boot;

const HTTPS: u16 = 443;

pub(crate) struct CloudflareLifecycle {
    pub cloud: Arc<Cloud>,
}

#[async_trait]
impl Lifecycle for CloudflareLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        let files = self.cloud.config.boot.boot_files(&runtime.runtime_id).await?;
        let body = json!({"installation": runtime.installation, "boot": boot(&files)});
        let path = format!("/{}/start", runtime.runtime_id);
        self.cloud.control("start the runtime", Method::POST, &path, Some(body)).await?;
        Ok(())
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        let body = json!({"installation": runtime.installation, "graceMs": grace.as_millis()});
        let path = format!("/{}/stop", runtime.runtime_id);
        self.cloud.control("stop the runtime", Method::POST, &path, Some(body)).await?;
        Ok(())
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        let state = self.cloud.state(&runtime.runtime_id, &runtime.installation).await?;
        match state.status.as_str() {
            "running" => Ok(RunStatus::Running),
            "stopped" => Ok(RunStatus::Stopped { exit_code: state.exit_code }),
            "absent" => Ok(RunStatus::Absent),
            other => {
                let message = format!("the Worker says that the runtime is {other:?}, which means nothing");
                Err(ProviderError::new(ErrorCode::ProviderUnreadable, message))
            }
        }
    }

    /// The Worker's address. The gateway's assertion, which goes with every request, tells the Worker
    /// which runtime it is for.
    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        let status = self.status(runtime).await?;
        if status != RunStatus::Running {
            let message = format!("{} does not run, so it has no endpoint: {status:?}", runtime.runtime_id);
            return Err(
                ProviderError::new(ErrorCode::WorkspaceNotReady, message).with_action("Start it first.")
            );
        }
        let name = self.cloud.api.host(&self.cloud.config).await?.to_owned();
        let Some(at) =
            self.cloud.config.settings.get("workerUrl").map(|_| self.cloud.config.url("workerUrl"))
        else {
            return Ok(Endpoint { host: name, port: HTTPS, tls: true, headers: BTreeMap::new() });
        };
        let at = at?;
        Ok(Endpoint {
            host: at.host_str().unwrap_or_default().to_owned(),
            port: at.port_or_known_default().unwrap_or(HTTPS),
            tls: at.scheme() == "https",
            headers: BTreeMap::from([("host".to_owned(), name)]),
        })
    }
}

#[async_trait]
impl Inventory for CloudflareLifecycle {
    /// The Worker's own list: it holds every runtime from before its beginning to after its end.
    async fn list_owned(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        if *installation != self.cloud.config.installation {
            return Ok(Vec::new());
        }
        let path = format!("?installation={installation}");
        let listed = self.cloud.control("list the runtimes", Method::GET, &path, None).await?;
        let ids = listed["runtimes"].as_array().cloned().unwrap_or_default();
        let owned = |id: &serde_json::Value| {
            let id = id.as_str()?;
            Some(OwnedObject { runtime_id: id.parse().ok()?, kind: "runtime".to_owned(), id: id.to_owned() })
        };
        Ok(ids.iter().filter_map(owned).collect())
    }
}
