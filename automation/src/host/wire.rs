//! What goes over the socket: the messages of `protocol.json`, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::route;
use crate::engine::{Passphrase, Place};

/// The version of the protocol that is spoken here; a host of another one is refused.
pub(super) const PROTOCOL: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    pub protocol: u32,
    /// The version of Pulumi that is linked.
    pub engine: String,
    pub pid: u32,
    /// How many runs have not ended.
    pub running: u32,
}

/// The line on the host's standard output that says that it is ready.
#[derive(Debug, Deserialize)]
pub(super) struct Ready {
    pub listening: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    pub id: String,
    pub place: Where,
    /// Its words.
    pub command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// By the CLI's flags, without `stack`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    /// Where the LanguageRuntime server listens.
    pub address: String,
}

/// What of a [`Place`] travels with each request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Where {
    pub project: String,
    pub directory: String,
    pub backend: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Token>,
    pub passphrase: Kept,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_provider: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attached: BTreeMap<String, u16>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub adopts: BTreeSet<String>,
}

/// What opens a service; only the socket sees it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Where the passphrase is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "lowercase")]
pub(super) enum Kept {
    Empty,
    File { path: String },
    Absent,
}

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line<'a> {
    /// As Pulumi's own JSON has it.
    #[serde(borrow)]
    Event(&'a RawValue),
    Stdout(String),
    Stderr(String),
    Ended(Ended),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    pub code: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Fault {
    pub kind: FaultKind,
    pub message: String,
    /// Who holds the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// It may be dead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// What keeps the stacks has no space left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub storage_full: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultKind {
    Auth,
    Canceled,
    ConcurrentUpdate,
    EngineBug,
    #[default]
    Failed,
    Invalid,
    LockLost,
    NeedsCli,
    NoChangesExpected,
    Secrets,
    StackExists,
    StackNotFound,
    StateCorrupt,
    StateNewer,
    StateUnwritten,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    pub id: String,
    /// Does not wait for the steps that have begun.
    pub force: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancelled {
    pub known: bool,
}

impl Where {
    pub fn of(place: &Place) -> Self {
        let passphrase = match &place.passphrase {
            Passphrase::Empty => Kept::Empty,
            Passphrase::File(path) => Kept::File { path: path.display().to_string() },
            Passphrase::Absent => Kept::Absent,
        };
        Self {
            project: place.project.clone(),
            directory: place.directory.display().to_string(),
            backend: place.backend.url(),
            access_token: route::token(place).map(|token| Token(token.to_owned())),
            passphrase,
            secrets_provider: place.secrets_provider.clone(),
            attached: place.attached.clone(),
            adopts: place.adopts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn protocol() -> Value {
        serde_json::from_str(include_str!("../../protocol.json")).unwrap()
    }

    /// Each example is understood and says the same when it is said again.
    fn check<T: Serialize + for<'a> Deserialize<'a>>(message: &str) {
        for text in examples(message) {
            let read: T = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{message} {text}: {e}"));
            same(&text, &read);
        }
    }

    fn examples(message: &str) -> Vec<String> {
        let examples = protocol()["messages"][message]["examples"].as_array().cloned().unwrap();
        assert!(!examples.is_empty());
        examples.iter().map(Value::to_string).collect()
    }

    fn same(text: &str, read: &impl Serialize) {
        let again: Value = serde_json::from_str(&serde_json::to_string(read).unwrap()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn every_example_of_the_protocol_is_understood_and_said_again() {
        check::<Health>("health");
        check::<Run>("run");
        check::<Fault>("fault");
        check::<Cancel>("cancel");
        check::<Cancelled>("cancelled");
        for text in examples("line") {
            let line: Line<'_> = serde_json::from_str(&text).unwrap();
            same(&text, &line);
        }
        let known = ["health", "run", "line", "fault", "cancel", "cancelled"];
        let messages = protocol()["messages"].as_object().unwrap().clone();
        assert!(messages.keys().all(|message| known.contains(&message.as_str())), "{messages:?}");
    }

    #[test]
    fn version_and_kinds_are_those_of_the_protocol() {
        use FaultKind::*;
        assert_eq!(protocol()["version"], PROTOCOL);
        let ours = [
            Auth,
            Canceled,
            ConcurrentUpdate,
            EngineBug,
            Failed,
            Invalid,
            LockLost,
            NeedsCli,
            NoChangesExpected,
            Secrets,
            StackExists,
            StackNotFound,
            StateCorrupt,
            StateNewer,
            StateUnwritten,
        ];
        assert_eq!(json!(ours), protocol()["messages"]["fault"]["kinds"]);
    }

    #[test]
    fn a_field_too_many_or_a_second_one_in_a_line_is_refused() {
        assert!(serde_json::from_str::<Cancel>(r#"{"id":"1","force":true,"more":1}"#).is_err());
        assert!(serde_json::from_str::<Line<'_>>(r#"{"stdout":"a","stderr":"b"}"#).is_err());
    }
}
