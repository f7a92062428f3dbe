//! Which trace something is a part of, from one process to the next: W3C's `traceparent`, from the caller of the API and with
//! the row of an operation, which another process may take.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header, and the column.
pub const TRACEPARENT: &str = "traceparent";

/// Of the current span; `None` where traces are not collected.
pub fn current() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes a new span a part of a trace. What is no `traceparent` is as none: the span begins a trace.
pub fn follow(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    if parent.span().span_context().is_valid() {
        // Refused only where traces are not collected.
        let _ = span.set_parent(parent);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn traced<T>(of: impl FnOnce() -> T) -> T {
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let collected =
            tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        tracing::subscriber::with_default(collected, of)
    }

    /// What a span says after it was told this.
    fn after(traceparent: Option<&str>) -> String {
        traced(|| {
            let span = tracing::info_span!("request");
            follow(&span, traceparent);
            span.in_scope(current).unwrap()
        })
    }

    #[test]
    fn a_span_goes_on_with_the_trace_of_its_caller_and_with_its_word_on_sampling() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let said = after(Some(&format!("00-{trace}-b7ad6b7169203331-01")));
        assert!(said.starts_with(&format!("00-{trace}-")) && said.ends_with("-01"), "{said}");
        assert!(!said.contains("b7ad6b7169203331"), "a span of its own: {said}");
        assert!(after(Some(&format!("00-{trace}-b7ad6b7169203331-00"))).ends_with("-00"));
    }

    #[test]
    fn what_is_no_traceparent_is_as_none() {
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for bad in ["", "x", zeros, "00-0af7651916cd43dd8448eb211c80319c-b7ad-01", "ff-1-2-3", "\u{fc}"] {
            let said = after(Some(bad));
            assert!(said.len() == 55 && !said.contains("00000000000000000"), "{bad:?}: {said}");
        }
    }

    #[test]
    fn nothing_is_said_where_traces_are_not_collected() {
        let span = tracing::info_span!("request");
        follow(&span, Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!(span.in_scope(current), None);
    }
}
