//! A process that has served many runs is replaced, and nobody sees anything of it.

use pulumi_auto::{Options, program};

use crate::support::world::{World, eventually};
use crate::things::{destroy, nothing, thing, up};

#[tokio::test]
async fn a_worn_process_of_the_engine_is_replaced_between_two_of_many_runs() {
    let world = World::new().await;
    let (stack, held) = (world.stack("many").await, world.stack("held").await);
    let one = || {
        program(|context| async move {
            context.register(thing("a", [])).await?;
            Ok(nothing())
        })
    };
    up(&stack, one()).await;
    let old = world.engine.processes();
    world.cloud.hold("b");
    let long = tokio::spawn(async move {
        let b = program(|context| async move {
            context.register(thing("b", [])).await?;
            Ok(nothing())
        });
        up(&held, b).await;
        held
    });
    world.cloud.until("create", "b").await;
    let strict = Options { expect_no_changes: true, ..Options::default() };
    let mut runs = 0;
    while world.engine.processes() == old {
        stack.preview(one(), &strict).await.unwrap();
        runs += 1;
        assert!(runs < 1000, "it is never replaced");
    }
    // Small as they are, it is their number that counts.
    assert!(runs >= 250, "{runs}");
    assert_eq!(world.engine.processes().len(), 1);
    assert!(up(&stack, one()).await.summary.is_unchanged());
    assert!(!long.is_finished());
    world.cloud.release("b");
    let held = long.await.unwrap();
    let gone = || !std::path::Path::new(&format!("/proc/{}", old[0])).exists();
    eventually("the worn process has ended", gone).await;
    for stack in [&stack, &held] {
        destroy(stack).await;
    }
    assert_eq!(world.cloud.ids(), [""; 0]);
}
