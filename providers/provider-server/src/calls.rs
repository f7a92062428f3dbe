//! What modules are asked and how it ends, as operators see it: measured and traced here, and in no module.

use std::time::Instant;

use contracts::ProviderName;
use futures_util::{Stream, StreamExt as _, stream};
use provider_api::{Outcome, ProviderError};
use tracing::{Instrument as _, Span, field};

/// One call of a module.
#[derive(Debug, Clone)]
pub struct Call {
    /// Of which module.
    pub provider: String,
    /// The token of a resource type, or `lifecycle`.
    pub resource: &'static str,
    /// The method.
    pub method: &'static str,
}

impl Call {
    /// Of a module's lifecycle interface.
    pub fn lifecycle(provider: &ProviderName, method: &'static str) -> Self {
        Self { provider: provider.to_string(), resource: "lifecycle", method }
    }

    /// Of a resource with this token, `pilot:PROVIDER:Type`.
    pub(crate) fn resource(token: &'static str, method: &'static str) -> Self {
        let provider = token.split(':').nth(1).unwrap_or_default().to_owned();
        Self { provider, resource: token, method }
    }

    /// Measures `work`, and lets it be a part of the operation that it is done for.
    pub async fn traced<T>(
        self,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        // Of the level that no filter of the log leaves out: lines of errors are to have the fields, too.
        let span = tracing::error_span!(
            target: "pilot::trace",
            "provider",
            provider = self.provider,
            resource = self.resource,
            method = self.method,
            outcome = field::Empty,
            code = field::Empty,
        );
        let seen = span.clone();
        let work = async {
            let result = work.await;
            if let Err(error) = &result {
                seen.record("code", error.code.as_str());
            }
            result
        };
        self.watched(span, work.instrument(seen.clone())).await
    }

    /// Only measures it: questions are too many to be told one by one.
    pub async fn measured<T>(
        self,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        self.watched(Span::none(), work).await
    }

    /// The same for an answer in parts: it takes until the last of them, and ends as the last of those that were refused.
    pub fn measured_to_its_end<K, T>(
        self,
        parts: impl Stream<Item = (K, Result<T, ProviderError>)>,
    ) -> impl Stream<Item = (K, Result<T, ProviderError>)> {
        let mut watch = Watch { call: self, span: Span::none(), outcome: "abandoned", since: Instant::now() };
        let mut so_far = "ok";
        parts.map(Some).chain(stream::once(async { None })).filter_map(move |part| {
            match &part {
                Some((_, answer)) if answer.is_err() => so_far = outcome(answer),
                Some(_) => {}
                None => watch.ended(so_far),
            }
            std::future::ready(part)
        })
    }

    async fn watched<T>(
        self,
        span: Span,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let mut watch = Watch { call: self, span, outcome: "abandoned", since: Instant::now() };
        let result = work.await;
        watch.ended(outcome(&result));
        result
    }
}

fn outcome<T>(result: &Result<T, ProviderError>) -> &'static str {
    match result.as_ref().map_err(|error| &error.outcome) {
        Ok(_) => "ok",
        Err(Outcome::NothingHappened) => "refused",
        Err(Outcome::Partial { .. }) => "partial",
        Err(Outcome::Unknown) => "unknown",
    }
}

/// Tells of its call when it is dropped: a caller that waits no longer drops the call in its middle.
struct Watch {
    call: Call,
    span: Span,
    outcome: &'static str,
    since: Instant,
}

impl Watch {
    fn ended(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.span.record("outcome", self.outcome);
        metrics::histogram!(
            "pilot_provider_call_seconds",
            "provider" => std::mem::take(&mut self.call.provider),
            "resource" => self.call.resource,
            "call" => self.call.method,
            "outcome" => self.outcome,
        )
        .record(self.since.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[tokio::test]
    async fn every_call_is_counted_by_its_end_also_one_that_nobody_waits_for() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let call = || Call::resource("pilot:fake:Machine", "create");
        let fails = |outcome| async move {
            Err::<(), _>(ProviderError { outcome, ..ProviderError::new(ErrorCode::Internal, "no") })
        };
        call().traced(async { Ok(()) }).await.unwrap();
        call().traced(fails(Outcome::NothingHappened)).await.unwrap_err();
        call().traced(fails(Outcome::Unknown)).await.unwrap_err();
        let partial = Outcome::Partial { id: "m-1".to_owned(), outputs: Default::default() };
        call().measured(fails(partial)).await.unwrap_err();
        let never = call().traced::<()>(std::future::pending());
        tokio::time::timeout(std::time::Duration::from_millis(1), never).await.unwrap_err();
        let parts = stream::iter([("a", Ok(())), ("b", fails(Outcome::Unknown).await), ("c", Ok(()))]);
        let many = Call { method: "status_many", ..call() };
        assert_eq!(many.clone().measured_to_its_end(parts).collect::<Vec<_>>().await.len(), 3);
        drop(many.measured_to_its_end(stream::pending::<((), Result<(), _>)>()));
        let page = recorder.handle().render();
        for outcome in ["unknown", "abandoned"] {
            assert!(page.contains(&format!("call=\"status_many\",outcome=\"{outcome}\"}} 1\n")), "{page}");
        }
        for outcome in ["ok", "refused", "unknown", "partial", "abandoned"] {
            let line = format!(
                "pilot_provider_call_seconds_count{{provider=\"fake\",resource=\"pilot:fake:Machine\",call=\"create\",\
                 outcome=\"{outcome}\"}} 1\n"
            );
            assert!(page.contains(&line), "{outcome}: {page}");
        }
    }
}
