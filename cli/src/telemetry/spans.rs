//! Spans on their way to a collector: a queue with a bound, sent by a thread of its own. What finds no place is dropped, and
//! what becomes of each is counted, so that no collector keeps an operation waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use contracts::{ErrorCode, Problem};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Context, Key, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter as Exporter,
    SpanProcessor,
};
use orchestrator::metrics;
use url::Url;

/// So many wait or are on their way at most; a create has about ten.
const MOST: usize = 2048;

/// Sends to this address; the other settings are OpenTelemetry's variables.
pub fn provider(collector: &Url) -> Result<SdkTracerProvider, Problem> {
    let exporter = SpanExporter::builder().with_http().with_endpoint(collector.as_str()).build();
    let exporter = exporter.map_err(|error| {
        Problem::new(ErrorCode::BadRequest, format!("Traces cannot be sent to {collector}: {error}."))
            .with_action("Correct the variables that begin with OTEL_, and start again.")
    })?;
    let waiting = Arc::<AtomicUsize>::default();
    let counted = Counted { exporter, waiting: Arc::clone(&waiting), fails: AtomicBool::new(false) };
    let config = BatchConfigBuilder::default().with_max_queue_size(MOST).build();
    let next = BatchSpanProcessor::builder(counted).with_batch_config(config).build();
    let bounded = Bounded { next, waiting };
    Ok(SdkTracerProvider::builder().with_span_processor(bounded).with_resource(resource()).build())
}

/// `pilot`, where the environment has no other name.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let name = given.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    match name.filter(|name| !name.starts_with("unknown_service")) {
        Some(_) => given,
        None => Resource::builder().with_service_name("pilot").build(),
    }
}

/// Takes spans for as long as there is room, so that the queue behind it is never full.
#[derive(Debug)]
struct Bounded<P> {
    next: P,
    waiting: Arc<AtomicUsize>,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return metrics::spans("dropped", 1);
        }
        self.next.on_end(described(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Counts what becomes of spans.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    /// The last did; it is said once.
    fails: AtomicBool,
}

impl<E: Exporter> Exporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.exporter.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        metrics::spans(if result.is_ok() { "sent" } else { "lost" }, count as u64);
        let failed_before = self.fails.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failed_before => tracing::warn!(%error, "spans do not reach their collector"),
            Ok(()) if failed_before => tracing::info!("spans reach their collector again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// With the name, kind and status that tools for traces know.
fn described(mut span: SpanData) -> SpanData {
    let get = |key: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.clone())
    };
    let text = |key: &str| get(key).map(|value| value.to_string()).unwrap_or_default();
    let code = get("code").map(|code| code.to_string()).filter(|code| code != "none");
    let (name, kind, error) = match span.name.as_ref() {
        "request" => {
            let own_fault = matches!(get("http.response.status_code"), Some(Value::I64(500..)));
            let name = format!("{} {}", text("http.request.method"), text("http.route"));
            (name.trim_end().to_owned(), SpanKind::Server, code.filter(|_| own_fault))
        }
        "operation" => (format!("operation {}", text("kind")), SpanKind::Consumer, code),
        "engine" => (format!("engine {}", text("run")), SpanKind::Internal, code),
        "provider" => {
            let what = match text("resource").as_str() {
                "lifecycle" => format!("{} {}", text("provider"), text("method")),
                token => format!("{token} {}", text("method")),
            };
            (what, SpanKind::Client, code)
        }
        _ => return span,
    };
    (span.name, span.span_kind) = (name.into(), kind);
    if let Some(code) = error {
        span.status = Status::error(code);
    }
    span
}

#[cfg(test)]
mod tests;
