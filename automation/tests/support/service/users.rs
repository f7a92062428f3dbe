//! Who somebody is, and what the service can do.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::Shared;
use super::answer::{Answer, User, answer};
use super::data::{Journals, ORGANIZATION, USER};

pub async fn whoami(User(name): User) -> Answer {
    let organization = |name: &str| json!({"githubLogin": name, "name": name});
    let mut organizations = vec![organization(&name)];
    if name == USER {
        organizations.push(organization(ORGANIZATION));
    }
    answer(json!({
        "id": format!("id-of-{name}"), "githubLogin": name, "name": name, "email": "", "avatarUrl": "",
        "organizations": organizations, "identities": [], "tokenInfo": {"name": "for tests"},
    }))
}

pub async fn default_organization(User(name): User) -> Answer {
    let default = if name == USER { ORGANIZATION } else { &name };
    answer(json!({"GitHubLogin": default, "Messages": []}))
}

pub async fn capabilities(State(shared): State<Arc<Shared>>) -> Answer {
    let mut can = vec![
        json!({"capability": "batch-encrypt"}),
        json!({"capability": "deployment-schema-version", "version": 1, "configuration": {"version": 4}}),
    ];
    if shared.data().journals == Journals::Deltas {
        let configuration = json!({"checkpointCutoffSizeBytes": 1});
        let name = "delta-checkpoint-uploads-v2";
        can.push(json!({"capability": name, "version": 2, "configuration": configuration}));
    }
    answer(json!({"capabilities": can}))
}
