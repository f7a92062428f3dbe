//! How updates end that do not come to their own end: the host is killed, or somebody cancels.

use std::sync::Arc;
use std::time::Duration;

use pulumi_auto::options::Pending;
use pulumi_auto::{Error, Options, Program, Stack, Update, program};

use crate::support::world::{PROJECT, World};
use crate::things::{destroy, nothing, thing, up};

/// Things that are found again when they are made a second time.
fn chain() -> Arc<dyn Program> {
    program(|context| async move {
        let adopted =
            |name: &str, label: pulumi_auto::Input| thing(name, [("label", label), ("adopt", true.into())]);
        let a = context.register(adopted("a", "first".into())).await?;
        let b = context.register(adopted("b", a.output("address"))).await?;
        context.register(adopted("c", b.output("address"))).await?;
        Ok(nothing())
    })
}

fn begin(stack: &Stack) -> tokio::task::JoinHandle<pulumi_auto::Result<Update>> {
    let stack = stack.clone();
    tokio::spawn(async move { stack.up(chain()).await })
}

/// Kills the host while it makes `b`.
async fn killed(world: &World, stack: &Stack) {
    world.cloud.hold("b");
    let running = begin(stack);
    world.cloud.until("create", "b").await;
    let pid = rustix::process::Pid::from_raw(world.engine.processes()[0] as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Interrupted { signal: 9 }), "{error:?}");
    world.cloud.release("b");
}

async fn refused(stack: &Stack) {
    let impatient = Options::default().lock_timeout(Duration::ZERO);
    let error = stack.up(chain()).with(&impatient).await.unwrap_err();
    assert!(matches!(&error, Error::ConcurrentUpdate { stack, .. } if stack == "killed"), "{error:?}");
}

/// Everything that was made is known, and made once.
async fn whole(world: &World, stack: &Stack, left_as: &str) {
    let update = up(stack, chain()).await;
    assert_eq!(update.summary.changes["same"], 2, "the stack and what was made before");
    let exported = stack.export().await.unwrap();
    let things = exported.resources().iter().filter(|resource| resource["type"] == "cloud:test:Thing");
    let mut known: Vec<&str> = things.map(|resource| resource["id"].as_str().unwrap()).collect();
    known.sort_unstable();
    assert_eq!(known, ["a-1", "b-1", "c-1"]);
    assert_eq!(world.cloud.ids(), known);
    let results: Vec<String> =
        world.keep.0.updates(PROJECT, stack.name()).into_iter().map(|update| update.1).collect();
    assert_eq!(results, [left_as, "succeeded"]);
    // A service keeps a create that was cut off in mind until somebody says what became of it.
    assert_eq!(exported.pending_operations().len(), 1);
    let pending = Pending::default().clear(true);
    stack.refresh(chain()).pending(pending).await.unwrap();
    assert!(stack.export().await.unwrap().pending_operations().is_empty());
    destroy(stack).await;
    assert_eq!(world.cloud.ids(), [""; 0]);
    stack.remove().await.unwrap();
}

#[tokio::test]
async fn a_killed_hosts_update_holds_the_stack_until_its_lease_is_over_and_nothing_is_lost() {
    let world = World::new().await;
    let stack = world.stack("killed").await;
    killed(&world, &stack).await;
    refused(&stack).await;
    world.keep.0.pass(Duration::from_secs(301));
    whole(&world, &stack, "failed").await;
}

#[tokio::test]
async fn a_killed_hosts_update_can_be_cancelled_and_nothing_is_lost() {
    let world = World::new().await;
    let stack = world.stack("killed").await;
    killed(&world, &stack).await;
    refused(&stack).await;
    stack.cancel().await.unwrap();
    whole(&world, &stack, "cancelled").await;
}

#[tokio::test]
async fn an_update_that_the_cli_cancels_ends_as_cancelled_and_frees_the_stack() {
    let world = World::new().await;
    let stack = world.stack("cancelled").await;
    world.cloud.hold("b");
    let running = begin(&stack);
    world.cloud.until("create", "b").await;
    let cancelled = world.pulumi(&["cancel", "--yes", "--stack", "cancelled"]).await;
    assert!(cancelled.status.success(), "{cancelled:?}");
    world.cloud.release("b");
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error:?}");
    let calls = world.cloud.calls();
    assert!(!calls.contains(&"create c".to_owned()), "nothing is made that could not be recorded: {calls:?}");
    let update = up(&stack, chain()).await;
    assert_eq!(update.summary.changes["same"], 2);
    assert_eq!(world.cloud.ids(), ["a-1", "b-1", "c-1"]);
}

#[tokio::test]
async fn cancelling_through_the_host_lets_a_create_end_and_records_it() {
    let world = World::new().await;
    let stack = world.stack("told").await;
    world.cloud.hold("b");
    let running = begin(&stack);
    world.cloud.until("create", "b").await;
    let cancelling = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.cancel().await })
    };
    world.cloud.release("b");
    cancelling.await.unwrap().unwrap();
    let ended = running.await.unwrap();
    assert!(matches!(ended, Err(Error::Canceled) | Ok(_)), "{ended:?}");
    assert!(stack.export().await.unwrap().pending_operations().is_empty());
    up(&stack, chain()).await;
    assert_eq!(world.cloud.ids(), ["a-1", "b-1", "c-1"]);
}
