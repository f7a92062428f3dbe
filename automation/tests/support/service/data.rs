//! What the service keeps.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::answer::Refusal;
use super::cipher::Key;
use super::replay;

/// The user of the tests, the token of that user, and the organization of stacks that name none.
pub const USER: &str = "ada";
pub const TOKEN: &str = "pul-canary-5d1e";
pub const ORGANIZATION: &str = "acme";

/// How a running update tells what it has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journals {
    /// One entry for each step.
    Entries,
    /// The whole state each time.
    Checkpoints,
    /// The difference of its text to the one before.
    Deltas,
}

/// `organization/project/stack`.
pub type Id = String;

pub fn id(organization: &str, project: &str, stack: &str) -> Id {
    format!("{organization}/{project}/{stack}")
}

pub struct Data {
    pub journals: Journals,
    /// Names by token.
    pub users: BTreeMap<String, String>,
    pub stacks: BTreeMap<Id, Stack>,
    pub updates: BTreeMap<String, Update>,
    /// How far the service's clock is ahead.
    pub offset: Duration,
    next: u64,
}

pub struct Stack {
    pub tags: Json,
    pub key: Key,
    pub version: u64,
    /// A deployment with its version, as it is exported.
    pub deployment: Json,
    /// Every deployment that there was, by version.
    pub versions: BTreeMap<u64, Json>,
    /// The update that holds the lease, if any.
    pub active: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    NotStarted,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::NotStarted => "not started",
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }
}

pub struct Update {
    pub stack: Id,
    pub kind: String,
    pub dry: bool,
    pub request: Json,
    pub status: Status,
    pub started: u64,
    pub ended: u64,
    pub version: u64,
    pub token: String,
    pub expires: Duration,
    pub work: Work,
    pub events: Vec<Json>,
}

/// What an update has told of its state.
#[derive(Debug)]
pub enum Work {
    Nothing,
    Entries(Vec<Json>),
    Whole(Json),
    /// Text, because deltas are about text; with the number of the last one.
    Text(String, u64),
}

impl Data {
    pub fn new(journals: Journals) -> Self {
        let (users, stacks) = (BTreeMap::from([(TOKEN.to_owned(), USER.to_owned())]), BTreeMap::new());
        Self { journals, users, stacks, updates: BTreeMap::new(), offset: Duration::ZERO, next: 0 }
    }

    pub fn add_user(&mut self, name: &str, token: &str) {
        self.users.insert(token.to_owned(), name.to_owned());
    }

    pub fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.offset
    }

    pub fn unique(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}-{}", self.next)
    }

    /// True when the user may use what belongs to the organization.
    pub fn may(user: &str, organization: &str) -> bool {
        user == organization || user == USER && organization == ORGANIZATION
    }

    pub fn stack(&self, id: &Id) -> Result<&Stack, Refusal> {
        self.stacks.get(id).ok_or_else(|| Refusal::not_found(&format!("Stack '{id}' not found")))
    }

    pub fn stack_mut(&mut self, id: &Id) -> Result<&mut Stack, Refusal> {
        self.stacks.get_mut(id).ok_or_else(|| Refusal::not_found(&format!("Stack '{id}' not found")))
    }

    /// Refuses while somebody holds the stack. A lease that is over is nobody's: its update has failed.
    pub fn free(&mut self, id: &Id) -> Result<(), Refusal> {
        let Some(active) = self.stack(id)?.active.clone() else { return Ok(()) };
        let now = self.now();
        if self.updates.get(&active).is_some_and(|update| update.expires > now) {
            return Err(Refusal::conflict("Another update is currently in progress."));
        }
        self.end(&active, Status::Failed)
    }

    /// The update is over: what it has told becomes the stack's state.
    pub fn end(&mut self, update: &str, status: Status) -> Result<(), Refusal> {
        let now = self.now().as_secs();
        let Some(ended) = self.updates.get_mut(update) else { return Err(Refusal::not_found("Update")) };
        (ended.status, ended.ended) = (status, now);
        if ended.dry {
            return Ok(());
        }
        let (id, version) = (ended.stack.clone(), ended.version);
        let made = self.exported(&id)?;
        let stack = self.stack_mut(&id)?;
        stack.deployment = made.clone();
        stack.versions.insert(version, made);
        stack.active = None;
        Ok(())
    }

    /// The stack's state as it is exported, with what a running update has told.
    pub fn exported(&self, id: &Id) -> Result<Json, Refusal> {
        let stack = self.stack(id)?;
        let work =
            stack.active.as_ref().and_then(|update| self.updates.get(update)).map(|update| &update.work);
        Ok(match work {
            None | Some(Work::Nothing) => stack.deployment.clone(),
            Some(Work::Whole(whole)) => whole.clone(),
            Some(Work::Text(text, _)) => serde_json::from_str(text).unwrap_or_default(),
            Some(Work::Entries(entries)) => {
                let version = stack.deployment["version"].clone();
                json!({"version": version, "deployment": replay::replay(&stack.deployment["deployment"], entries)})
            }
        })
    }

    /// All that is kept but keys and tokens, as text.
    pub fn everything(&self) -> String {
        let stacks = self
            .stacks
            .values()
            .map(|stack| format!("{} {} {:?}", stack.tags, stack.deployment, stack.versions));
        let updates = self
            .updates
            .values()
            .map(|update| format!("{} {:?} {:?}", update.request, update.work, update.events));
        stacks.chain(updates).collect()
    }
}

/// The state of a stack that was never updated.
pub fn empty() -> Json {
    let manifest = json!({"time": "0001-01-01T00:00:00Z", "magic": "", "version": ""});
    json!({"version": 3, "deployment": {"manifest": manifest, "metadata": {}}})
}
