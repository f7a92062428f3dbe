//! What clients were told. It is what Pilot has to keep.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::api::{Answer, Asked};
use crate::invariants::Violation;

#[derive(Default)]
pub struct Ledger(Mutex<Kept>);

#[derive(Default)]
pub struct Kept {
    /// By the operation's id.
    pub accepted: BTreeMap<String, Accepted>,
    /// Which operation a key stands for.
    keys: HashMap<String, String>,
    /// Runtimes whose volume was there: only a delete may take it.
    pub homes: BTreeSet<String>,
    /// Of them, those with a file of ours in them.
    pub marked: BTreeSet<String>,
    /// How often each answer was given.
    pub answers: BTreeMap<String, u64>,
    /// What was wrong with an answer itself.
    pub violations: Vec<Violation>,
}

#[derive(Debug, Clone)]
pub struct Accepted {
    pub what: String,
    /// Its last word, once there is one.
    pub ended: Option<String>,
    pub runtime: String,
}

impl Ledger {
    /// Keeps an answer. The id of the operation that it accepts.
    pub fn note(&self, asked: &Asked, answer: &Answer) -> Option<String> {
        let mut kept = self.lock();
        let code = match answer.status {
            status @ 200..300 => status.to_string(),
            status => format!("{status} {}", answer.code()),
        };
        *kept.answers.entry(code).or_default() += 1;
        let what = format!("{} {}", asked.method, asked.path);
        if answer.status == 500 || answer.code() == "internal" {
            let detail = format!("{what} was answered {}", answer.body);
            kept.violations.push(Violation::new("answers_are_no_faults", detail));
        }
        // A teardown answers with the operation alone. So does a cancel, which accepts none.
        let operation: &Value = match (answer.status, &answer.body["operation"]) {
            (202, Value::Null) => &answer.body,
            (_, operation) => operation,
        };
        let id = operation["id"].as_str()?.to_owned();
        let runtime = operation["runtimeId"].as_str().unwrap_or_default().to_owned();
        if let Some(key) = &asked.key {
            let first = kept.keys.entry(key.clone()).or_insert_with(|| id.clone()).clone();
            if first != id {
                let detail = format!("the key {key} of {what} stood for {first}, and then for {id}");
                kept.violations.push(Violation::new("one_key_one_operation", detail));
            }
        }
        kept.accepted.entry(id.clone()).or_insert(Accepted { what, ended: None, runtime });
        Some(id)
    }

    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
