//! Updates: their start, the lease while they run, what they tell, and how they end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use serde_json::{Value as Json, json};

use super::Shared;
use super::answer::{Answer, Body, LeaseToken, Refusal, User, answer};
use super::data::{Data, Journals, Status, Update, Work, id};
use super::delta::{Delta, Verbatim};

/// How long the first lease of an update is, and the longest that it can be renewed for.
const LEASE: Duration = Duration::from_secs(300);

type OfStack = Path<(String, String, String)>;
type OfUpdate = Path<(String, String, String, String)>;

pub async fn create(
    State(shared): State<Arc<Shared>>,
    User(user): User,
    Path((organization, project, stack, kind)): OfUpdate,
    body: Body,
) -> Answer {
    let (request, mut data) = (body.json()?, shared.data());
    let id = id(&organization, &project, &stack);
    let known = ["update", "preview", "refresh", "destroy"].contains(&kind.as_str());
    if !known || !Data::may(&user, &organization) {
        return Err(Refusal::not_found("There is no such thing"));
    }
    data.stack(&id)?;
    let update = data.unique("update");
    let dry = kind == "preview" || request["options"]["dryRun"] == true;
    let made = Update {
        stack: id,
        kind,
        dry,
        request,
        status: Status::NotStarted,
        started: 0,
        ended: 0,
        version: 0,
        token: String::new(),
        expires: Duration::ZERO,
        work: Work::Nothing,
        events: Vec::new(),
    };
    data.updates.insert(update.clone(), made);
    answer(json!({"updateID": update, "requiredPolicies": [], "messages": []}))
}

pub async fn start(
    State(shared): State<Arc<Shared>>,
    User(user): User,
    Path((organization, project, stack, update)): OfUpdate,
    body: Body,
) -> Answer {
    let (asked, mut data) = (body.json()?, shared.data());
    let id = id(&organization, &project, &stack);
    let status =
        data.updates.get(&update).filter(|found| found.stack == id).map(|found| (found.status, found.dry));
    let (status, dry) =
        status.filter(|_| Data::may(&user, &organization)).ok_or_else(|| Refusal::not_found("Update"))?;
    if status != Status::NotStarted {
        return Err(Refusal::bad("The update has started already"));
    }
    if !dry {
        data.free(&id)?;
    }
    let takes_entries = data.journals == Journals::Entries && asked["journalVersion"].as_i64() >= Some(1);
    let (token, now) = (data.unique("lease"), data.now());
    let stack = data.stack_mut(&id)?;
    if asked["tags"].is_object() {
        stack.tags = asked["tags"].clone();
    }
    if !dry {
        stack.version += 1;
        stack.active = Some(update.clone());
    }
    let version = stack.version;
    let found = data.updates.get_mut(&update).ok_or_else(|| Refusal::not_found("Update"))?;
    (found.status, found.started, found.version) = (Status::Running, now.as_secs(), version);
    (found.token, found.expires) = (token.clone(), now + LEASE);
    let expires = found.expires.as_secs();
    let journal = i64::from(takes_entries);
    answer(json!({"version": version, "token": token, "tokenExpiration": expires, "journalVersion": journal}))
}

/// The update, for who holds its lease.
fn held<'a>(
    data: &'a mut Data,
    update: &str,
    LeaseToken(token): &LeaseToken,
) -> Result<&'a mut Update, Refusal> {
    let now = data.now();
    let found = data.updates.get_mut(update).ok_or_else(|| Refusal::not_found("Update"))?;
    match found.status == Status::Running && found.token == *token && found.expires > now {
        true => Ok(found),
        false => Err(Refusal::forbidden("The update is over, or its lease is")),
    }
}

pub async fn renew(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let (asked, mut data) = (body.json()?, shared.data());
    let (fresh, now) = (data.unique("lease"), data.now());
    let found = held(&mut data, &update, &token)?;
    let wanted = Duration::from_secs(asked["duration"].as_u64().unwrap_or_default());
    (found.token, found.expires) = (fresh.clone(), now + wanted.min(LEASE));
    answer(json!({"token": fresh, "tokenExpiration": found.expires.as_secs()}))
}

pub async fn entries(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let (mut asked, mut data) = (body.json()?, shared.data());
    let found = held(&mut data, &update, &token)?;
    let Json::Array(mut more) = asked["entries"].take() else {
        return Err(Refusal::bad("There are no entries"));
    };
    match &mut found.work {
        Work::Entries(entries) => entries.append(&mut more),
        Work::Nothing => found.work = Work::Entries(more),
        _ => return Err(Refusal::bad("The update writes checkpoints")),
    }
    answer(json!({}))
}

pub async fn checkpoint(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let (asked, mut data) = (body.json()?, shared.data());
    let found = held(&mut data, &update, &token)?;
    found.work = Work::Whole(json!({"version": asked["version"], "deployment": asked["deployment"]}));
    answer(json!({}))
}

