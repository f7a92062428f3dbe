//! The engine's events, typed. Kinds and fields that this version does not know are kept, not refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One event. `sequence` and `timestamp` (Unix seconds) are the engine's.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineEvent {
    pub sequence: i64,
    pub timestamp: i64,
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The last event of an operation, however it ended.
    Cancel,
    Stdout(Stdout),
    Diagnostic(DiagnosticEvent),
    Prelude,
    Summary(SummaryEvent),
    /// A step is about to begin; in a preview it is only planned.
    ResourcePre(StepMetadata),
    /// A step has ended well.
    ResourceOutputs(StepMetadata),
    ResourceFailed(StepFailure),
    /// The engine itself failed.
    Error(String),
    /// Any other kind, by its name, with its content as it came.
    Other {
        name: String,
        content: Value,
    },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stdout {
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticEvent {
    #[serde(default)]
    pub urn: String,
    #[serde(default)]
    pub message: String,
    /// `debug`, `info`, `info#err`, `warning` or `error`.
    #[serde(default)]
    pub severity: String,
    /// Progress text that is replaced by what follows.
    #[serde(default)]
    pub ephemeral: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryEvent {
    /// Steps by their operation: `create`, `same`, ...
    #[serde(default)]
    pub resource_changes: BTreeMap<String, u64>,
    #[serde(default)]
    pub duration_seconds: u64,
    #[serde(default)]
    pub is_preview: bool,
    /// `succeeded`, `failed` or `canceled`.
    #[serde(default)]
    pub result: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepMetadata {
    pub op: String,
    pub urn: String,
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Names of the input properties that differ.
    #[serde(default)]
    pub diffs: Option<Vec<String>>,
    /// The resource's state before and after, as the engine reports it: secrets are blinded.
    #[serde(default)]
    pub old: Option<Value>,
    #[serde(default)]
    pub new: Option<Value>,
}

impl StepMetadata {
    /// The logical name, the last part of the URN.
    pub fn name(&self) -> &str {
        self.urn.rsplit("::").next().unwrap_or(&self.urn)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepFailure {
    pub metadata: StepMetadata,
    /// 0: nothing happened. 1: partial failure. 2: not known.
    pub status: i64,
}

#[derive(Deserialize)]
struct WithMetadata {
    metadata: StepMetadata,
    #[serde(default)]
    status: i64,
}

impl EngineEvent {
    /// Never fails: what cannot be read becomes [`EventKind::Other`].
    pub fn parse(json: &str) -> Self {
        let mut fields: serde_json::Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
        let number = |value: Option<Value>| value.as_ref().and_then(Value::as_i64).unwrap_or_default();
        let sequence = number(fields.remove("sequence"));
        let timestamp = number(fields.remove("timestamp"));
        let kind = match fields.into_iter().next() {
            Some((name, content)) => EventKind::parse(name, content),
            None => EventKind::Other { name: String::new(), content: Value::String(json.to_owned()) },
        };
        Self { sequence, timestamp, kind }
    }
}

impl EventKind {
    fn parse(name: String, content: Value) -> Self {
        fn read<T: serde::de::DeserializeOwned>(content: &Value) -> Option<T> {
            T::deserialize(content).ok()
        }
        let known = match name.as_str() {
            "cancelEvent" => Some(EventKind::Cancel),
            "stdoutEvent" => read(&content).map(EventKind::Stdout),
            "diagnosticEvent" => read(&content).map(EventKind::Diagnostic),
            "preludeEvent" => Some(EventKind::Prelude),
            "summaryEvent" => read(&content).map(EventKind::Summary),
            "resourcePreEvent" => {
                read::<WithMetadata>(&content).map(|event| EventKind::ResourcePre(event.metadata))
            }
            "resOutputsEvent" => {
                read::<WithMetadata>(&content).map(|event| EventKind::ResourceOutputs(event.metadata))
            }
            "resOpFailedEvent" => read::<WithMetadata>(&content).map(|event| {
                EventKind::ResourceFailed(StepFailure { metadata: event.metadata, status: event.status })
            }),
            "errorEvent" => {
                content.get("error").and_then(Value::as_str).map(|text| EventKind::Error(text.to_owned()))
            }
            _ => None,
        };
        known.unwrap_or(EventKind::Other { name, content })
    }
}

/// Removes the colour directives (`<{%fg 1%}>`) that the engine writes into messages.
pub fn plain_text(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find("<{%") {
        plain.push_str(&rest[..start]);
        match rest[start..].find("%}>") {
            Some(end) => rest = &rest[start + end + 3..],
            None => {
                rest = &rest[start..];
                break;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_failed_step_keeps_its_resource_and_status() {
        let event = EngineEvent::parse(
            r#"{"sequence":7,"timestamp":1,"resOpFailedEvent":{"metadata":{"op":"create",
                "urn":"urn:pulumi:s::p::pilot:docker:Container::instance","type":"pilot:docker:Container",
                "diffs":null},"status":2,"steps":1}}"#,
        );
        let EventKind::ResourceFailed(failure) = event.kind else { panic!("{event:?}") };
        assert_eq!((event.sequence, failure.status, failure.metadata.name()), (7, 2, "instance"));
    }

    #[test]
    fn an_unknown_kind_is_kept_with_its_content() {
        let event = EngineEvent::parse(r#"{"sequence":1,"timestamp":2,"novelEvent":{"a":1}}"#);
        let expected =
            EventKind::Other { name: "novelEvent".to_owned(), content: serde_json::json!({"a":1}) };
        assert_eq!(event.kind, expected);
    }

    #[test]
    fn colour_directives_are_removed() {
        assert_eq!(plain_text("<{%fg 1%}>error: <{%reset%}>no"), "error: no");
        assert_eq!(plain_text("a <{% b"), "a <{% b");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fail(text in "\\PC{0,200}") {
            let _ = EngineEvent::parse(&text);
            let _ = plain_text(&text);
        }
    }
}
