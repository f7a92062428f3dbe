//! Start, stop, status and endpoint of a runtime, and what an installation owns: one call each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{ErrorCode, InstallationId, RuntimeId};
use http::Method;
use provider_api::{
    Home, Inventory, Lifecycle, OwnedObject, ProviderError, Result, RunStatus, RuntimeRef, Statuses,
    lifecycle,
};
use provider_kit::errors::does_not_run;
use serde::Deserialize;
use serde_json::json;

use crate::Cloud;
use crate::config::Policy;
use crate::runtime::boot;

const HTTPS: u16 = 443;
/// Read by `worker/src/index.js`.
const RUNTIME_HEADER: &str = "x-pilot-runtime";

/// Kinds of what is owned.
const RUNTIME: &str = "runtime";
const HOME: &str = "home";

pub(crate) struct CloudflareLifecycle {
    pub cloud: Arc<Cloud>,
}

#[async_trait]
impl Lifecycle for CloudflareLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        let files = provider_kit::boot::files(&*self.cloud.config.boot, &runtime.runtime_id).await?;
        let (installation, fence) = (&runtime.installation, runtime.fence);
        let body = json!({"installation": installation, "fence": fence, "boot": boot(&files)});
        let path = format!("/{}/start", runtime.runtime_id);
        self.cloud.control("start the runtime", Method::POST, &path, Some(body)).await?;
        Ok(())
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        let (installation, fence) = (&runtime.installation, runtime.fence);
        let body = json!({"installation": installation, "fence": fence, "graceMs": grace.as_millis()});
        let path = format!("/{}/stop", runtime.runtime_id);
        self.cloud.control("stop the runtime", Method::POST, &path, Some(body)).await?;
        Ok(())
    }

    /// Removes the home first: the end of an instance that has one needs a snapshot that Cloudflare has taken.
    async fn home_goes(&self, runtime: &RuntimeRef) -> Result<()> {
        if self.cloud.config.policy() != Policy::DurableObject {
            return Ok(());
        }
        let body = json!({"installation": runtime.installation, "fence": runtime.fence});
        let path = format!("/{}/home", runtime.runtime_id);
        self.cloud.control("remove the home", Method::DELETE, &path, Some(body)).await?;
        Ok(())
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        let state = self.cloud.state(&runtime.runtime_id, &runtime.installation).await?;
        run_status(&state.status, state.exit_code)
    }

    /// One signed call: the Worker asks each object. Whom it does not tell of is asked for by itself.
    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        let asked = installation.clone();
        lifecycle::status_from_list(self, installation, runtimes, async move {
            let path = format!("?installation={asked}&states=1");
            let mut told = self.cloud.control("read the runtimes", Method::GET, &path, None).await?;
            let told: Vec<Told> = serde_json::from_value(told["states"].take()).unwrap_or_default();
            let known = |told: Told| Some((told.runtime, run_status(&told.status, told.exit_code).ok()?));
            Ok(told.into_iter().filter_map(known).collect())
        })
    }

    /// The Worker's address. Which runtime a request is for is told by the gateway's assertion, and to
    /// whoever only asks for health by a header.
    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        let status = self.status(runtime).await?;
        if status != RunStatus::Running {
            let object = ("runtime", runtime.runtime_id.as_str());
            return Err(does_not_run(object, Some(&format!("it is {status:?}"))));
        }
        let config = &self.cloud.config;
        let host = self.cloud.api.host(config).await?;
        let headers = BTreeMap::from([(RUNTIME_HEADER.to_owned(), runtime.runtime_id.to_string())]);
        let mut endpoint = Endpoint { host, port: HTTPS, tls: true, headers };
        if config.settings.get("workerUrl").is_some() {
            let at = config.url("workerUrl")?;
            endpoint.headers.insert("host".to_owned(), endpoint.host);
            endpoint.host = at.host_str().unwrap_or_default().to_owned();
            endpoint.port = at.port_or_known_default().unwrap_or(HTTPS);
            endpoint.tls = at.scheme() == "https";
        }
        Ok(endpoint)
    }
}

/// What the Worker tells of each.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    runtime: RuntimeId,
    status: String,
    exit_code: Option<i32>,
}

fn run_status(told: &str, exit_code: Option<i32>) -> Result<RunStatus> {
    match told {
        "running" => Ok(RunStatus::Running),
        "stopped" => Ok(RunStatus::Stopped { exit_code }),
        "absent" => Ok(RunStatus::Absent),
        other => {
            let message = format!("the Worker says that the runtime is {other:?}, which means nothing");
            Err(ProviderError::new(ErrorCode::ProviderUnreadable, message))
        }
    }
}

#[async_trait]
impl Inventory for CloudflareLifecycle {
    /// The Worker's own list: it holds every runtime from before its beginning to after its end.
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        if installation != self.cloud.config.installation()? {
            return Ok(Vec::new());
        }
        let path = format!("?installation={installation}");
        let listed = self.cloud.control("list the runtimes", Method::GET, &path, None).await?;
        let of = |list: &str, kind: &'static str, home: Home| {
            let ids = listed[list].as_array().cloned().unwrap_or_default();
            ids.into_iter().filter_map(move |id| owned(id.as_str()?, kind, home))
        };
        Ok(of("runtimes", RUNTIME, Home::No).chain(of("homes", HOME, Home::Is)).collect())
    }

    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        if runtime.installation != *self.cloud.config.installation()? {
            return Ok(Vec::new());
        }
        let state = self.cloud.state(&runtime.runtime_id, &runtime.installation).await?;
        let id = runtime.runtime_id.as_str();
        let there = (state.status != "absent").then(|| owned(id, RUNTIME, Home::No)).flatten();
        let home = state.home.and_then(|_| owned(id, HOME, Home::Is));
        Ok(there.into_iter().chain(home).collect())
    }
}

fn owned(id: &str, kind: &str, home: Home) -> Option<OwnedObject> {
    Some(OwnedObject { runtime_id: id.parse().ok()?, kind: kind.to_owned(), id: id.to_owned(), home })
}
