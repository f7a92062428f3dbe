//! The lifecycle API and the gateway's login links, as typed calls. Every failure is a problem.

mod exec;
mod failure;
mod push;
mod rollouts;
mod snapshots;
mod ssh;
mod transport;

use std::path::PathBuf;
use std::time::Duration;

use contracts::disk::{Disk, HomeDisk};
use contracts::egress::report::EgressReport;
use contracts::operation::{Operation, OperationList, OperationState};
use contracts::plan::Plan;
use contracts::stack::{LogTail, RepairStack, StackExport, StackImport, StackRepair};
use contracts::stray::StrayList;
use contracts::usage::UsageList;
use contracts::why::Why;
use contracts::workspace::{
    Accepted, CreateWorkspace, ProviderInfo, RenameWorkspace, RestoreWorkspace, UpdateWorkspace, Workspace,
    WorkspaceList,
};
use contracts::{ErrorCode, OperationId, Problem, Slug, WorkspaceRef, headers};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::connection::is_loopback;
use failure::{innermost, not_pilot, refused_token, unreachable};
use transport::http;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A preview runs the engine.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(180);
/// An event stream that says nothing for so long is opened again.
const SILENCE: Duration = Duration::from_secs(60);
/// How many workspaces are asked for at once: as many as the server gives.
const PAGE: u32 = 1000;

pub struct Client {
    http: reqwest::Client,
    target: Target,
    token: Option<String>,
}

/// Where requests go.
pub struct Target {
    pub server: Url,
    /// Absent when nobody has said where it is.
    pub gateway: Option<Url>,
    /// The only authorities that are trusted; absent for those of the machine.
    pub ca: Option<PathBuf>,
    /// The context it is from.
    pub context: Option<String>,
    /// Who has chosen it, for people.
    pub why: String,
}

/// The answer of `GET /v1/providers`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProviderList {
    pub providers: Vec<ProviderInfo>,
}

/// The answer of the gateway's `POST /api/auth/links`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginLink {
    pub url: String,
    pub expires_in_seconds: u64,
}

/// A change that a workspace can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Start,
    Stop,
    Suspend,
    Hibernate,
    Resume,
    Restart,
    Apply,
    Delete,
    /// With its home.
    Purge,
    /// Without its provider, which is gone for good.
    Forget,
    /// What is deleted and kept, and nothing else.
    PurgeKept,
    ForgetKept,
}

