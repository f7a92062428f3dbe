//! Asking again, with a pause, until a deadline. The first try is at once, and there is one whatever the deadline; a deadline
//! that has come ends nothing that is under way.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// What `look` finds, asked until it finds something. `None` when the deadline came before; its errors end it at once.
pub async fn until<T, E, F: Future<Output = Result<Option<T>, E>>>(
    deadline: Instant,
    pause: Duration,
    mut look: impl FnMut() -> F,
) -> Result<Option<T>, E> {
    loop {
        match look().await? {
            Some(found) => return Ok(Some(found)),
            None if Instant::now() >= deadline => return Ok(None),
            None => sleep(pause).await,
        }
    }
}

/// Tries until it works or fails in a way that does not pass by itself. At the deadline the last failure stays.
pub async fn while_refused<T, E, F: Future<Output = Result<T, E>>>(
    deadline: Instant,
    pause: Duration,
    passes: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    loop {
        match attempt().await {
            Err(failure) if passes(&failure) && Instant::now() < deadline => sleep(pause).await,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn what_appears_before_the_deadline_is_found() {
        let (mut looks, began) = (0, Instant::now());
        let found = until(began + PAUSE * 10, PAUSE, || {
            looks += 1;
            ready(Ok::<_, ()>((looks == 4).then_some("it")))
        });
        assert_eq!(found.await, Ok(Some("it")));
        assert_eq!(began.elapsed(), PAUSE * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_looking_but_not_before_the_first_look() {
        for (left, looked) in [(Duration::ZERO, 1), (PAUSE * 2, 3)] {
            let mut looks = 0;
            let found = until(Instant::now() + left, PAUSE, || {
                looks += 1;
                ready(Ok::<Option<()>, ()>(None))
            });
            assert_eq!((found.await, looks), (Ok(None), looked));
        }
    }

    #[tokio::test]
    async fn a_look_that_fails_ends_it() {
        let found = until(Instant::now() + PAUSE, PAUSE, || ready(Err::<Option<()>, _>("broken")));
        assert_eq!(found.await, Err("broken"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_passes_is_tried_again_and_another_is_not() {
        let tried = async |failures: &[&'static str], left: Duration| {
            let mut failures = failures.iter();
            let passes = |failure: &&str| *failure == "in use";
            let answer = while_refused(Instant::now() + left, PAUSE, passes, || {
                ready(failures.next().map_or(Ok(()), |failure| Err(*failure)))
            });
            (answer.await, failures.len())
        };
        assert_eq!(tried(&["in use", "in use"], PAUSE * 5).await, (Ok(()), 0));
        assert_eq!(tried(&["in use", "forbidden", "in use"], PAUSE * 5).await, (Err("forbidden"), 1));
        assert_eq!(tried(&["in use"; 9], PAUSE).await, (Err("in use"), 7), "at the deadline");
    }
}
