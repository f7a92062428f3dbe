//! Cases about abilities that not every provider has.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use contracts::egress::report::RefusedKind;
use jiff::Timestamp;

use crate::conformance::offers::says_something;
use crate::conformance::{Fixture, Stack, eventually};
use crate::{Executed, Result, RuntimeRef, RuntimeSpec, Sites, site};

const GRACE: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(20);

pub async fn a_log_is_cut_to_its_end(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, logs) = (stack.runtime(), fixture.provider.logs().expect("logs"));
    assert_eq!(logs.tail(&runtime, 0).await.unwrap(), "");
    // What is said between two looks makes them differ; then they are taken again.
    let deadline = Instant::now() + LIMIT;
    loop {
        let (whole, end) =
            (logs.tail(&runtime, 100_000).await.unwrap(), logs.tail(&runtime, 24).await.unwrap());
        assert!(end.len() <= 24, "{end:?} has more than 24 bytes");
        if whole.ends_with(&end) {
            break;
        }
        assert!(Instant::now() < deadline, "{end:?} is not the end of {whole:?}");
    }
    fixture.provider.lifecycle().stop(&runtime, GRACE).await.unwrap();
    let stopped = logs.tail(&runtime, 100_000).await.expect("the log of what is stopped can be read");
    // Who follows it looks for the end that was seen.
    fixture.provider.lifecycle().start(&runtime).await.unwrap();
    eventually("the log goes on behind what it had", async || {
        let runs = logs.tail(&runtime, 100_000).await.unwrap();
        stopped.lines().last().is_none_or(|last| runs.lines().any(|line| line == last))
    })
    .await;
    assert_eq!(logs.ended(&runtime).await.unwrap(), None, "it runs");
}

async fn exec(fixture: &Fixture, stack: &Stack, command: &[&str], limit: Duration) -> Result<Executed> {
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    fixture.provider.exec().expect("exec").exec(&stack.runtime(), &command, limit).await
}

pub async fn a_command_tells_its_output_and_exit_code(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    // No shell reads the words.
    let done = exec(fixture, &stack, &["echo", "two  words", "$HOME"], LIMIT).await.unwrap();
    assert_eq!((done.exit_code, String::from_utf8_lossy(&done.stdout).as_ref()), (0, "two  words $HOME\n"));
    let failed = exec(fixture, &stack, &["cat", "/no/such/file"], LIMIT).await.unwrap();
    assert_eq!(failed.exit_code, 1, "a command that fails is a success of exec");
    assert!(failed.stdout.is_empty() && !failed.stderr.is_empty(), "{failed:?}");
    fixture.provider.lifecycle().stop(&stack.runtime(), GRACE).await.unwrap();
    exec(fixture, &stack, &["true"], LIMIT).await.expect_err("nothing runs in what is stopped");
}

pub async fn a_command_runs_as_the_user_whose_home_it_is(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    // The instance itself may give a new home to its user, a moment after it has begun.
    eventually("commands run as the owner of the home", async || {
        let done = exec(fixture, &stack, &["sh", "-c", "id -u; stat -c %u $HOME"], LIMIT).await.unwrap();
        let users = String::from_utf8_lossy(&done.stdout).into_owned();
        matches!(users.lines().collect::<Vec<_>>().as_slice(), [user, owner] if user == owner)
    })
    .await;
}

pub async fn a_program_that_is_not_there_is_named_and_nothing_else_is(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let missing = exec(fixture, &stack, &["no-such-program", "timeout"], LIMIT).await.unwrap();
    assert_eq!((missing.exit_code, missing.stdout.len()), (127, 0), "{missing:?}");
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(told.starts_with("no-such-program: ") && told.lines().count() == 1, "{told:?}");
}

pub async fn a_command_that_does_not_end_is_ended_and_what_it_wrote_is_told(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let asked = Instant::now();
    let script = ["sh", "-c", "echo begun; sleep 600"];
    let late = exec(fixture, &stack, &script, Duration::from_secs(2)).await.unwrap();
    assert_eq!(late, Executed::late("begun\n", ""), "it sleeps longer than its limit");
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let same = exec(fixture, &stack, &["sh", "-c", "echo begun; exit 124"], LIMIT).await.unwrap();
    assert_eq!(same, Executed::new(124, "begun\n", ""), "its own exit code is no timeout");
}

/// How addresses are refused is for the module's own tests: the suite has no destinations.
pub async fn what_was_refused_is_told_of_whom_it_was_refused_to(fixture: &Fixture) {
    const NAME: &str = "refused.example";
    let refuses = fixture.provider.refuses().expect("it tells what was refused");
    let mut stacks = Vec::new();
    for _ in 0..2 {
        let egress = Some("203.0.113.7:443,other.example".parse().expect("a list"));
        let spec = RuntimeSpec { egress, ..fixture.stack().spec };
        let mut stack = Stack::new(fixture.provider.clone(), spec);
        stack.up().await;
        eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
        stacks.push(stack.runtime());
    }
    let names = async |runtime: &RuntimeRef| {
        let told = refuses.refusals(runtime).await.expect("it can be asked");
        assert_eq!((told.not_in_force, told.more), (None, false));
        let names = told.refused.into_iter().filter(|one| one.kind == RefusedKind::Name);
        names.filter(|one| one.destination == NAME).collect::<Vec<_>>()
    };
    assert_eq!(names(&stacks[0]).await, []);
    fixture.backdoor.ask_for(&stacks[0], NAME).await;
    eventually("it is told", async || !names(&stacks[0]).await.is_empty()).await;
    let told = names(&stacks[0]).await;
    let [one] = told.as_slice() else { panic!("once: {told:?}") };
    assert!(one.count > 0 && !one.closed_for_all, "{one:?}");
    let ago = Timestamp::now().duration_since(one.last).as_secs();
    assert!((-60..600).contains(&ago), "{ago} s ago");
    assert_eq!(names(&stacks[1]).await, [], "what one was refused is no other's");
}

pub async fn a_place_says_the_same_of_itself_to_everybody_and_has_what_is_made(fixture: &Fixture) {
    let (sites, others) = (fixture.provider.sites().expect("sites"), fixture.second.sites().expect("sites"));
    says_something("its places", sites.kind());
    assert!(sites.recovery_hint().ends_with('.'), "{:?} is a sentence", sites.recovery_hint());
    let ids = async |sites: &dyn Sites| {
        let all = site::all(sites).await.expect("every place answers");
        all.into_iter().map(|site| site.id).collect::<BTreeSet<_>>()
    };
    let all = ids(sites.as_ref()).await;
    assert!(!all.is_empty(), "a place says who it is");
    assert_eq!((ids(sites.as_ref()).await, ids(others.as_ref()).await), (all.clone(), all.clone()));
    let mut stack = fixture.stack();
    assert_eq!(sites.locate(&stack.runtime()).await.unwrap(), None, "nothing is made yet");
    stack.up().await;
    let held = sites.locate(&stack.runtime()).await.unwrap().expect("what was made is there");
    assert!(all.contains(&held.site.id), "{held:?} is none of {all:?}");
    assert_eq!(held.home, fixture.provider.describe().persistent_home, "{held:?}");
}
