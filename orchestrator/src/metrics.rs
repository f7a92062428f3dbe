//! What operators watch, in Prometheus' text format on the admin port.

use std::sync::OnceLock;
use std::time::Duration;

use contracts::operation::{OperationKind, OperationState};
use contracts::workspace::Observed;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::store::{Queue, WorkspaceRow};

/// Of a probe, a request, an apply and a slow boot. With buckets the memory has a bound whatever is measured.
const SECONDS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

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
        metrics::describe_counter!("pilot_operations_total", "Operations that ended, by kind and state.");
        metrics::describe_histogram!("pilot_operation_seconds", "How long operations took, by kind.");
        metrics::describe_gauge!("pilot_operations_queued", "Operations that wait for their turn.");
        metrics::describe_gauge!("pilot_operations_running", "Operations that run.");
        metrics::describe_gauge!(
            "pilot_queue_oldest_seconds",
            "How long the oldest has waited for its turn."
        );
        metrics::describe_gauge!("pilot_workspaces", "Workspaces by observed state.");
        metrics::describe_histogram!("pilot_http_seconds", "API requests by route, method and status.");
        metrics::describe_gauge!("pilot_provider_busy_seconds", "How long providers were at work, in sum.");
        handle
    };
    HANDLE.get_or_init(install).clone()
}

pub fn operation_ended(kind: OperationKind, state: OperationState, took: Duration) {
    let (kind, state) = (label(&kind), label(&state));
    metrics::counter!("pilot_operations_total", "kind" => kind.clone(), "state" => state).increment(1);
    metrics::histogram!("pilot_operation_seconds", "kind" => kind).record(took.as_secs_f64());
}

pub fn workspaces(rows: &[WorkspaceRow]) {
    for state in Observed::ALL {
        let count = rows.iter().filter(|row| row.observed == state).count();
        metrics::gauge!("pilot_workspaces", "state" => label(&state)).set(count as f64);
    }
}

pub fn queue(queue: &Queue) {
    metrics::gauge!("pilot_operations_queued").set(queue.queued as f64);
    metrics::gauge!("pilot_operations_running").set(queue.running as f64);
    metrics::gauge!("pilot_queue_oldest_seconds").set(queue.oldest.as_secs_f64());
}

pub fn http(route: &str, method: &str, status: u16, took: Duration) {
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
    metrics::histogram!("pilot_http_seconds", &labels).record(took.as_secs_f64());
}

pub fn provider_busy(so_far: Duration) {
    metrics::gauge!("pilot_provider_busy_seconds").set(so_far.as_secs_f64());
}

/// Enums by the name that the API shows.
fn label<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
