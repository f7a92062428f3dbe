//! A collector of traces that keeps what it gets, or never answers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::task::JoinHandle;

/// A span with the name of the service that has sent it.
#[derive(Debug, Clone)]
pub struct Sent {
    pub service: String,
    pub span: Span,
}

impl Sent {
    pub fn attribute(&self, key: &str) -> Option<String> {
        use opentelemetry_proto::tonic::common::v1::any_value::Value;
        let found = self.span.attributes.iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.clone()),
            Value::IntValue(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

pub struct Collector {
    pub url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
    asked: Arc<Mutex<u32>>,
    task: JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::with(true).await
    }

    /// Takes every request and answers none.
    pub async fn that_hangs() -> Self {
        Self::with(false).await
    }

    async fn with(answers: bool) -> Self {
        let (sent, asked) = (Arc::<Mutex<Vec<Sent>>>::default(), Arc::<Mutex<u32>>::default());
        let (keep, count) = (Arc::clone(&sent), Arc::clone(&asked));
        let take = move |headers: HeaderMap, body: Bytes| async move {
            *count.lock().unwrap() += 1;
            if !answers {
                std::future::pending::<()>().await;
            }
            assert_eq!(headers["content-type"], "application/x-protobuf");
            keep.lock().unwrap().extend(spans(ExportTraceServiceRequest::decode(body).unwrap()));
            (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, sent, asked, task }
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// How often somebody has sent something.
    pub fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Sent> {
    let mut all = Vec::new();
    for of in request.resource_spans {
        let resource = Span { attributes: of.resource.unwrap().attributes, ..Span::default() };
        let resource = Sent { service: String::new(), span: resource };
        let service = resource.attribute("service.name").unwrap();
        let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| Sent { service: service.clone(), span }));
    }
    all
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}
