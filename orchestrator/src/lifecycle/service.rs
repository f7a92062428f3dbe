//! What the lifecycle API is made of, and its answers to questions.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::operation::{Operation, OperationList};
use contracts::plan::Plan;
use contracts::stack::{LogTail, StackExport, StackRepair};
use contracts::why::Why;
use contracts::workspace::{CreateWorkspace, ProviderInfo, Route, Workspace, WorkspaceList};
use contracts::{
    ErrorCode, InstallationId, OperationId, Problem, ProviderName, Slug, WorkspaceId, WorkspaceRef,
};
use provider_api::{RuntimeRef, site};
use url::Url;

use super::changes::new_row;
use super::request;
use crate::engine::Engine;
use crate::operations::Runner;
use crate::reconcile::Repair;
use crate::store::{Key, Query, Store, WorkspaceQuery, WorkspaceRow};
use crate::wiring::Providers;

/// What the lifecycle API does, without HTTP.
pub struct Lifecycle {
    pub store: Store,
    pub providers: Providers,
    pub engine: Arc<Engine>,
    pub runner: Runner,
    pub installation: InstallationId,
    pub default_provider: ProviderName,
    /// What follows when something is not as it is desired.
    pub repair: Repair,
    /// How long what is of no workspace that is known is left alone.
    pub stray_grace: Duration,
    /// How many snapshots a workspace may have.
    pub snapshot_limit: u32,
    /// Where browsers reach the gateway, once it is known; workspaces are hosts below its name.
    pub gateway: OnceLock<Url>,
}

/// Who asked, for the log and for repeated requests.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose keys are whose, and who is named where it is kept who asked.
    pub principal: String,
    pub request_id: String,
    pub idempotency_key: Option<String>,
    /// The version of the workspace that the request is about.
    pub if_match: Option<String>,
}

impl Caller {
    /// The key of a request, for what this asks.
    pub(super) fn key(&self, digest: &str) -> Option<Key> {
        let key = self.idempotency_key.clone()?;
        Some(Key { principal: self.principal.clone(), key, digest: digest.to_owned() })
    }
}

impl Lifecycle {
    /// A page of workspaces, and where the next begins.
    pub async fn list(&self, query: WorkspaceQuery) -> Result<WorkspaceList, Problem> {
        let (rows, next) = self.store.workspaces_by(&query).await?;
        Ok(WorkspaceList { workspaces: rows.into_iter().map(|row| self.view(row)).collect(), next })
    }

    pub async fn get(&self, name: &WorkspaceRef) -> Result<Workspace, Problem> {
        Ok(self.get_tagged(name).await?.1)
    }

    /// With what tells this version from others.
    pub async fn get_tagged(&self, name: &WorkspaceRef) -> Result<(String, Workspace), Problem> {
        let row = self.store.workspace_shown(name).await?.ok_or_else(|| not_found(name))?;
        Ok((row.tag(), self.view(row)))
    }

    pub async fn operation(&self, id: &OperationId) -> Result<Operation, Problem> {
        let operation = self.store.operation(id).await?;
        operation
            .ok_or_else(|| Problem::new(ErrorCode::OperationNotFound, format!("There is no operation {id}.")))
    }

    pub async fn id_of(&self, name: &WorkspaceRef) -> Result<WorkspaceId, Problem> {
        match name {
            WorkspaceRef::Id(id) => Ok(id.clone()),
            WorkspaceRef::Slug(_) => Ok(self.get(name).await?.id),
        }
    }

    pub async fn operations(&self, query: &Query) -> Result<OperationList, Problem> {
        let (operations, next) = self.store.operations(query).await?;
        Ok(OperationList { operations, next: next.map(|id| id.to_string()) })
    }

    /// What it is, who wants it so, what was tried and what comes next.
    pub async fn why(&self, name: &WorkspaceRef) -> Result<Why, Problem> {
        const MOST: u32 = 10;
        let row = self.store.workspace_shown(name).await?.ok_or_else(|| not_found(name))?;
        let query = Query { workspace: Some(row.id.clone()), most: MOST, ..Query::default() };
        Ok(Why {
            disk: self.disk(&row).await,
            asked: self.store.asked(&row.id, MOST).await?,
            operations: self.store.operations(&query).await?.0,
            egress: self.report_of_listed(&row).await,
            next: crate::reconcile::why::next(&self.store, &self.told(row.clone()), self.repair).await?,
            workspace: self.view(row),
        })
    }

    pub async fn resolve(&self, name: &WorkspaceRef) -> Result<Route, Problem> {
        Ok(route(self.row(name).await?))
    }

    /// What applying the workspace's stack again would change: its drift.
    pub async fn drift(&self, name: &WorkspaceRef) -> Result<Plan, Problem> {
        let row = self.row(name).await?;
        self.must_be_seen(&row).await?;
        self.engine.plan(&self.compile(&row)?).await
    }

