//! Looks that go on over what passes: a provider that restarts is no reason to give a boot up.

use std::time::Duration;

use contracts::Problem;
use provider_api::ProviderError;
use tokio::time::Instant;

use crate::engine::provider_problem;

/// Between two looks: short at first, since most of what passes is short.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];

/// What the provider says once it can, or its last error at the deadline. Only for calls that change nothing.
pub async fn steady<T, F>(deadline: Instant, mut look: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let mut pauses = PAUSES.into_iter();
    let mut last = None;
    loop {
        let error = match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(seen)) => return Ok(seen),
            Ok(Err(error)) => error,
            // What it has said before says more than that it said nothing since.
            Err(_) => last.unwrap_or_else(|| {
                let message = "the provider did not say in time what is there";
                ProviderError::new(contracts::ErrorCode::ProviderTimeout, message)
            }),
        };
        let pause = pauses.next().unwrap_or(PAUSES[PAUSES.len() - 1]);
        if !error.code.retryable() || Instant::now() + pause >= deadline {
            return Err(provider_problem(error));
        }
        tracing::debug!(%error, "looking again");
        last = Some(error);
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    async fn seen_after(failures: usize, code: ErrorCode, limit: Duration) -> Result<usize, Problem> {
        let mut asked = 0;
        steady(Instant::now() + limit, || {
            asked += 1;
            let now = asked;
            async move { if now > failures { Ok(now) } else { Err(ProviderError::new(code, "away")) } }
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_what_stays_is_told() {
        let minute = Duration::from_secs(60);
        assert_eq!(seen_after(5, ErrorCode::DockerUnavailable, minute).await, Ok(6));
        let last = seen_after(usize::MAX, ErrorCode::DockerUnavailable, minute).await.unwrap_err();
        assert_eq!(last.code, ErrorCode::DockerUnavailable);
        let refused = seen_after(1, ErrorCode::CredentialsRejected, minute).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::CredentialsRejected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_says_nothing_is_not_waited_for_without_end() {
        let never = || std::future::pending::<Result<(), ProviderError>>();
        let error = steady(Instant::now() + Duration::from_secs(5), never).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderTimeout);

        // But for what it has said before.
        let mut asked = 0;
        let once = || {
            asked += 1;
            let is_first = asked == 1;
            async move {
                if !is_first {
                    std::future::pending::<()>().await;
                }
                Err::<(), _>(ProviderError::new(ErrorCode::DockerUnavailable, "the way is closed"))
            }
        };
        let error = steady(Instant::now() + Duration::from_secs(5), once).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::DockerUnavailable);
    }
}
