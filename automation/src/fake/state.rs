//! A stack in memory, and how it looks when it is exported.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json, json};

use crate::engine::OperationKind;
use crate::options::Options;
use crate::value::{BYTE_STRING, SECRET, SIGNATURE_KEY, Value, from_state, number_in_state};

#[derive(Clone, Default)]
pub(super) struct StackState {
    pub resources: Vec<Resource>,
    pub tags: BTreeMap<String, String>,
    /// The newest last; each as `stack history --json` has it.
    pub history: Vec<Json>,
    /// By full key; true for a secret.
    pub config: BTreeMap<String, (String, bool)>,
    /// An operation is running.
    pub busy: bool,
    /// The last number that became an id; none is used again.
    pub ids: u64,
}

impl StackState {
    /// Adds an operation to the history, as `stack history --json` has it.
    pub fn record(
        &mut self,
        kind: OperationKind,
        options: &Options,
        result: &str,
        changes: &BTreeMap<String, u64>,
    ) {
        // Nobody should depend on the clock of a fake.
        let now = "2000-01-01T00:00:00.000Z";
        self.history.push(json!({
            "kind": if kind == OperationKind::Up { "update" } else { kind.command() },
            "version": self.history.len() + 1,
            "message": options.message.clone().unwrap_or_default(),
            "startTime": now, "endTime": now,
            "environment": {}, "config": {},
            "result": result, "resourceChanges": changes,
        }));
    }

    /// The stack's name is part of every URN, and of the name of the stack's own resource.
    pub fn rename(&mut self, project: &str, from: &str, to: &str) {
        let (before, after) = (format!("urn:pulumi:{from}::"), format!("urn:pulumi:{to}::"));
        let (root, new_root) = (format!("::{project}-{from}"), format!("::{project}-{to}"));
        let rename = |urn: &mut String| {
            if let Some(rest) = urn.strip_prefix(&before) {
                let is_root = rest.ends_with(&root) && rest.contains(crate::wire::STACK_TYPE);
                let rest = if is_root { rest.replace(&root, &new_root) } else { rest.to_owned() };
                *urn = format!("{after}{rest}");
            }
        };
        for resource in &mut self.resources {
            rename(&mut resource.urn);
            rename(&mut resource.parent);
            resource.dependencies.iter_mut().for_each(rename);
        }
    }

    /// As `stack export` prints it.
    pub fn export(&self, show_secrets: bool) -> Json {
        let resources: Vec<Json> =
            self.resources.iter().map(|resource| resource.json(show_secrets)).collect();
        json!({"version": 3, "deployment": {"manifest": {"version": "fake"}, "resources": resources}})
    }

    /// From what [`StackState::export`] made.
    pub fn import(&mut self, deployment: &Json) -> Result<(), String> {
        let resources = deployment.pointer("/deployment/resources").cloned().unwrap_or_else(|| json!([]));
        let Json::Array(resources) = resources else { return Err("resources are not a list".to_owned()) };
        self.resources = resources.iter().map(Resource::from_json).collect();
        Ok(())
    }

    /// The outputs of the stack itself.
    pub fn outputs(&self) -> BTreeMap<String, Value> {
        let root = self.resources.iter().find(|resource| resource.kind == crate::wire::STACK_TYPE);
        root.map(|root| root.outputs.clone()).unwrap_or_default()
    }
}

#[derive(Clone, Default, PartialEq)]
pub(super) struct Resource {
    pub urn: String,
    pub kind: String,
    pub id: String,
    pub custom: bool,
    pub protect: bool,
    pub parent: String,
    pub inputs: BTreeMap<String, Value>,
    pub outputs: BTreeMap<String, Value>,
    pub dependencies: Vec<String>,
}

impl Resource {
    pub fn name(&self) -> &str {
        crate::event::name_in(&self.urn)
    }

    pub fn json(&self, show_secrets: bool) -> Json {
        let object = |properties: &BTreeMap<String, Value>| -> Json {
            properties.iter().map(|(key, value)| (key.clone(), to_json(value, show_secrets))).collect()
        };
        let mut map = Map::new();
        map.insert("urn".to_owned(), json!(self.urn));
        map.insert("custom".to_owned(), json!(self.custom));
        map.insert("type".to_owned(), json!(self.kind));
        map.insert("inputs".to_owned(), object(&self.inputs));
        map.insert("outputs".to_owned(), object(&self.outputs));
        for (key, value) in [("id", &self.id), ("parent", &self.parent)] {
            if !value.is_empty() {
                map.insert(key.to_owned(), json!(value));
            }
        }
        if self.protect {
            map.insert("protect".to_owned(), json!(true));
        }
        if !self.dependencies.is_empty() {
            map.insert("dependencies".to_owned(), json!(self.dependencies));
        }
        Json::Object(map)
    }