pub async fn verbatim(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let asked: Verbatim<'_> =
        serde_json::from_slice(&body.0).map_err(|error| Refusal::bad(&error.to_string()))?;
    let mut data = shared.data();
    let found = held(&mut data, &update, &token)?;
    found.work = Work::Text(asked.untyped_deployment.get().to_owned(), asked.sequence_number);
    answer(json!({}))
}

pub async fn delta(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let asked: Delta = serde_json::from_slice(&body.0).map_err(|error| Refusal::bad(&error.to_string()))?;
    let mut data = shared.data();
    let found = held(&mut data, &update, &token)?;
    let Work::Text(before, last) = &found.work else { return Err(Refusal::bad("There is nothing before")) };
    // Sent again, because the answer to the first was lost.
    if asked.sequence_number > *last {
        found.work = Work::Text(asked.apply(before)?, asked.sequence_number);
    }
    answer(json!({}))
}

pub async fn events(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let (mut asked, mut data) = (body.json()?, shared.data());
    let found = held(&mut data, &update, &token)?;
    let Json::Array(mut more) = asked["events"].take() else {
        return Err(Refusal::bad("There are no events"));
    };
    let sequence = |event: &Json| event["sequence"].as_i64();
    if more.iter().any(|event| found.events.iter().any(|known| sequence(known) == sequence(event))) {
        return Err(Refusal::conflict("There is an event of that number"));
    }
    found.events.append(&mut more);
    answer(json!({}))
}

pub async fn complete(
    State(shared): State<Arc<Shared>>,
    token: LeaseToken,
    Path((.., update)): OfUpdate,
    body: Body,
) -> Answer {
    let (asked, mut data) = (body.json()?, shared.data());
    held(&mut data, &update, &token)?;
    let status = match asked["status"].as_str() {
        Some("succeeded") => Status::Succeeded,
        Some("failed") => Status::Failed,
        _ => return Err(Refusal::bad("There is no such status")),
    };
    data.end(&update, status)?;
    answer(json!({}))
}

/// Whoever holds the lease has lost it.
pub async fn cancel(
    State(shared): State<Arc<Shared>>,
    User(user): User,
    Path((organization, .., update)): OfUpdate,
) -> Answer {
    let mut data = shared.data();
    let running = data.updates.get(&update).is_some_and(|found| found.status == Status::Running);
    if !running || !Data::may(&user, &organization) {
        return Err(Refusal::conflict("The Update has already completed"));
    }
    data.end(&update, Status::Cancelled)?;
    answer(json!({}))
}

pub async fn results(State(shared): State<Arc<Shared>>, _: User, Path((.., update)): OfUpdate) -> Answer {
    let data = shared.data();
    let found = data.updates.get(&update).ok_or_else(|| Refusal::not_found("Update"))?;
    answer(json!({"status": found.status.as_str(), "events": []}))
}

pub async fn history(
    State(shared): State<Arc<Shared>>,
    User(user): User,
    named: OfStack,
    Query(query): Query<BTreeMap<String, usize>>,
) -> Answer {
    let data = shared.data();
    let mut all = past(&data, &user, named)?;
    if let Some(size) = query.get("pageSize").copied().filter(|size| *size > 0) {
        let skipped = (query.get("page").copied().unwrap_or(1).max(1) - 1) * size;
        all = all.into_iter().skip(skipped).take(size).collect();
    }
    answer(json!({"updates": all}))
}

pub async fn latest(State(shared): State<Arc<Shared>>, User(user): User, named: OfStack) -> Answer {
    let data = shared.data();
    let all = past(&data, &user, named)?;
    answer(json!({"info": all.first().ok_or_else(|| Refusal::not_found("Update"))?}))
}

/// What a stack's updates were, the newest first.
fn past(
    data: &Data,
    user: &str,
    Path((organization, project, stack)): OfStack,
) -> Result<Vec<Json>, Refusal> {
    let id = id(&organization, &project, &stack);
    if !Data::may(user, &organization) {
        return Err(Refusal::not_found("Stack"));
    }
    data.stack(&id)?;
    let mut updates: Vec<_> = data.updates.values().collect();
    updates.retain(|update| update.stack == id && !update.dry && update.version > 0);
    updates.sort_by_key(|update| std::cmp::Reverse(update.version));
    Ok(updates.into_iter().map(info).collect())
}

fn info(update: &Update) -> Json {
    let changes =
        update.events.iter().find_map(|event| event["summaryEvent"]["resourceChanges"].as_object().cloned());
    let result = match update.status {
        Status::Running | Status::NotStarted => "in-progress",
        Status::Succeeded => "succeeded",
        Status::Failed | Status::Cancelled => "failed",
    };
    let metadata = &update.request["metadata"];
    json!({
        "kind": update.kind, "startTime": update.started, "endTime": update.ended, "version": update.version,
        "message": metadata["message"].as_str().unwrap_or_default(), "environment": metadata["environment"],
        "config": update.request["config"], "result": result, "resourceChanges": changes,
    })
}
