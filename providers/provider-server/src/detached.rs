//! Provider work that outlives the engine's call.
//!
//! When a CLI dies, the server drops the handler in the middle of its work. Work runs in a task of its
//! own, so that it always comes to an end, and one call at a time for each resource, so that the retry
//! after such a death finds the result of the first try.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::ProviderError;
use provider_kit::Locks;

/// How much longer than the engine's limit a call may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

fn too_slow(limit: Duration) -> ProviderError {
    let message = format!("it did not end within {} s, the limit of the program", limit.as_secs_f64());
    ProviderError::unknown(ErrorCode::ProviderTimeout, message)
        .with_action("It goes on: the next `pulumi up` finds what it made. Or set `customTimeouts` higher.")
}

#[derive(Default)]
pub struct Detached {
    locks: Locks<String>,
    busy: Arc<Mutex<Busy>>,
}

/// For how long at least one piece of work was under way.
#[derive(Default)]
struct Busy {
    under_way: u32,
    since: Option<Instant>,
    before: Duration,
}

/// One piece of work; it ends when this is dropped, however it ends.
struct Turn(Arc<Mutex<Busy>>);

impl Turn {
    fn begin(busy: &Arc<Mutex<Busy>>) -> Self {
        if let Ok(mut busy) = busy.lock() {
            busy.under_way += 1;
            busy.since.get_or_insert_with(Instant::now);
        }
        Self(Arc::clone(busy))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Ok(mut busy) = self.0.lock() else { return };
        busy.under_way -= 1;
        if busy.under_way == 0
            && let Some(since) = busy.since.take()
        {
            busy.before += since.elapsed();
        }
    }
}

impl Detached {
    /// Runs `work` to its end even when the caller goes away; calls for the same `urn` wait for each
    /// other. When the engine's `limit` has passed and a moment more, the call fails and the work goes on:
    /// modules know the limit of a create and may end in a better way.
    pub async fn run<T, F>(&self, urn: &str, limit: Option<Duration>, work: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ProviderError>> + Send + 'static,
    {
        let lock = self.locks.of(&urn.to_owned());
        let busy = Arc::clone(&self.busy);
        let task = tokio::spawn(async move {
            let _one_at_a_time = lock.lock().await;
            let _turn = Turn::begin(&busy);
            work.await
        });
        let ended = match limit {
            None => task.await,
            Some(limit) => match tokio::time::timeout(limit + GRACE, task).await {
                Ok(ended) => ended,
                Err(_) => return Err(too_slow(limit)),
            },
        };
        ended.unwrap_or_else(|error| {
            let message = format!("the provider's code failed: {error}");
            Err(ProviderError::unknown(ErrorCode::Internal, message))
        })
    }

    /// Waits for the work of a stack whose engine has gone: until then it may still make something.
    pub async fn settled(&self, stack: &str) {
        let of_stack = format!("urn:pulumi:{stack}::");
        self.locks.idle(|urn| urn.starts_with(&of_stack)).await;
    }

    /// Waits for all work that is under way now.
    pub async fn idle(&self) {
        self.locks.idle(|_| true).await;
    }

    /// How long work was under way so far, in sum; time in which several pieces were is counted once.
    pub fn busy(&self) -> Duration {
        let Ok(busy) = self.busy.lock() else { return Duration::ZERO };
        busy.before + busy.since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_its_caller_goes_away_and_the_retry_waits_for_it() {
        let detached = Arc::new(Detached::default());
        let (go, wait) = oneshot::channel::<()>();
        let first = {
            let detached = Arc::clone(&detached);
            let order = async move {
                let _ = wait.await;
                Ok::<_, ProviderError>("first")
            };
            tokio::spawn(async move { detached.run("urn", None, order).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        let retry = detached.run("urn", None, async { Ok("retry") });
        tokio::pin!(retry);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut retry).await.is_err());
        go.send(()).unwrap();
        assert_eq!(retry.await.unwrap(), "retry");
    }

    #[tokio::test]
    async fn what_a_gone_engine_left_under_way_is_waited_for() {
        let detached = Arc::new(Detached::default());
        let (go, wait) = oneshot::channel::<()>();
        let caller = {
            let detached = Arc::clone(&detached);
            let order = async move {
                let _ = wait.await;
                Ok::<_, ProviderError>(())
            };
            tokio::spawn(async move { detached.run("urn:pulumi:rt-1::pilot::t::n", None, order).await })
        };
        tokio::task::yield_now().await;
        caller.abort();
        tokio::task::yield_now().await;
        detached.settled("rt-2").await;
        let settled = detached.settled("rt-1");
        tokio::pin!(settled);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut settled).await.is_err());
        go.send(()).unwrap();
        settled.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_the_engines_limit_and_its_work_goes_on() {
        let detached = Detached::default();
        let (done, wait) = oneshot::channel::<()>();
        let slow = async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let _ = done.send(());
            Ok(())
        };
        let error = detached.run("urn", Some(Duration::from_secs(1)), slow).await.unwrap_err();
        assert_eq!((error.code, error.outcome), (ErrorCode::ProviderTimeout, provider_api::Outcome::Unknown));
        detached.idle().await;
        wait.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_a_provider_is_an_error_with_an_unknown_outcome() {
        let detached = Detached::default();
        let error = detached.run::<(), _>("urn", None, async { panic!("bug") }).await.unwrap_err();
        assert_eq!(error.outcome, provider_api::Outcome::Unknown);
    }

    #[tokio::test]
    async fn time_in_which_two_pieces_of_work_run_is_counted_once() {
        let detached = Detached::default();
        assert_eq!(detached.busy(), Duration::ZERO);
        let nap = || async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        };
        let began = Instant::now();
        let (a, b) = tokio::join!(detached.run("a", None, nap()), detached.run("b", None, nap()));
        a.and(b).unwrap();
        let busy = detached.busy();
        assert!(busy >= Duration::from_millis(100) && busy <= began.elapsed(), "{busy:?}");
        assert_eq!(detached.busy(), busy, "idle time does not count");
    }
}
