//! A process that has served the runs that it may is recycled, and nobody sees anything of it.

use pulumi_auto::{Options, program};

use crate::support::world::{World, eventually};
use crate::things::{destroy, nothing, thing, up};

const MANY: u32 = 40;

#[tokio::test]
async fn the_engine_is_recycled_between_two_of_many_runs() {
    let mut world = World::new().await;
    world.engine = world.engine.clone().recycle_after(MANY);
    world.workspace = world.on(world.engine.clone());
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
    let strict = Options::default().expect_no_changes(true);
    let mut runs = 0;
    while world.engine.processes() == old {
        stack.preview(one()).with(&strict).await.unwrap();
        runs += 1;
        assert!(runs < 10 * MANY, "it is never recycled");
    }
    assert!(runs > MANY / 2, "{runs}");
    assert_eq!(world.engine.processes().len(), 1);
    assert!(up(&stack, one()).await.summary.is_unchanged());
    assert!(!long.is_finished());
    world.cloud.release("b");
    let held = long.await.unwrap();
    let gone = || !std::path::Path::new(&format!("/proc/{}", old[0])).exists();
    eventually("the recycled process has ended", gone).await;
    for stack in [&stack, &held] {
        destroy(stack).await;
    }
    assert_eq!(world.cloud.ids(), [""; 0]);
}
