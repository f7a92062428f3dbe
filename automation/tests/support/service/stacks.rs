//! Stacks: their making and end, tags, states and secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::Shared;
use super::answer::{Answer, Body, Refusal, User, answer};
use super::cipher::Key;
use super::data::{Data, Id, Stack, Status, Update, Work, empty, id};

/// So short that lists have more than one.
const PAGE: usize = 3;

type Named = Path<(String, String, String)>;

/// The stack, if it is there and the user's.
fn find(data: &Data, user: &User, Path((organization, project, stack)): Named) -> Result<Id, Refusal> {
    let id = id(&organization, &project, &stack);
    if !Data::may(&user.0, &organization) {
        return Err(Refusal::not_found(&format!("Stack '{id}' not found")));
    }
    data.stack(&id).map(|_| id)
}

fn parts(id: &Id) -> (&str, &str, &str) {
    let mut parts = id.splitn(3, '/');
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

pub async fn list(
    State(shared): State<Arc<Shared>>,
    user: User,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let data = shared.data();
    let wanted = |field: &str, value: &str| query.get(field).is_none_or(|wanted| wanted == value);
    let tagged = |stack: &Stack| {
        let Some(name) = query.get("tagName") else { return true };
        let value = stack.tags[name].as_str();
        value.is_some_and(|value| query.get("tagValue").is_none_or(|wanted| wanted == value))
    };
    let after = query.get("continuationToken");
    let mut found: Vec<_> = data.stacks.iter().collect();
    found.retain(|(id, stack)| {
        let (organization, project, _) = parts(id);
        let is_mine = Data::may(&user.0, organization) && tagged(stack);
        let is_later = after.is_none_or(|after| *id > after);
        is_mine && is_later && wanted("organization", organization) && wanted("project", project)
    });
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().map(|(id, _)| (*id).clone()).filter(|_| more);
    let stacks: Vec<Json> = found.into_iter().map(|(id, _)| summary(&data, id)).collect();
    answer(json!({"stacks": stacks, "continuationToken": last}))
}

fn summary(data: &Data, id: &Id) -> Json {
    let (organization, project, stack) = parts(id);
    let mut summary = json!({"id": id, "orgName": organization, "projectName": project, "stackName": stack});
    let updates =
        data.updates.values().filter(|update| update.stack == *id && update.version > 0 && !update.dry);
    if let Some(last) = updates.max_by_key(|update| update.version) {
        let exported = data.exported(id).unwrap_or_default();
        let resources = exported["deployment"]["resources"].as_array().map_or(0, Vec::len);
        (summary["lastUpdate"], summary["resourceCount"]) = (last.started.into(), resources.into());
    }
    summary
}

pub async fn is_project(
    State(shared): State<Arc<Shared>>,
    _: User,
    Path((organization, project)): Path<(String, String)>,
) -> StatusCode {
    let prefix = id(&organization, &project, "");
    let known = shared.data().stacks.keys().any(|id| id.starts_with(&prefix));
    if known { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

pub async fn create(
    State(shared): State<Arc<Shared>>,
    User(user): User,
    Path((organization, project)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let (asked, mut data) = (body.json()?, shared.data());
    let name = asked["stackName"].as_str().ok_or_else(|| Refusal::bad("The stack has no name"))?;
    let id = id(&organization, &project, name);
    if !Data::may(&user, &organization) {
        return Err(Refusal::forbidden("You may not make stacks in this organization"));
    }
    if data.stacks.contains_key(&id) {
        return Err(Refusal::conflict(&format!("Stack '{id}' already exists")));
    }
    let state = Some(asked["state"].clone()).filter(Json::is_object).unwrap_or_else(empty);
    let made = Stack {
        tags: asked["tags"].clone(),
        key: Key::new(),
        version: 0,
        deployment: state,
        versions: BTreeMap::new(),
        active: None,
    };
    data.stacks.insert(id, made);
    answer(json!({}))
}

pub async fn get(State(shared): State<Arc<Shared>>, user: User, named: Named) -> Answer {
    let data = shared.data();
    let id = find(&data, &user, named)?;
    let (stack, (organization, project, name)) = (data.stack(&id)?, parts(&id));
    let mut told = json!({
        "id": id, "orgName": organization, "projectName": project, "stackName": name,
        "activeUpdate": stack.active.clone().unwrap_or_default(), "tags": stack.tags, "version": stack.version,
    });
    if let Some(update) = stack.active.as_ref().and_then(|update| data.updates.get(update)) {
        told["currentOperation"] = json!({"kind": update.kind, "author": user.0, "started": update.started});
    }
    answer(told)
}

pub async fn delete(
    State(shared): State<Arc<Shared>>,
    user: User,
    named: Named,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    let mut data = shared.data();
    let id = find(&data, &user, named)?;
    data.free(&id)?;
    let exported = data.exported(&id)?;
    let is_empty = exported["deployment"]["resources"].as_array().is_none_or(Vec::is_empty);
    if !is_empty && query.get("force").is_none_or(|force| force != "true") {
        // The CLI knows this by its words.
        return Err(Refusal::bad("Stack still contains resources."));
    }
    data.stacks.remove(&id);
    data.updates.retain(|_, update| update.stack != id);
    answer(json!({}))
}

pub async fn tags(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let (tags, mut data) = (body.json()?, shared.data());
    let id = find(&data, &user, named)?;
    data.stack_mut(&id)?.tags = tags;
    answer(json!({}))
}

pub async fn rename(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let (asked, mut data) = (body.json()?, shared.data());
    let before = find(&data, &user, named)?;
    data.free(&before)?;
    let (organization, project, name) = parts(&before);
    let new = |field: &str, old: &str| {
        asked[field].as_str().filter(|new| !new.is_empty()).unwrap_or(old).to_owned()
    };
    let (to_project, to_name) = (new("newProject", project), new("newName", name));
    let after = id(organization, &to_project, &to_name);
    if data.stacks.contains_key(&after) {
        return Err(Refusal::conflict(&format!("Stack '{after}' already exists")));
    }
    let mut stack = data.stacks.remove(&before).ok_or_else(|| Refusal::not_found("Stack"))?;
    let renamed = [
        (format!("urn:pulumi:{name}::{project}::"), format!("urn:pulumi:{to_name}::{to_project}::")),
        (
            format!("pulumi:pulumi:Stack::{project}-{name}"),
            format!("pulumi:pulumi:Stack::{to_project}-{to_name}"),
        ),
    ];
    replace(&mut stack.deployment, &renamed);
    let keeper = &mut stack.deployment["deployment"]["secrets_providers"];
    if keeper["type"] == "service" {
        (keeper["state"]["project"], keeper["state"]["stack"]) = (to_project.into(), to_name.into());
    }
    data.stacks.insert(after.clone(), stack);
    for update in data.updates.values_mut().filter(|update| update.stack == before) {
        update.stack.clone_from(&after);
    }
    answer(json!({}))
}

fn replace(value: &mut Json, words: &[(String, String)]) {
    match value {
        Json::String(text) => words.iter().for_each(|(old, new)| *text = text.replace(old, new)),
        Json::Array(items) => items.iter_mut().for_each(|item| replace(item, words)),
        Json::Object(fields) => fields.values_mut().for_each(|field| replace(field, words)),
        _ => {}
    }
}

pub async fn export(State(shared): State<Arc<Shared>>, user: User, named: Named) -> Answer {
    let data = shared.data();
    let id = find(&data, &user, named)?;
    answer(data.exported(&id)?)
}

pub async fn export_version(
    State(shared): State<Arc<Shared>>,
    user: User,
    Path((organization, project, stack, version)): Path<(String, String, String, u64)>,
) -> Answer {
    let data = shared.data();
    let id = find(&data, &user, Path((organization, project, stack)))?;
    let found = data.stack(&id)?.versions.get(&version).cloned();
    answer(found.ok_or_else(|| Refusal::not_found(&format!("Update {version}")))?)
}

pub async fn import(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let (state, mut data) = (body.json()?, shared.data());
    let id = find(&data, &user, named)?;
    data.free(&id)?;
    if !state["deployment"].is_object() {
        return Err(Refusal::bad("There is no deployment"));
    }
    let (update, now) = (data.unique("import"), data.now());
    let stack = data.stack_mut(&id)?;
    stack.version += 1;
    let version = stack.version;
    let made = Update {
        stack: id,
        kind: "import".to_owned(),
        dry: false,
        request: json!({}),
        status: Status::Running,
        started: now.as_secs(),
        ended: 0,
        version,
        token: String::new(),
        expires: now,
        work: Work::Whole(state),
        events: Vec::new(),
    };
    stack.active = Some(update.clone());
    data.updates.insert(update.clone(), made);
    data.end(&update, Status::Succeeded)?;
    answer(json!({"updateId": update}))
}

/// Texts of a request, each of which goes through the stack's key.
async fn each(
    shared: &Shared,
    (user, named, body): (User, Named, Body),
    field: &str,
    work: impl Fn(&Key, &[u8]) -> Result<Vec<u8>, Refusal>,
) -> Result<Vec<(String, String)>, Refusal> {
    let (asked, data) = (body.json()?, shared.data());
    let id = find(&data, &user, named)?;
    let key = &data.stack(&id)?.key;
    let texts = match &asked[field] {
        Json::Array(texts) => texts.iter().map(|text| text.as_str().unwrap_or_default()).collect(),
        text => vec![text.as_str().unwrap_or_default()],
    };
    let one = |text: &str| {
        let bytes = STANDARD.decode(text).map_err(|error| Refusal::bad(&error.to_string()))?;
        Ok((text.to_owned(), STANDARD.encode(work(key, &bytes)?)))
    };
    texts.into_iter().map(one).collect()
}

fn first(texts: Vec<(String, String)>) -> String {
    texts.into_iter().next().map(|(_, text)| text).unwrap_or_default()
}

pub async fn encrypt(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let made = each(&shared, (user, named, body), "plaintext", |key, text| Ok(key.encrypt(text))).await?;
    answer(json!({"ciphertext": first(made)}))
}

pub async fn decrypt(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let made = each(&shared, (user, named, body), "ciphertext", Key::decrypt).await?;
    answer(json!({"plaintext": first(made)}))
}

pub async fn encrypt_all(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let made = each(&shared, (user, named, body), "plaintexts", |key, text| Ok(key.encrypt(text))).await?;
    let texts: Vec<String> = made.into_iter().map(|(_, text)| text).collect();
    answer(json!({"ciphertexts": texts}))
}

pub async fn decrypt_all(State(shared): State<Arc<Shared>>, user: User, named: Named, body: Body) -> Answer {
    let made = each(&shared, (user, named, body), "ciphertexts", Key::decrypt).await?;
    answer(json!({"plaintexts": BTreeMap::from_iter(made)}))
}

/// Who reads secrets is written down, and that is all.
pub async fn noted(State(shared): State<Arc<Shared>>, user: User, named: Named) -> Answer {
    find(&shared.data(), &user, named)?;
    answer(json!({}))
}