    /// What a create would do.
    pub async fn preview(&self, body: CreateWorkspace) -> Result<Plan, Problem> {
        let valid = request::validate(body, &self.providers, self.default_provider.as_str())?;
        if self.store.workspace(&valid.slug.clone().into()).await?.is_some() {
            return Err(slug_taken(&valid.slug));
        }
        // A plan can be made where the provider does not answer.
        let image = request::usual_image(valid.provider.as_ref()).await.ok().flatten();
        let row = WorkspaceRow { image, ..new_row(valid) };
        self.engine.plan_new(&self.compile(&row)?).await
    }

    pub async fn export(&self, name: &WorkspaceRef) -> Result<StackExport, Problem> {
        let row = self.row(name).await?;
        self.engine.export(&self.compile(&row)?, &row.sites)
    }

    /// Looks for a good copy of a damaged state, and with `apply` puts it in its place.
    pub async fn repair(&self, name: &WorkspaceRef, apply: bool) -> Result<StackRepair, Problem> {
        let row = self.row(name).await?;
        self.engine.repair(&self.compile(&row)?, apply).await
    }

    pub async fn logs(&self, name: &WorkspaceRef, bytes: usize) -> Result<LogTail, Problem> {
        let row = self.row(name).await?;
        let provider = self.providers.serving(&row)?;
        let Some(logs) = provider.logs() else {
            let detail = format!("The provider {} keeps no logs.", row.provider);
            return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail));
        };
        self.must_be_seen(&row).await?;
        let runtime = RuntimeRef::new(row.runtime_id, self.installation.clone());
        let text = logs.tail(&runtime, bytes).await.map_err(crate::engine::provider_problem)?;
        let ended = logs.ended(&runtime).await.map_err(crate::engine::provider_problem)?;
        Ok(LogTail { text, ended })
    }

    /// An error where it is at another place than what is reached: what that says is not about it.
    pub(super) async fn must_be_seen(&self, row: &WorkspaceRow) -> Result<(), Problem> {
        let Some(sites) = self.providers.get(row.provider.as_str())?.sites() else { return Ok(()) };
        let runtime = RuntimeRef::new(row.runtime_id.clone(), self.installation.clone());
        let reached = site::must_be_reached(sites.as_ref(), &runtime, &row.sites).await;
        reached.map(drop).map_err(crate::engine::provider_problem)
    }

    pub fn provider_list(&self) -> Vec<ProviderInfo> {
        let describe = |provider: &Arc<dyn provider_api::Provider>| {
            let described = provider.describe();
            ProviderInfo {
                default: described.name == self.default_provider,
                name: described.name,
                summary: described.summary.to_owned(),
                isolation: described.isolation.to_owned(),
                regions: described.regions,
                sizes: described.sizes,
                image: provider.images().and_then(|images| images.default_reference().ok()),
                capabilities: provider.capabilities(),
                updates: Some(described.updates),
            }
        };
        self.providers.all().map(describe).collect()
    }

    /// One that is not deleted.
    pub(super) async fn row(&self, name: &WorkspaceRef) -> Result<WorkspaceRow, Problem> {
        let row = self.store.workspace(name).await?.ok_or_else(|| not_found(name))?;
        match row.home_until {
            None => Ok(row),
            Some(_) => {
                Err(Problem::new(ErrorCode::WorkspaceNotFound, format!("The workspace {name} is deleted."))
                    .with_action(format!(
                        "`pilot ws restore {}` brings it back while its home is kept.",
                        row.id
                    )))
            }
        }
    }

    pub(super) fn compile(&self, row: &WorkspaceRow) -> Result<stacks::Stack, Problem> {
        crate::engine::stack_of(row, &self.providers, &self.installation)
    }

    pub(super) fn view(&self, row: WorkspaceRow) -> Workspace {
        let row = self.told(row);
        let url = self.gateway.get().and_then(|gateway| url_below(gateway, &row.slug));
        Workspace {
            id: row.id,
            slug: row.slug,
            runtime_id: row.runtime_id,
            provider: row.provider,
            size: row.size,
            region: row.region,
            image: row.image,
            git: row.git,
            egress_allow: row.egress,
            owner: Some(row.owner).filter(|owner| !owner.is_empty()),
            labels: row.labels,
            desired: row.desired,
            state: row.observed,
            since: row.since,
            url,
            error: row.error,
            operation: row.operation,
            created_at: row.created_at,
            home_until: row.home_until,
        }
    }
}

/// A workspace's own host, with scheme and port of the gateway.
fn url_below(gateway: &Url, slug: &Slug) -> Option<String> {
    let mut url = gateway.clone();
    url.set_host(Some(&format!("{slug}.{}", gateway.host_str()?))).ok()?;
    Some(url.into())
}

pub fn route(row: WorkspaceRow) -> Route {
    Route { slug: row.slug, runtime_id: row.runtime_id, state: row.observed, endpoint: row.endpoint }
}

pub(super) fn not_found(name: &WorkspaceRef) -> Problem {
    Problem::new(ErrorCode::WorkspaceNotFound, format!("There is no workspace {name}."))
        .with_action("`pilot ws ls` lists those that exist.")
}

pub(super) fn slug_taken(slug: &Slug) -> Problem {
    Problem::new(ErrorCode::SlugTaken, format!("There is a workspace {slug} already."))
        .with_action(format!("`pilot ws get {slug}` shows it. Choose another slug for a second one."))
}
