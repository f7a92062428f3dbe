//! The engine's events, typed. Kinds and fields that this version does not know are kept, not refused.

use serde_json::Value;

mod kinds;

pub(crate) use kinds::name_in;
pub use kinds::*;

/// One event. `sequence` and `timestamp` (Unix seconds) are the engine's.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EngineEvent {
    /// Counts up within an operation.
    pub sequence: i64,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The last event of an operation, however it ended.
    Cancel,
    /// Something to print.
    Stdout(Message),
    /// A message of the engine, a provider or the program.
    Diagnostic(DiagnosticEvent),
    /// The operation begins.
    Prelude(Prelude),
    /// The sum of the operation.
    Summary(SummaryEvent),
    /// A step is about to begin; in a preview it is only planned.
    ResourcePre(StepMetadata),
    /// A step has ended well.
    ResourceOutputs(StepMetadata),
    /// A step has failed.
    ResourceFailed(StepFailure),
    /// A policy was violated.
    Policy(PolicyEvent),
    /// A policy changed a resource's inputs.
    PolicyRemediation(PolicyRemediation),
    /// The policy packs are loaded.
    PolicyLoad,
    /// What one pack said of one resource, or of the whole stack.
    PolicySummary(PolicySummary),
    /// The program waits for a debugger.
    StartDebugging(Value),
    /// A plugin is being fetched.
    Progress(Progress),
    /// The engine itself failed.
    Error(String),
    /// Any other kind, by its name, with its content as it came.
    Other {
        /// The name, such as `novelEvent`.
        name: String,
        /// What came under this name.
        content: Value,
    },
}

impl EngineEvent {
    /// Never fails: what cannot be read becomes [`EventKind::Other`].
    pub fn parse(json: &str) -> Self {
        let mut fields: serde_json::Map<String, Value> = crate::json::read(json).unwrap_or_default();
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
        let step = |content: &Value| read::<WithMetadata>(content).map(|event| event.metadata);
        let known = match name.as_str() {
            "cancelEvent" => Some(EventKind::Cancel),
            "stdoutEvent" => read(&content).map(EventKind::Stdout),
            "diagnosticEvent" => read(&content).map(EventKind::Diagnostic),
            "preludeEvent" => read(&content).map(EventKind::Prelude),
            "summaryEvent" => read(&content).map(EventKind::Summary),
            "resourcePreEvent" => step(&content).map(EventKind::ResourcePre),
            "resOutputsEvent" => step(&content).map(EventKind::ResourceOutputs),
            "resOpFailedEvent" => read(&content).map(EventKind::ResourceFailed),
            "policyEvent" => read(&content).map(EventKind::Policy),
            "policyRemediationEvent" => read(&content).map(EventKind::PolicyRemediation),
            "policyLoadEvent" => Some(EventKind::PolicyLoad),
            "policyAnalyzeSummaryEvent"
            | "policyRemediateSummaryEvent"
            | "policyAnalyzeStackSummaryEvent" => read(&content).map(EventKind::PolicySummary),
            "startDebuggingEvent" => content.get("config").cloned().map(EventKind::StartDebugging),
            "progressEvent" => read(&content).map(EventKind::Progress),
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

    fn kind(json: &str) -> EventKind {
        EngineEvent::parse(json).kind
    }

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
    fn a_step_says_which_properties_differ_and_how() {
        let json = r#"{"resourcePreEvent":{"metadata":{"op":"update","urn":"u::n","type":"t","provider":"p",
            "keys":["a"],"logical":true,"detailedDiff":{"a.b":{"diffKind":"update","inputDiff":true}},
            "old":{"id":"1"},"new":null},"planning":true}}"#;
        let EventKind::ResourcePre(step) = kind(json) else { panic!() };
        assert_eq!(step.keys.as_deref(), Some(&["a".to_owned()][..]));
        let diff = &step.detailed_diff.as_ref().unwrap()["a.b"];
        assert_eq!((diff.kind.as_str(), diff.input), ("update", true));
        assert!(step.logical && step.new.is_none());
        let plain = step.without_states();
        assert!(plain.old.is_none() && plain.detailed_diff.is_some());
    }

    #[test]
    fn a_detailed_diff_that_is_absent_differs_from_an_empty_one() {
        let step = |diff: &str| {
            let json = format!(
                r#"{{"resourcePreEvent":{{"metadata":{{"op":"same","urn":"u","type":"t","detailedDiff":{diff}}}}}}}"#
            );
            let EventKind::ResourcePre(step) = kind(&json) else { panic!() };
            step.detailed_diff
        };
        assert_eq!(step("null"), None);
        assert_eq!(step("{}"), Some(Default::default()));
    }

    #[test]
    fn policy_plugin_and_debugger_events_are_typed() {
        let policy = kind(
            r#"{"policyEvent":{"resourceUrn":"u","message":"no","color":"never","policyName":"n",
                "policyPackName":"p","policyPackVersion":"1","enforcementLevel":"mandatory"}}"#,
        );
        assert!(
            matches!(policy, EventKind::Policy(PolicyEvent { enforcement_level, .. }) if enforcement_level == "mandatory")
        );
        let stack = kind(
            r#"{"policyAnalyzeStackSummaryEvent":{"policyPackName":"p","policyPackVersion":"1",
                "passed":["a"],"failed":null}}"#,
        );
        let EventKind::PolicySummary(summary) = stack else { panic!("{stack:?}") };
        assert_eq!((summary.resource_urn, summary.passed), (None, vec!["a".to_owned()]));
        let fixed = kind(r#"{"policyRemediationEvent":{"resourceUrn":"u","before":{"a":1},"after":{}}}"#);
        assert!(matches!(fixed, EventKind::PolicyRemediation(event) if event.before["a"] == 1));
        assert!(matches!(kind(r#"{"policyLoadEvent":{}}"#), EventKind::PolicyLoad));
        let fetched = kind(
            r#"{"progressEvent":{"type":"plugin-download","id":"i","message":"m","received":1,"total":2,"done":false}}"#,
        );
        assert!(matches!(fetched, EventKind::Progress(Progress { received: 1, total: 2, .. })));
        assert!(matches!(
            kind(r#"{"startDebuggingEvent":{"config":{"pid":1}}}"#),
            EventKind::StartDebugging(_)
        ));
        assert_eq!(kind(r#"{"errorEvent":{"error":"e"}}"#), EventKind::Error("e".to_owned()));
        let begin = kind(r#"{"preludeEvent":{"config":{"p:a":"1","p:t":"[secret]"}}}"#);
        assert!(matches!(begin, EventKind::Prelude(prelude) if prelude.config["p:a"] == "1"));
    }

    #[test]
    fn an_unknown_kind_is_kept_with_its_content() {
        let event = EngineEvent::parse(r#"{"sequence":1,"timestamp":2,"novelEvent":{"a":1}}"#);
        let expected =
            EventKind::Other { name: "novelEvent".to_owned(), content: serde_json::json!({"a":1}) };
        assert_eq!(event.kind, expected);
    }

    #[test]
    fn a_known_kind_of_a_shape_that_is_not_known_is_kept_too() {
        assert!(
            matches!(kind(r#"{"summaryEvent":{"resourceChanges":7}}"#), EventKind::Other { name, .. } if name == "summaryEvent")
        );
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
