//! What an engine run is at, for those who watch the operation: each step as it begins and ends, and one that takes long from
//! time to time in between.

use std::time::Duration;

use automation::{EngineEvent, EventKind};
use contracts::operation::{OperationEventBody, Severity};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// A step is said to go on after the first of these, and after each of the second since.
const SAID: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];

/// A step that has begun and not ended.
struct UnderWay {
    urn: String,
    words: String,
    since: Instant,
    due: Instant,
}

/// Until the run's events are over.
pub async fn tell(mut events: mpsc::Receiver<EngineEvent>, publish: impl Fn(OperationEventBody)) {
    let mut steps: Vec<UnderWay> = Vec::new();
    loop {
        let event = match steps.iter().map(|step| step.due).min() {
            Some(due) => timeout_at(due, events.recv()).await,
            None => Ok(events.recv().await),
        };
        let (step, done) = match event.map(|event| event.map(|event| event.kind)) {
            Ok(Some(EventKind::ResourcePre(step))) => (step, false),
            Ok(Some(EventKind::ResourceOutputs(step))) => (step, true),
            Ok(Some(EventKind::ResourceFailed(failed))) => {
                steps.retain(|step| step.urn != failed.metadata.urn);
                continue;
            }
            Ok(Some(_)) => continue,
            Ok(None) => return,
            Err(_) => {
                let now = Instant::now();
                for step in steps.iter_mut().filter(|step| step.due <= now) {
                    let text = format!("Still {}, for {} s.", step.words, (now - step.since).as_secs());
                    publish(OperationEventBody::Message { severity: Severity::Info, text });
                    step.due = now + SAID[1];
                }
                continue;
            }
        };
        // The stack and the default provider are Pulumi's own, not the user's.
        if step.op == "same" || step.resource_type.starts_with("pulumi:") {
            continue;
        }
        let (name, since) = (step.name().to_owned(), Instant::now());
        steps.retain(|other| other.urn != step.urn);
        if !done {
            let words = format!("{} {name} ({})", doing(&step.op), step.resource_type);
            steps.push(UnderWay { urn: step.urn, words, since, due: since + SAID[0] });
        }
        let (op, resource_type) = (step.op, step.resource_type);
        publish(OperationEventBody::Resource { op, name, resource_type, done });
    }
}

fn doing(op: &str) -> &'static str {
    match op {
        "create" | "create-replacement" => "making",
        "update" => "changing",
        "delete" | "delete-replaced" => "removing",
        "refresh" | "read" | "import" => "looking at",
        _ => "working on",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    /// Of the removal of a home.
    fn event(kind: &str) -> EngineEvent {
        let (op, token) = ("delete", "pilot:docker:Volume");
        let urn = format!("urn:pulumi:rt-1::pilot::{token}::home");
        EngineEvent::parse(&json!({kind: {"metadata": {"op": op, "urn": urn, "type": token}}}).to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_takes_long_is_said_to_go_on_until_it_ends() {
        let (sender, events) = mpsc::channel(8);
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let telling = tokio::spawn(tell(events, move |body| hears.lock().unwrap().push(body)));
        let said = || {
            let told = told.lock().unwrap();
            let text = |body: &OperationEventBody| match body {
                OperationEventBody::Message { text, .. } => Some(text.clone()),
                _ => None,
            };
            told.iter().filter_map(text).collect::<Vec<_>>()
        };
        let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));

        sender.send(event("resourcePreEvent")).await.unwrap();
        wait(9).await;
        assert_eq!(said(), Vec::<String>::new());
        wait(2).await;
        assert_eq!(said(), ["Still removing home (pilot:docker:Volume), for 10 s."]);
        wait(30).await;
        assert_eq!(said().last().unwrap(), "Still removing home (pilot:docker:Volume), for 40 s.");
        sender.send(event("resOutputsEvent")).await.unwrap();
        wait(60).await;
        assert_eq!(said().len(), 2, "it has ended");
        drop(sender);
        telling.await.unwrap();
        assert_eq!(told.lock().unwrap().len(), 4, "and its beginning and its end");
    }
}
