//! kill -9 of the host at every event, of stacks that a service keeps.

use std::time::Duration;

use crate::life::Lives;
use crate::support::world::World;

#[tokio::test]
async fn a_kill_at_every_event_loses_and_doubles_nothing_in_a_service() {
    let world = World::new().await.adopting();
    // The update of the dead host has the stack until its lease is over.
    let freed = |world: &World| world.keep.0.pass(Duration::from_secs(301));
    Lives { world: &world, freed: &freed, settles: false }.killed_at_every_event().await;
}