impl Client {
    pub fn new(target: Target, token: Option<String>) -> Result<Self, Problem> {
        let http = http(&target, SILENCE)?;
        Ok(Self { http, target, token })
    }

    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        is_loopback(&self.target.server)
    }

    /// Where it is.
    pub fn at(&self) -> &Url {
        &self.target.server
    }

    /// The context that it is from.
    pub fn context(&self) -> Option<&str> {
        self.target.context.as_deref()
    }

    pub fn is_at(&self, url: &Url) -> bool {
        self.target.server == *url
    }

    /// Where it is and who has chosen that, for people.
    pub fn server(&self) -> String {
        format!("{} ({})", self.target.server.as_str().trim_end_matches('/'), self.target.why)
    }

    /// Whether the orchestrator answers at all.
    pub async fn health(&self) -> Result<(), Problem> {
        self.send(self.request(Method::GET, "/health").timeout(ANSWER_TIMEOUT), &self.target.server)
            .await
            .map(drop)
    }

    /// Whether a request would be accepted; the problem says why not.
    pub async fn ready(&self) -> Result<(), Problem> {
        self.send(self.request(Method::GET, "/ready").timeout(ANSWER_TIMEOUT), &self.target.server)
            .await
            .map(drop)
    }

    pub async fn create(&self, request: &CreateWorkspace) -> Result<Accepted, Problem> {
        // With the key a second try answers with the operation of the first: nothing is made twice.
        let key = format!("cli-{:032x}", rand::random::<u128>());
        let once = || {
            let request = self.request(Method::POST, "/v1/workspaces").json(request);
            self.json(request.header(headers::IDEMPOTENCY_KEY, &key).timeout(ANSWER_TIMEOUT))
        };
        match once().await {
            Err(problem) if problem.code == ErrorCode::OrchestratorUnreachable => once().await,
            answer => answer,
        }
    }

    pub async fn change(&self, name: &WorkspaceRef, change: Change) -> Result<Accepted, Problem> {
        let post = |verb: &str| self.request(Method::POST, &format!("/v1/workspaces/{name}/{verb}"));
        let delete = |how: &str| self.request(Method::DELETE, &format!("/v1/workspaces/{name}{how}"));
        let request = match change {
            Change::Start => post("start"),
            Change::Stop => post("stop"),
            Change::Suspend => post("suspend"),
            Change::Hibernate => post("hibernate"),
            Change::Resume => post("resume"),
            Change::Restart => post("restart"),
            Change::Apply => post("apply"),
            Change::Delete => delete(""),
            Change::Purge => delete("?purge=true"),
            Change::Forget => delete("?forget=true"),
            Change::PurgeKept => delete("?purge=true&deleted=true"),
            Change::ForgetKept => delete("?forget=true&deleted=true"),
        };
        self.json(request.timeout(ANSWER_TIMEOUT)).await
    }

    /// All that fit, from all pages.
    pub async fn workspaces(&self, wanted: &[(&str, String)]) -> Result<WorkspaceList, Problem> {
        let mut all = WorkspaceList { workspaces: Vec::new(), next: None };
        loop {
            let request = self.request(Method::GET, "/v1/workspaces").query(&[("limit", PAGE)]);
            let request = request.query(wanted).query(&all.next.map(|next| [("cursor", next)]));
            let page: WorkspaceList = self.json(request.timeout(ANSWER_TIMEOUT)).await?;
            all.workspaces.extend(page.workspaces);
            all.next = page.next;
            if all.next.is_none() {
                return Ok(all);
            }
        }
    }

    /// All of it, from all pages, and all of them until the same moment.
    pub async fn usage(&self, wanted: &[(&str, String)]) -> Result<UsageList, Problem> {
        let page = |more: &[(&str, String)]| {
            let request = self.request(Method::GET, "/v1/usage").query(&[("limit", PAGE)]);
            self.json::<UsageList>(request.query(more).timeout(ANSWER_TIMEOUT))
        };
        let mut all = page(wanted).await?;
        let mut rest: Vec<_> = wanted.iter().filter(|(name, _)| *name != "to").cloned().collect();
        rest.push(("to", all.to.to_string()));
        while let Some(next) = all.next.take() {
            let more = page(&[rest.as_slice(), &[("cursor", next)]].concat()).await?;
            all.usage.extend(more.usage);
            all.next = more.next;
        }
        Ok(all)
    }

    pub async fn restore(&self, name: &WorkspaceRef, wanted: &RestoreWorkspace) -> Result<Accepted, Problem> {
        let request = self.request(Method::POST, &format!("/v1/workspaces/{name}/restore"));
        self.json(request.json(wanted)).await
    }

    pub async fn update(&self, name: &WorkspaceRef, wanted: &UpdateWorkspace) -> Result<Accepted, Problem> {
        let request = self.request(Method::POST, &format!("/v1/workspaces/{name}/update"));
        self.json(request.json(wanted)).await
    }

    pub async fn rename(&self, name: &WorkspaceRef, slug: &str) -> Result<Workspace, Problem> {
        let request = self.request(Method::POST, &format!("/v1/workspaces/{name}/rename"));
        let body = RenameWorkspace { slug: slug.to_owned() };
        self.json(request.json(&body).timeout(ANSWER_TIMEOUT)).await
    }

    pub async fn workspace(&self, name: &WorkspaceRef) -> Result<Workspace, Problem> {
        self.get(&format!("/v1/workspaces/{name}")).await
    }

    /// `None` where it does not run, and of a server that cannot tell.
    pub async fn disk(&self, name: &WorkspaceRef) -> Option<Disk> {
        let answer: Result<HomeDisk, Problem> = self.get(&format!("/v1/workspaces/{name}/disk")).await;
        answer.ok().and_then(|answer| answer.disk)
    }

    pub async fn why(&self, name: &WorkspaceRef) -> Result<Why, Problem> {
        self.get(&format!("/v1/workspaces/{name}/why")).await
    }

    pub async fn egress(&self, name: &WorkspaceRef) -> Result<EgressReport, Problem> {
        self.get(&format!("/v1/workspaces/{name}/egress")).await
    }

    pub async fn logs(&self, name: &WorkspaceRef, bytes: u64) -> Result<LogTail, Problem> {
        self.get(&format!("/v1/workspaces/{name}/logs?bytes={bytes}")).await
    }

    pub async fn stack(&self, name: &WorkspaceRef) -> Result<StackExport, Problem> {
        self.get(&format!("/v1/workspaces/{name}/stack")).await
    }

    pub async fn repair(&self, name: &WorkspaceRef, apply: bool) -> Result<StackRepair, Problem> {
        let request = self.request(Method::POST, &format!("/v1/workspaces/{name}/stack/repair"));
        self.json(request.json(&RepairStack { apply }).timeout(PREVIEW_TIMEOUT)).await
    }

    /// A second try with the same key does not undo what came after the first.
    pub async fn import(&self, name: &WorkspaceRef, state: String) -> Result<StackImport, Problem> {
        let key = format!("cli-{:032x}", rand::random::<u128>());
        let request = self.request(Method::PUT, &format!("/v1/workspaces/{name}/stack/state"));
        let request =
            request.header(headers::IDEMPOTENCY_KEY, key).header("content-type", "application/json");
        self.json(request.body(state).timeout(PREVIEW_TIMEOUT)).await
    }

    pub async fn drift(&self, name: &WorkspaceRef) -> Result<Plan, Problem> {
        let request = self.request(Method::POST, &format!("/v1/workspaces/{name}/preview"));
        self.json(request.timeout(PREVIEW_TIMEOUT)).await
    }

    pub async fn plan(&self, request: &CreateWorkspace) -> Result<Plan, Problem> {
        self.json(self.request(Method::POST, "/v1/preview").json(request).timeout(PREVIEW_TIMEOUT)).await
    }

    pub async fn providers(&self) -> Result<ProviderList, Problem> {
        self.get("/v1/providers").await
    }

    pub async fn teardown(&self, provider: &str) -> Result<Operation, Problem> {
        self.json(self.request(Method::DELETE, &format!("/v1/providers/{provider}/shared"))).await
    }

    pub async fn operations(
        &self,
        workspace: Option<&str>,
        state: Option<OperationState>,
        limit: u32,
    ) -> Result<OperationList, Problem> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(workspace.map(|workspace| ("workspace", workspace.to_owned())));
        query.extend(state.map(|state| ("state", state.as_str().to_owned())));
        let request = self.request(Method::GET, "/v1/operations").query(&query);
        self.json(request.timeout(ANSWER_TIMEOUT)).await
    }

    pub async fn strays(&self) -> Result<StrayList, Problem> {
        self.get("/v1/strays").await
    }

    pub async fn cancel(&self, id: &OperationId) -> Result<Operation, Problem> {
        let request = self.request(Method::POST, &format!("/v1/operations/{id}/cancel"));
        self.json(request.timeout(ANSWER_TIMEOUT)).await
    }

    pub async fn operation(&self, id: &OperationId) -> Result<Operation, Problem> {
        self.get(&format!("/v1/operations/{id}")).await
    }

    /// The event stream of an operation, after the event that was seen last.
    pub async fn events(&self, id: &OperationId, after: u64) -> Result<Response, Problem> {
        let mut request = self.request(Method::GET, &format!("/v1/operations/{id}/events"));
        if after > 0 {
            request = request.header("last-event-id", after);
        }
        self.send(request.header("accept", "text/event-stream"), &self.target.server).await
    }

    pub async fn login_link(&self, slug: &Slug) -> Result<LoginLink, Problem> {
        let gateway = self.gateway()?;
        let request = self.http.post(join(gateway, "/api/auth/links"));
        let request = request.json(&serde_json::json!({ "slug": slug })).timeout(ANSWER_TIMEOUT);
        let response = self.send(self.authorized(request), gateway).await?;
        self.read(response, gateway).await
    }

    fn gateway(&self) -> Result<&Url, Problem> {
        self.target.gateway.as_ref().ok_or_else(|| {
            Problem::new(ErrorCode::BadRequest, format!("The gateway of {} is not known.", self.server()))
                .with_action(
                    "Name it with --gateway or PILOT_GATEWAY, or for good: `pilot login URL --gateway URL`.",
                )
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.json(self.request(Method::GET, path).timeout(ANSWER_TIMEOUT)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Problem> {
        let response = self.send(request, &self.target.server).await?;
        self.read(response, &self.target.server).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorized(self.http.request(method, join(&self.target.server, path)))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, to: &Url) -> Result<Response, Problem> {
        let request = request.header(headers::REQUEST_ID, headers::new_request_id());
        let response = request.send().await.map_err(|error| unreachable(to, &self.target, &error))?;
        self.accepted(response, to).await
    }

    /// An answer that is no refusal.
    async fn accepted(&self, response: Response, to: &Url) -> Result<Response, Problem> {
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        match response.json::<Problem>().await {
            Ok(problem) => Err(refused_token(problem, &self.target)),
            Err(_) => {
                Err(not_pilot(to, &self.target, &format!("it answered {status} without a problem document")))
            }
        }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response, from: &Url) -> Result<T, Problem> {
        response.json().await.map_err(|error| match error.is_decode() {
            true => not_pilot(
                from,
                &self.target,
                &format!("its answer is not what this version expects ({})", innermost(&error)),
            ),
            false => unreachable(from, &self.target, &error),
        })
    }
}

fn join(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}
