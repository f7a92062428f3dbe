//! The host dies in the middle of its work.

use std::sync::Arc;
use std::time::Duration;

use pulumi_auto::{Error, Options, Program, Stack, program};

use crate::life::kill;
use crate::support::world::{World, eventually};
use crate::things::{destroy, nothing, thing, up};

fn chain() -> Arc<dyn Program> {
    program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        let b = context.register(thing("b", [("label", a.output("address"))])).await?;
        context.register(thing("c", [("label", b.output("address"))])).await?;
        Ok(nothing())
    })
}

fn begin(stack: &Stack) -> tokio::task::JoinHandle<pulumi_auto::Result<pulumi_auto::Update>> {
    let stack = stack.clone();
    tokio::spawn(async move { stack.up(chain()).await })
}

fn locks(world: &World, stack: &Stack) -> usize {
    let folder = format!("state/.pulumi/locks/organization/shop/{}", stack.name());
    let entries = std::fs::read_dir(world.folder().join(folder)).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
}

async fn interrupted(running: tokio::task::JoinHandle<pulumi_auto::Result<pulumi_auto::Update>>) {
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
    let error = ended.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::Interrupted { signal: 9 }), "{error:?}");
}

#[tokio::test]
async fn a_killed_host_loses_no_resource_that_was_made() {
    let world = World::new().await;
    let stack = world.stack("killed").await;
    world.cloud.hold("b");
    let running = begin(&stack);
    world.cloud.until("create", "b").await;
    kill(&world);
    interrupted(running).await;
    world.cloud.release("b");
    let update = up(&stack, chain()).await;
    // A create that was cut off is asked for again; a provider that adopts what is there makes it one.
    assert_eq!((update.summary.changes["same"], update.summary.changes["create"]), (2, 2));
    assert_eq!(locks(&world, &stack), 0);
    let (mut names, state) = (world.state(&stack), world.cloud.ids());
    names.0.retain(|resource| resource["custom"] == true && resource["id"].is_string());
    assert!(names.has("a") && names.has("b") && names.has("c"));
    assert_eq!(state.iter().filter(|id| id.starts_with("a-")).count(), 1, "{state:?}");
    assert!(state.contains(&names.of("b")["id"].as_str().unwrap().to_owned()));
    destroy(&stack).await;
    stack.remove().await.unwrap();
}

#[tokio::test]
async fn all_that_was_in_a_killed_host_can_be_done_again_and_the_rest_is_as_it_was() {
    let world = World::new().await;
    let (one, two, quiet) = (world.stack("one").await, world.stack("two").await, world.stack("quiet").await);
    up(&quiet, chain()).await;
    world.cloud.hold("c");
    world.cloud.forget_log();
    let (first, second) = (begin(&one), begin(&two));
    eventually("both are in the middle", || {
        world.cloud.calls().iter().filter(|call| *call == "create c").count() >= 2
    })
    .await;
    kill(&world);
    interrupted(first).await;
    interrupted(second).await;
    world.cloud.release("c");
    for stack in [&one, &two] {
        let update = up(stack, chain()).await;
        assert_eq!((update.summary.changes["same"], update.summary.changes["create"]), (3, 1));
    }
    assert!(up(&quiet, chain()).await.summary.is_unchanged());
}

#[tokio::test]
async fn a_crash_is_mended_for_the_plain_cli_too_without_being_asked() {
    let world = World::new().await;
    let stack = world.stack("mended").await;
    world.cloud.hold("c");
    let running = begin(&stack);
    world.cloud.until("create", "c").await;
    kill(&world);
    interrupted(running).await;
    world.cloud.release("c");
    eventually("the lock is gone and another host is there", || {
        locks(&world, &stack) == 0 && !world.engine.processes().is_empty()
    })
    .await;
    // Whoever asks the host now waits for the recovery; the CLI then sees what it has made.
    stack.export().await.unwrap();
    let exported = world.pulumi(&["stack", "export", "--stack", "mended"]).await;
    assert!(exported.status.success(), "{exported:?}");
    let text = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert!(text.contains("cloud:test:Thing::a") && text.contains("cloud:test:Thing::b"), "{text}");
    assert!(text.contains("pending_operations"), "{text}");
}

/// Makes one folder what another one is.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[tokio::test]
async fn the_cli_never_runs_past_what_a_host_that_died_with_its_program_has_begun() {
    let world = World::new().await;
    let stack = world.stack("both").await;
    world.cloud.hold("b");
    let running = begin(&stack);
    world.cloud.until("create", "b").await;
    let (state, then) = (world.folder().join("state"), world.folder().join("then"));
    let journal = state.join(".pulumi/journals/shop/both.ndjson");
    let has_a = || std::fs::read_to_string(&journal).unwrap_or_default().contains("\"a-1\"");
    eventually("what was made is in the journal", has_a).await;
    copy(&state, &then);
    kill(&world);
    interrupted(running).await;
    world.cloud.release("b");
    // The driver has had it recovered. Without the driver, this is what would be there:
    eventually("it is recovered", || !journal.exists()).await;
    copy(&then, &state);

    let by_cli = world.on(world.cli.clone()).stack("both");
    let error = by_cli.up(chain()).await.unwrap_err();
    assert!(matches!(&error, Error::UnfinishedUpdate { journal: told, .. } if *told == journal), "{error:?}");
    let mut options = Options::default();
    options.debug.tracing = Some(format!("file:{}", world.folder().join("trace").display()));
    let update = stack.up(chain()).with(&options).await.unwrap();
    assert_eq!(update.summary.changes["same"], 2, "the stack and a are known: {:?}", update.summary.changes);
    assert!(world.folder().join("trace").exists(), "the CLI did it");
    assert_eq!(world.cloud.calls().iter().filter(|call| *call == "create a").count(), 1);
}

#[tokio::test]
async fn a_create_that_was_cut_off_stays_pending_until_its_package_says_that_it_adopts() {
    let world = World::new().await;
    let stack = world.stack("pending").await;
    world.cloud.hold("b");
    let running = begin(&stack);
    world.cloud.until("create", "b").await;
    kill(&world);
    interrupted(running).await;
    world.cloud.release("b");
    let pending = async |stack: &Stack| stack.export().await.unwrap().pending_operations().len();
    up(&stack, chain()).await;
    assert_eq!(pending(&stack).await, 1, "there may be one that no state knows");
    let adopting = world.workspace.clone().with_adopting_package("cloud").stack("pending");
    // Of what was made already nothing is made, so nothing is settled.
    up(&adopting, chain()).await;
    adopting.destroy(chain()).await.unwrap();
    assert_eq!(pending(&adopting).await, 0);
}
