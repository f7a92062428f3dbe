//! Another Docker engine, as far as a client can tell: this machine's behind a proxy, which says that it is somebody else, and
//! has nothing of what it is to hide.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

const ENGINE: &str = "/var/run/docker.sock";

pub struct OtherEngine {
    is: Arc<Mutex<Is>>,
    folder: tempfile::TempDir,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Is {
    id: String,
    /// Whatever has this in its name or labels is not there, and cannot be made.
    hidden: Option<String>,
    /// What was asked to be made all the same.
    made: Vec<String>,
}

impl OtherEngine {
    pub fn start(id: &str, hidden: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let is = Is { id: id.to_owned(), hidden: hidden.map(str::to_owned), made: Vec::new() };
        let is = Arc::new(Mutex::new(is));
        let client = reqwest::Client::builder().unix_socket(ENGINE).build().unwrap();
        let app = Router::new().fallback(pass).with_state((Arc::clone(&is), client));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { is, folder, server }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// From here on it is another one again.
    pub fn becomes(&self, id: &str, hidden: Option<&str>) {
        let mut is = self.is.lock().unwrap();
        is.id = id.to_owned();
        is.hidden = hidden.map(str::to_owned);
    }

    pub fn made(&self) -> Vec<String> {
        self.is.lock().unwrap().made.clone()
    }
}

impl Drop for OtherEngine {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State((is, client)): State<(Arc<Mutex<Is>>, reqwest::Client)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let line = head.uri.path_and_query().unwrap().to_string();
    let now = is.lock().unwrap().clone();
    let is_list =
        ["/containers/json", "/networks", "/volumes"].iter().any(|end| head.uri.path().ends_with(end));
    if let Some(hidden) = &now.hidden
        && !(is_list && head.method == Method::GET)
        && (line.contains(hidden) || String::from_utf8_lossy(&body).contains(hidden))
    {
        if head.uri.path().ends_with("/create") {
            is.lock().unwrap().made.push(line.clone());
        }
        return (StatusCode::NOT_FOUND, axum::Json(json!({"message": format!("no such object: {line}")})))
            .into_response();
    }
    let mut sent = client.request(head.method.clone(), format!("http://docker{line}")).body(body);
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != "host") {
        sent = sent.header(name, value);
    }
    let answer = sent.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            response = response.header(name, value);
        }
    }
    let bytes = answer.bytes().await.unwrap();
    let bytes = match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut value) if head.uri.path().ends_with("/info") => {
            value["ID"] = json!(now.id);
            value.to_string().into()
        }
        Ok(mut value) if is_list => {
            without(&mut value, now.hidden.as_deref());
            value.to_string().into()
        }
        _ => bytes,
    };
    response.body(Body::from(bytes)).unwrap()
}

/// Lists are arrays, and that of volumes is one within.
fn without(value: &mut Value, hidden: Option<&str>) {
    let list = if value.is_array() { value } else { &mut value["Volumes"] };
    if let (Some(list), Some(hidden)) = (list.as_array_mut(), hidden) {
        list.retain(|one| !one.to_string().contains(hidden));
    }
}