    fn from_json(json: &Json) -> Self {
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let object = |key: &str| -> BTreeMap<String, Value> {
            let map = json[key].as_object();
            map.into_iter().flatten().map(|(key, value)| (key.clone(), from_json(value))).collect()
        };
        let dependencies = json["dependencies"].as_array().into_iter().flatten();
        Self {
            urn: text("urn"),
            kind: text("type"),
            id: text("id"),
            custom: json["custom"].as_bool().unwrap_or_default(),
            protect: json["protect"].as_bool().unwrap_or_default(),
            parent: text("parent"),
            inputs: object("inputs"),
            outputs: object("outputs"),
            dependencies: dependencies.filter_map(|urn| urn.as_str().map(str::to_owned)).collect(),
        }
    }
}

/// As a state file has it: a secret is an object with its text encoded, here only reversed, or plain.
fn to_json(value: &Value, show_secrets: bool) -> Json {
    match value {
        Value::Secret(inner) => {
            let text = to_json(inner, true).to_string();
            let (key, text) = match show_secrets {
                true => ("plaintext", text),
                false => ("ciphertext", text.chars().rev().collect()),
            };
            json!({SIGNATURE_KEY: SECRET, key: text})
        }
        // Also the zero below nothing, which is no whole number.
        Value::Number(number) if !number.is_finite() || (*number == 0.0 && number.is_sign_negative()) => {
            number_in_state(*number)
        }
        Value::Bytes(bytes) => json!({SIGNATURE_KEY: BYTE_STRING, "value": BASE64.encode(bytes)}),
        Value::List(items) => items.iter().map(|item| to_json(item, show_secrets)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), to_json(value, show_secrets))).collect()
        }
        plain => plain.reveal(),
    }
}

fn from_json(json: &Json) -> Value {
    match json {
        Json::Object(map) if map.get(SIGNATURE_KEY).and_then(Json::as_str) == Some(SECRET) => {
            let plain = map.get("plaintext").and_then(Json::as_str).map(str::to_owned);
            let hidden =
                || map.get("ciphertext").and_then(Json::as_str).map(|text| text.chars().rev().collect());
            let text = plain.or_else(hidden).unwrap_or_default();
            Value::secret(from_json(&crate::json::read(&text).unwrap_or_default()))
        }
        Json::Object(map) if map.contains_key(SIGNATURE_KEY) => from_state(json).unwrap_or(Value::Null),
        Json::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), from_json(value))).collect())
        }
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        plain => Value::from(plain.clone()),
    }
}

/// As events show it: secrets are blinded.
pub(super) fn blinded(properties: &BTreeMap<String, Value>) -> Json {
    fn blind(value: &Value) -> Json {
        match value {
            Value::Secret(_) => json!("[secret]"),
            Value::List(items) => items.iter().map(blind).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), blind(value))).collect(),
            plain => to_json(plain, false),
        }
    }
    properties.iter().map(|(key, value)| (key.clone(), blind(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_export_with_and_without_secrets() {
        let mut state = StackState::default();
        let inputs = BTreeMap::from([
            ("token".to_owned(), Value::secret("canary")),
            ("list".to_owned(), Value::List(vec![Value::Bool(true), Value::secret(1.0)])),
            (
                "bytes".to_owned(),
                Value::List(vec![Value::bytes([0xff]), Value::secret(Value::bytes([0xfe]))]),
            ),
        ]);
        state.resources.push(Resource {
            urn: "urn:pulumi:s::p::t:m:T::n".to_owned(),
            kind: "t:m:T".to_owned(),
            id: "fake-1".to_owned(),
            custom: true,
            inputs: inputs.clone(),
            outputs: inputs,
            ..Resource::default()
        });
        for show in [true, false] {
            let exported = state.export(show);
            assert_eq!(exported.to_string().contains("canary"), show);
            let mut copy = StackState::default();
            copy.import(&exported).unwrap();
            assert!(copy.resources == state.resources);
        }
    }
}
