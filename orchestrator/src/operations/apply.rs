//! One stack made true outside, tried again where that is safe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::operation::Severity;
use contracts::{Code, ErrorCode, Problem};
use provider_api::Source;
use rand::RngExt as _;
use stacks::Stack;

use super::run::{Run, canceled};

/// Between two attempts; a third of it more or less, so that many that failed together do not come together again.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(20)];

/// Nobody is asked to wait longer than this, whatever a vendor says.
const LONGEST: Duration = Duration::from_secs(120);

/// How long one removal or one copy may take: a home can hold millions of files.
const REMOVAL: Duration = Duration::from_secs(60 * 60);

/// How long a vendor is believed that says when to come again.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Applies the stack; `refresh` looks first at what is really there.
pub async fn apply(run: &Arc<Run>, stack: &Stack, refresh: bool) -> Result<(), Problem> {
    again(run, stack, || async {
        // What another was doing when it lost its claim may have come to pass.
        let options = run.engine_options().refresh(refresh || run.inherited);
        let options =
            if stack.resources.iter().any(Source::is_of) { options.timeout(REMOVAL) } else { options };
        run.parts.engine.apply(stack, &options, run.right_on(stack)).await.map(drop)
    })
    .await
}

/// Deletes all that the stack has made.
pub async fn destroy(run: &Arc<Run>, stack: &Stack) -> Result<(), Problem> {
    let destroy = || async {
        let options = run.engine_options().timeout(REMOVAL);
        run.parts.engine.destroy(stack, &options, run.right_on(stack)).await
    };
    again(run, stack, destroy).await
}

/// Protects what holds the user's files, or takes that back; false where there is nothing of it.
pub async fn protect(run: &Arc<Run>, stack: &Stack, protect: bool) -> Result<bool, Problem> {
    again(run, stack, || run.parts.engine.protect(stack, protect)).await
}

/// The same, but for what holds the user's files and what that needs.
pub async fn destroy_but_home(run: &Arc<Run>, stack: &Stack) -> Result<(), Problem> {
    let destroy = || async {
        let options = run.engine_options().timeout(REMOVAL).exclude_protected(true);
        run.parts.engine.destroy_but_protected(stack, &options, run.right_on(stack)).await
    };
    again(run, stack, destroy).await
}

/// Creates are find-or-create and deletes find what is left, so that repeating one that may have happened makes no second
/// object and misses none. Who waits for the next attempt gives its place to another.
async fn again<T, F>(run: &Arc<Run>, stack: &Stack, mut attempt: impl FnMut() -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<T, Problem>>,
{
    let (mut pauses, began) = (PAUSES.into_iter(), Instant::now());
    loop {
        let problem = match attempt().await {
            Ok(done) => return Ok(done),
            Err(problem) if passes(&problem) => problem,
            Err(problem) => return Err(problem),
        };
        let Some(pause) = pauses.next().or_else(|| goes_on(&problem, began.elapsed())) else {
            return Err(problem);
        };
        run.check_cancelled()?;
        if problem.code == ErrorCode::StackLocked && run.may_break_lock(stack) {
            tracing::warn!(
                stack = stack.name,
                "breaking the lock of an orchestrator that has lost its claim"
            );
            run.parts.engine.break_lock(&stack.name).await?;
            continue;
        }
        let pause = wait(pause, problem.retry_after);
        run.say(Severity::Warning, format!("{} Trying again in {pause:.1?}.", problem.detail));
        run.only_waits();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = run.ending.token().cancelled() => return Err(canceled()),
        }
        run.works().await?;
    }
}

/// Who says when to come again is asked for longer: what an account does for the first time can take a vendor minutes.
fn goes_on(problem: &Problem, since: Duration) -> Option<Duration> {
    (problem.retry_after.is_some() && since < TIMEOUT).then_some(PAUSES[PAUSES.len() - 1])
}

/// What may be over soon, by its code. No room is over when somebody makes some, unless the vendor says when.
fn passes(problem: &Problem) -> bool {
    let comes = problem.code == ErrorCode::ProviderCapacity && problem.retry_after.is_some();
    comes
        || matches!(
            problem.code,
            Code::Known(
                ErrorCode::EngineInterrupted
                    | ErrorCode::ProviderTimeout
                    | ErrorCode::ProviderUnreachable
                    | ErrorCode::ProviderUnreadable
                    | ErrorCode::ProviderRateLimited
                    | ErrorCode::DockerUnavailable
                    | ErrorCode::StackLocked
            )
        )
}

fn wait(pause: Duration, said: Option<u64>) -> Duration {
    let pause = pause.mul_f64(rand::rng().random_range(0.67..1.33));
    let said = said.map(Duration::from_secs).unwrap_or_default();
    pause.max(said).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_waited_for_where_the_vendor_says_when_and_not_for_ever() {
        let full = Problem::new(ErrorCode::ProviderCapacity, "full");
        let soon = full.clone().with_retry_after(Duration::from_secs(20));
        assert!(!passes(&full) && passes(&soon));
        assert_eq!(goes_on(&full, Duration::ZERO), None);
        assert!(goes_on(&soon, Duration::from_secs(300)).is_some());
        assert_eq!(goes_on(&soon, TIMEOUT), None);
    }

    #[test]
    fn the_vendors_own_word_on_when_to_come_again_counts_within_reason() {
        let second = Duration::from_secs(1);
        for _ in 0..100 {
            assert!((second.mul_f64(0.66)..second.mul_f64(1.34)).contains(&wait(second, None)));
        }
        assert_eq!(wait(second, Some(30)), 30 * second);
        assert_eq!(wait(second, Some(3600)), LONGEST);
    }
}
