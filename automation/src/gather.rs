//! What is kept of an operation's events: the steps, the stack's outputs and the sum. The events
//! themselves go to whoever listens; a large operation has more of them than anyone wants to keep.

use std::collections::BTreeMap;

use crate::engine::OperationResult;
use crate::event::{EngineEvent, EventKind, StepMetadata, SummaryEvent};
use crate::options::Options;
use crate::value::{Input, Value, from_state};
use crate::wire::STACK_TYPE;

/// What events show in place of a secret.
const BLINDED: &str = "[secret]";

/// What is known of the program after the CLI has ended.
#[derive(Default)]
pub(crate) struct Observed {
    /// Of the last run that reached its end.
    pub outputs: Option<BTreeMap<String, Input>>,
    /// The program's own failure, in its own words.
    pub error: Option<String>,
}

#[derive(Default)]
pub(crate) struct Gathered {
    summary: Option<SummaryEvent>,
    steps: Vec<StepMetadata>,
    outputs: Option<BTreeMap<String, Value>>,
}

impl Gathered {
    pub fn take(&mut self, event: EngineEvent, options: &Options) {
        match &event.kind {
            EventKind::Summary(summary) => self.summary = Some(summary.clone()),
            EventKind::ResourcePre(step) => self.steps.push(step.without_states()),
            EventKind::ResourceOutputs(step) if step.resource_type == STACK_TYPE => {
                if let Some(serde_json::Value::Object(outputs)) = step.new.as_ref().map(|new| &new["outputs"])
                {
                    self.outputs =
                        Some(outputs.iter().map(|(key, value)| (key.clone(), revealed(value))).collect());
                }
            }
            _ => {}
        }
        if let Some(listener) = &options.events {
            // A listener that went away or is behind does not matter to the operation.
            let _ = listener.try_send(event);
        }
    }

    pub fn finish(
        self,
        inline: Option<BTreeMap<String, Input>>,
        stdout: String,
        stderr: String,
    ) -> OperationResult {
        let inline =
            inline.map(|outputs| outputs.into_iter().map(|(name, input)| (name, input.value)).collect());
        OperationResult {
            summary: self.summary,
            steps: self.steps,
            outputs: inline.or(self.outputs),
            stdout,
            stderr,
        }
    }
}

/// An output as an event shows it. A secret, or anything with one inside, is secret as a whole.
fn revealed(value: &serde_json::Value) -> Value {
    if holds_secret(value) {
        return Value::Secret(Box::new(Value::Unknown));
    }
    // What is broken in it is shown as it is.
    from_state(value).unwrap_or_else(|_| Value::from(value.clone()))
}

fn holds_secret(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text == BLINDED,
        serde_json::Value::Array(items) => items.iter().any(holds_secret),
        serde_json::Value::Object(map) => map.values().any(holds_secret),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stacks_outputs_are_read_from_its_event_and_secrets_stay_hidden() {
        let mut gathered = Gathered::default();
        let event = EngineEvent::parse(
            r#"{"resOutputsEvent":{"metadata":{"op":"same","urn":"u","type":"pulumi:pulumi:Stack",
                "new":{"outputs":{"plain":1,"deep":{"token":"[secret]"},"key":{
                "4dabf18193072939515e22adb298388d":"803fd3297a5875dc03ca845dda5d2a98","value":"/wA="}}}}}}"#,
        );
        gathered.take(event, &Options::default());
        let outputs = gathered.finish(None, String::new(), String::new()).outputs.unwrap();
        assert_eq!(outputs["plain"], Value::Number(1.0));
        assert_eq!(outputs["key"], Value::Bytes(vec![0xff, 0]));
        assert_eq!(outputs["deep"], Value::Secret(Box::new(Value::Unknown)));
    }
}
