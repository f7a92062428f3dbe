//! The mock's sessions: created, listed, prompted and forgotten in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::events::Events;
use super::{Answer, DIRECTORY, VERSION};

const ANSWER: &str = "This is a mock answer.";

#[derive(Default)]
pub(super) struct Sessions {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    sessions: Vec<Session>,
}

struct Session {
    id: String,
    info: Value,
    messages: Vec<Value>,
}

impl Sessions {
    /// `rest` is the path after `/session`.
    pub(super) fn answer(&self, method: &Method, rest: &[&str], body: &Value, events: &Events) -> Answer {
        let mut kept = self.lock();
        match (method, rest) {
            (&Method::GET, []) => {
                Answer::json(kept.sessions.iter().map(|session| session.info.clone()).collect())
            }
            (&Method::POST, []) => {
                let info = kept.create(body);
                events.publish("session.created", json!({"info": info}));
                Answer::json(info)
            }
            (&Method::GET, ["status"]) => Answer::json(json!({})),
            (method, [id, rest @ ..]) => match kept.sessions.iter().position(|session| session.id == *id) {
                Some(at) => kept.one(at, method, rest, body, events),
                None => missing(id),
            },
            _ => missing("of this method"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn create(&mut self, body: &Value) -> Value {
        let number = self.count();
        let id = format!("ses_mock{number:04}");
        let title = body["title"].as_str().unwrap_or("New session");
        let info = json!({
            "id": id, "slug": format!("mock-{number}"), "projectID": "mock", "directory": DIRECTORY,
            "title": title, "version": VERSION, "time": {"created": number, "updated": number}
        });
        self.sessions.push(Session { id, info: info.clone(), messages: Vec::new() });
        info
    }

    fn one(&mut self, at: usize, method: &Method, rest: &[&str], body: &Value, events: &Events) -> Answer {
        match (method, rest) {
            (&Method::GET, []) => Answer::json(self.sessions[at].info.clone()),
            (&Method::PATCH, []) => {
                if let Some(title) = body["title"].as_str() {
                    self.sessions[at].info["title"] = json!(title);
                }
                Answer::json(self.sessions[at].info.clone())
            }
            (&Method::DELETE, []) => {
                let gone = self.sessions.remove(at);
                events.publish("session.deleted", json!({"info": gone.info}));
                Answer::json(json!(true))
            }
            (&Method::GET, ["message"]) => Answer::json(self.sessions[at].messages.clone().into()),
            (&Method::POST, ["message"]) => Answer::json(self.prompt(at, body, events)),
            (&Method::POST, ["prompt_async"]) => {
                self.prompt(at, body, events);
                Answer::empty()
            }
            (&Method::POST, ["abort"]) => Answer::json(json!(true)),
            (&Method::GET, ["children" | "todo" | "diff"]) => Answer::json(json!([])),
            _ => missing(&rest.join("/")),
        }
    }

    /// Keeps the prompt and an answer to it, and tells the streams as OpenCode would.
    fn prompt(&mut self, at: usize, body: &Value, events: &Events) -> Value {
        let session = self.sessions[at].id.clone();
        let text = body["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
        let question = self.message(&session, "user", &text);
        let answer = self.message(&session, "assistant", ANSWER);
        events.publish("message.updated", json!({"info": question["info"]}));
        events.publish("session.status", json!({"sessionID": session, "status": {"type": "busy"}}));
        for word in ANSWER.split_inclusive(' ') {
            events.publish(
                "message.part.delta",
                json!({"sessionID": session, "messageID": answer["info"]["id"],
                    "partID": answer["parts"][0]["id"], "field": "text", "delta": word}),
            );
        }
        events.publish("message.part.updated", json!({"part": answer["parts"][0]}));
        events.publish("message.updated", json!({"info": answer["info"]}));
        events.publish("session.status", json!({"sessionID": session, "status": {"type": "idle"}}));
        events.publish("session.idle", json!({"sessionID": session}));
        self.sessions[at].messages.extend([question, answer.clone()]);
        answer
    }

    fn message(&mut self, session: &str, role: &str, text: &str) -> Value {
        let number = self.count();
        let (id, part) = (format!("msg_mock{number:04}"), format!("prt_mock{number:04}"));
        json!({
            "info": {"id": id, "sessionID": session, "role": role, "time": {"created": number, "completed": number},
                "providerID": "mock", "modelID": "mock-model", "finish": "stop"},
            "parts": [{"id": part, "messageID": id, "sessionID": session, "type": "text", "text": text}]
        })
    }

    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn missing(what: &str) -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "NotFoundError", &format!("Session not found: {what}"))
}
