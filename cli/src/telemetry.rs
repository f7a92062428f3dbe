//! What a server tells of itself while it runs: its log and, where a collector is named, its traces.

mod json;
mod spans;

use std::io::IsTerminal as _;
use std::time::Duration;

use contracts::{ErrorCode, Problem};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};
use url::Url;

use crate::args::{LogFormat, Serve};

/// Of the spans that say whose a line of the log is, and that traces are made of.
const SPANS: &str = "pilot::trace";

/// How long the last spans may take to their collector.
const FLUSH: Duration = Duration::from_secs(5);

/// From the start of a server to its end.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Begins to tell. Fails when the environment names a collector that cannot be meant.
    pub fn start(serve: &Serve) -> Result<Self, Problem> {
        let traces = match collector(|name| std::env::var(name).ok())? {
            Some(url) => Some(spans::provider(&url)?),
            None => None,
        };
        let tracer = traces.as_ref().map(|provider| provider.tracer("pilot"));
        let traced = tracer.map(|tracer| {
            let layer = tracing_opentelemetry::layer().with_tracer(tracer);
            let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
            layer.with_target(false).with_filter(filter_fn(|of| of.is_span() && of.target() == SPANS))
        });
        let filter = EnvFilter::try_new(&serve.log).unwrap_or_else(|_| EnvFilter::new("info"));
        // Whatever is logged, the line says of which request and operation it is.
        let filter = match format!("{SPANS}=error").parse() {
            Ok(spans) => filter.add_directive(spans),
            Err(_) => filter,
        };
        // A line that cannot be written is lost; telling so on the same full disk would be a panic.
        let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
        let lines = match serve.log_format {
            LogFormat::Json => {
                lines.event_format(json::Lines).fmt_fields(JsonFields::new()).with_filter(filter).boxed()
            }
            LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        };
        // Only a second subscriber in one process is an error, and then the first one goes on.
        let _ = tracing_subscriber::registry().with(lines).with(traced).try_init();
        Ok(Self { traces })
    }

    /// Sends what is not sent yet, for as long as that may take.
    pub async fn end(self) {
        let Some(traces) = self.traces else { return };
        let ended = tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans did not reach their collector");
        }
    }
}

/// Where spans go, by the variables that OpenTelemetry has for it; an empty one is as none.
fn collector(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Url>, Problem> {
    let given = |name: &'static str| variable(name).filter(|text| !text.is_empty()).map(|text| (name, text));
    if given("OTEL_SDK_DISABLED").is_some_and(|(_, text)| text.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let whole = given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let path = if whole.is_some() { "" } else { "/v1/traces" };
    let Some((name, text)) = whole.or_else(|| given("OTEL_EXPORTER_OTLP_ENDPOINT")) else { return Ok(None) };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(mut url) = url else {
        let detail =
            format!("Traces cannot be sent: {name} is {text:?}, which is no http:// or https:// address.");
        return Err(Problem::new(ErrorCode::BadRequest, detail)
            .with_action("Name a collector such as http://127.0.0.1:4318, or none."));
    };
    if !path.is_empty() {
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    }
    let protocol =
        given("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| given("OTEL_EXPORTER_OTLP_PROTOCOL"));
    match protocol {
        Some((name, text)) if text != "http/protobuf" => {
            let detail =
                format!("Traces cannot be sent: {name} is {text:?}, and Pilot speaks http/protobuf.");
            Err(Problem::new(ErrorCode::BadRequest, detail)
                .with_action("Remove the variable, and name the collector's port for HTTP, often 4318."))
        }
        _ => Ok(Some(url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let url = collector(get).map_err(|problem| problem.detail)?;
        Ok(url.map(|url| url.to_string()))
    }

    #[test]
    fn a_collector_is_named_by_the_variables_of_opentelemetry() {
        const ANY: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let is = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[(ANY, "")]), Ok(None));
        assert_eq!(of(&[(ANY, "http://c:4318")]), is("http://c:4318/v1/traces"));
        assert_eq!(of(&[(ANY, "https://c/otlp/")]), is("https://c/otlp/v1/traces"));
        assert_eq!(of(&[(ANY, "http://c:4318"), (TRACES, "http://t/x")]), is("http://t/x"));
        assert_eq!(of(&[(ANY, "http://c:4318"), ("OTEL_SDK_DISABLED", "true")]), Ok(None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_name() {
        for bad in ["c:4318", "grpc://c:4317", "http://", "/v1/traces"] {
            let words = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", bad)]).unwrap_err();
            assert!(words.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && words.contains(bad), "{words}");
        }
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        let words = of(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(words.contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{words}");
        assert!(of(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).is_ok());
    }
}
