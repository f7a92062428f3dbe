//! One request of a vendor's API.

use std::time::Duration;

use http::Method;
use serde_json::Value;

/// Whether a call may be sent again when nobody knows if the first one arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is as good as once: reads, deletes, whole updates, creates with an idempotency key.
    Safe,
    /// Twice may make two. After a lost answer the caller looks for what it made.
    Once,
}

#[derive(Debug, Clone, Default)]
pub enum Body {
    #[default]
    Empty,
    Json(Value),
    /// Parts of a form: name, file name, media type, content.
    Form(Vec<Part>),
}

#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    pub file: Option<String>,
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// Below the vendor's base address, with a leading `/`; its parts are already encoded.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    pub repeat: Repeat,
    /// What the vendor counts this call under: a class of its limits, and what it is counted for.
    pub action: (&'static str, String),
    /// For one attempt, its answer's body included.
    pub limit: Duration,
}

/// Long enough for a busy vendor, short enough that a person still waits.
const LIMIT: Duration = Duration::from_secs(30);

impl Call {
    /// A read: safe to repeat.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Repeat::Safe)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Repeat::Safe)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, Repeat::Safe)
    }

    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path, Repeat::Once)
    }

    /// Not repeated unless [`Call::repeatable`] says so.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Repeat::Once)
    }

    fn new(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
            repeat,
            action: ("", String::new()),
            limit: LIMIT,
        }
    }

    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    pub fn form(mut self, parts: Vec<Part>) -> Self {
        self.body = Body::Form(parts);
        self
    }

    pub fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    /// Counts it under this class of the vendor's limits, for this object.
    pub fn action(mut self, class: &'static str, object: impl Into<String>) -> Self {
        self.action = (class, object.into());
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}
