use std::sync::Mutex;

use ::metrics::set_default_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkError;

use super::*;

/// A queue that nobody sends from.
#[derive(Debug, Default, Clone)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What there is to send after these spans.
fn kept(spans: impl IntoIterator<Item = SpanBuilder>, waiting: &Arc<AtomicUsize>) -> Vec<SpanData> {
    let kept = Kept::default();
    let bounded = Bounded { next: kept.clone(), waiting: Arc::clone(waiting) };
    let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
    let tracer = provider.tracer("test");
    spans.into_iter().for_each(|span| tracer.build(span).end());
    let spans = kept.0.lock().unwrap();
    spans.clone()
}

#[derive(Debug)]
struct Refuses;

impl Exporter for Refuses {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("no collector".to_owned()))
    }
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted_and_what_was_lost_makes_room() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = set_default_local_recorder(&recorder);
    let waiting = Arc::<AtomicUsize>::default();
    let many = (0..MOST + 7).map(|_| SpanBuilder::from_name("operation"));
    let queued = kept(many, &waiting);
    assert_eq!((queued.len(), waiting.load(Ordering::Relaxed)), (MOST, MOST));
    let counted = Counted { exporter: Refuses, waiting: Arc::clone(&waiting), fails: AtomicBool::new(false) };
    counted.export(queued).await.unwrap_err();
    assert_eq!(waiting.load(Ordering::Relaxed), 0);
    assert_eq!(kept([SpanBuilder::from_name("operation")], &waiting).len(), 1);
    let page = recorder.handle().render();
    assert!(page.contains("pilot_trace_spans_total{outcome=\"dropped\"} 7\n"), "{page}");
    assert!(page.contains(&format!("pilot_trace_spans_total{{outcome=\"lost\"}} {MOST}\n")), "{page}");
}

#[test]
fn spans_have_the_names_kinds_and_states_that_tools_for_traces_know() {
    let span = |name: &'static str, fields: &[(&'static str, &'static str)]| {
        let fields = fields.iter().map(|(key, value)| KeyValue::new(*key, *value));
        SpanBuilder::from_name(name).with_attributes(fields)
    };
    let request = |status: i64| {
        let fields = [("http.request.method", "GET"), ("http.route", "/v1/x"), ("code", "internal")];
        let fields = fields.into_iter().map(|(key, value)| KeyValue::new(key, value));
        SpanBuilder::from_name("request")
            .with_attributes(fields.chain([KeyValue::new("http.response.status_code", status)]))
    };
    let spans = kept(
        [
            request(503),
            request(404),
            span("operation", &[("kind", "create"), ("code", "none")]),
            span("operation", &[("kind", "create"), ("code", "provider_timeout")]),
            span("provider", &[("provider", "fake"), ("resource", "lifecycle"), ("method", "stop")]),
            span(
                "provider",
                &[("provider", "fake"), ("resource", "pilot:fake:Volume"), ("method", "create")],
            ),
        ],
        &Arc::default(),
    );
    let told: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), &span.span_kind)).collect();
    let expected = [
        ("GET /v1/x", &SpanKind::Server),
        ("GET /v1/x", &SpanKind::Server),
        ("operation create", &SpanKind::Consumer),
        ("operation create", &SpanKind::Consumer),
        ("fake stop", &SpanKind::Client),
        ("pilot:fake:Volume create", &SpanKind::Client),
    ];
    assert_eq!(told, expected);
    let failed: Vec<bool> = spans.iter().map(|span| span.status != Status::Unset).collect();
    assert_eq!(failed, [true, false, false, true, false, false]);
}
