//! Waiting for a stack that somebody else changes.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How often is looked whether the other has ended.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs something until it no longer meets another change, or the deadline passes. `before` comes before each try.
pub(crate) async fn until_unlocked<T, B, F>(
    deadline: Instant,
    cancel: &CancellationToken,
    mut before: impl FnMut() -> B,
    mut run: impl FnMut() -> F,
) -> Result<T>
where
    B: Future<Output = Result<()>>,
    F: Future<Output = Result<T>>,
{
    loop {
        before().await?;
        match run().await {
            Err(Error::ConcurrentUpdate { .. }) if Instant::now() < deadline => {}
            result => return result,
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = cancel.cancelled() => return Err(Error::Canceled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn busy() -> Result<()> {
        Err(Error::ConcurrentUpdate { stack: "dev".to_owned(), owner: "another".to_owned(), unproven: false })
    }

    #[tokio::test]
    async fn a_stack_that_others_change_is_waited_for_until_the_deadline() {
        let (never, tries) = (CancellationToken::new(), Cell::new(0));
        let free = || async { Ok(()) };
        let run = |busy_tries: u32| {
            let tries = &tries;
            move || {
                tries.set(tries.get() + 1);
                let result = if tries.get() <= busy_tries { busy() } else { Ok(()) };
                async move { result }
            }
        };
        let late = Instant::now() + Duration::from_secs(60);
        until_unlocked(late, &never, free, run(3)).await.unwrap();
        assert_eq!(tries.get(), 4);
        let deadline = Instant::now() + PAUSE;
        let error = until_unlocked(deadline, &never, free, run(u32::MAX)).await.unwrap_err();
        assert!(matches!(error, Error::ConcurrentUpdate { .. }) && Instant::now() >= deadline, "{error:?}");
        never.cancel();
        let error = until_unlocked(late, &never, free, run(u32::MAX)).await.unwrap_err();
        assert!(matches!(error, Error::Canceled), "{error:?}");
        let error =
            until_unlocked(late, &never, || async { Err(Error::Canceled) }, run(0)).await.unwrap_err();
        assert!(matches!(error, Error::Canceled), "{error:?}");
    }
}
