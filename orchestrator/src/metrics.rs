//! What operators watch, in Prometheus' text format on the admin port.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::ProviderName;
use contracts::operation::{OperationKind, OperationState, Phase};
use contracts::workspace::Observed;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::store::{Queue, WorkspaceRow};

/// Of a probe, a request, an apply and a slow boot. With buckets the memory has a bound whatever is measured.
const SECONDS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

const METHODS: [&str; 6] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"];

enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All there are; `docs/metrics.md` has the same list with their labels.
const LIST: [(&str, Kind, &str); 13] = [
    ("pilot_http_seconds", Kind::Histogram, "API requests by route, method and status."),
    ("pilot_operations_total", Kind::Counter, "Operations that ended, by kind, state and last phase."),
    ("pilot_operation_seconds", Kind::Histogram, "How long operations took, by kind."),
    ("pilot_operation_phase_seconds", Kind::Histogram, "From phase to phase of operations, by kind."),
    ("pilot_operations_queued", Kind::Gauge, "Operations that wait for their turn, in all processes."),
    ("pilot_operations_running", Kind::Gauge, "Operations that run, in all processes."),
    ("pilot_queue_oldest_seconds", Kind::Gauge, "How long the oldest has waited for its turn."),
    ("pilot_workspaces", Kind::Gauge, "Workspaces by observed state."),
    ("pilot_strays", Kind::Gauge, "Objects outside that are of no workspace that is known, by provider."),
    ("pilot_lease_renewed_timestamp_seconds", Kind::Gauge, "When this process has last renewed a lease."),
    ("pilot_provider_call_seconds", Kind::Histogram, "Calls of providers by resource, call and outcome."),
    ("pilot_trace_spans_total", Kind::Counter, "Spans for the collector of traces, by outcome."),
    ("pilot_provider_busy_seconds", Kind::Gauge, "How long providers were at work, in sum."),
];

/// Samples wait until they are sorted into their buckets, whether anybody asks for them or not.
async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        handle.run_upkeep();
    }
}

/// Installs the recorder of this process, once; several orchestrators in one process share it.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS).unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        tokio::spawn(upkeep(handle.clone()));
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics stays empty");
        }
        for (name, kind, help) in LIST {
            match kind {
                Kind::Counter => metrics::describe_counter!(name, help),
                Kind::Gauge => metrics::describe_gauge!(name, help),
                Kind::Histogram => metrics::describe_histogram!(name, help),
            }
        }
        handle
    };
    HANDLE.get_or_init(install).clone()
}

/// `last` is the phase that it had reached.
pub fn operation_ended(kind: OperationKind, state: OperationState, last: Option<Phase>, took: Duration) {
    let (kind, last) = (label(&kind), last.as_ref().map(label).unwrap_or_default());
    let labels = [("kind", kind.clone()), ("state", label(&state)), ("phase", last)];
    metrics::counter!("pilot_operations_total", &labels).increment(1);
    metrics::histogram!("pilot_operation_seconds", "kind" => kind).record(took.as_secs_f64());
}

/// `phase` is over, or reached, after so long.
pub fn operation_phase(kind: OperationKind, phase: Phase, took: Duration) {
    let labels = [("kind", label(&kind)), ("phase", label(&phase))];
    metrics::histogram!("pilot_operation_phase_seconds", &labels).record(took.as_secs_f64());
}

/// The time and not the age: an age would stand still with whoever does not renew any more.
pub fn lease_renewed(lease: &str) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("pilot_lease_renewed_timestamp_seconds", "lease" => lease.to_owned())
        .set(since.as_secs_f64());
}

pub fn workspaces(rows: &[WorkspaceRow]) {
    for state in Observed::ALL {
        let count = rows.iter().filter(|row| row.observed == state).count();
        metrics::gauge!("pilot_workspaces", "state" => label(&state)).set(count as f64);
    }
}

pub fn strays(provider: &ProviderName, count: usize) {
    metrics::gauge!("pilot_strays", "provider" => provider.to_string()).set(count as f64);
}

pub fn queue(queue: &Queue) {
    metrics::gauge!("pilot_operations_queued").set(queue.queued as f64);
    metrics::gauge!("pilot_operations_running").set(queue.running as f64);
    metrics::gauge!("pilot_queue_oldest_seconds").set(queue.oldest.as_secs_f64());
}

pub fn http(route: &str, method: &str, status: u16, took: Duration) {
    // Clients may send any word; each would be kept for good.
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
    metrics::histogram!("pilot_http_seconds", &labels).record(took.as_secs_f64());
}

/// What became of spans: `sent`, `lost` on their way, or `dropped` for want of room.
pub fn spans(outcome: &'static str, count: u64) {
    metrics::counter!("pilot_trace_spans_total", "outcome" => outcome).increment(count);
}

pub fn provider_busy(so_far: Duration) {
    metrics::gauge!("pilot_provider_busy_seconds").set(so_far.as_secs_f64());
}

/// Enums by the name that the API shows.
pub(crate) fn label<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_metric() {
        let page = include_str!("../../docs/metrics.md");
        for (name, ..) in LIST {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
        assert_eq!(page.matches("\n| `pilot_").count(), LIST.len(), "and no other");
    }
}
