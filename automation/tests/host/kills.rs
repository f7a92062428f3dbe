//! kill -9 of the host at every event and at random moments of an up and of a destroy, of stacks in a folder.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::life::{Lives, Moment, Victim};
use crate::support::world::World;

/// Random kills of each of the four tests: 200 in all.
const KILLS: u32 = 50;

fn lives(world: &World) -> Lives<'_> {
    Lives { world, freed: &|_| {}, settles: true }
}

#[tokio::test]
async fn a_kill_at_every_event_of_an_up_and_of_a_destroy_loses_and_doubles_nothing() {
    let world = World::new().await.adopting();
    lives(&world).killed_at_every_event().await;
}

#[allow(clippy::print_stderr)]
async fn random_kills(part: u64, victim: Victim) {
    let world = World::new().await.adopting();
    let never = Moment::Event(usize::MAX);
    let [(_, up), (_, destroy)] = lives(&world).one("whole", Victim::Host, never, never).await;
    let seed = RandomState::new().hash_one(part);
    // Shown when the test fails.
    eprintln!("seed {seed}: up takes {up:?}, destroy {destroy:?}");
    let mut random = seed | 1;
    let mut within = |longest: Duration| {
        // xorshift: any moment is as good as another.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Moment::After(longest.mul_f64((random % 1000) as f64 / 900.0))
    };
    for kill in 0..KILLS / 2 {
        let (in_up, in_destroy) = (within(up), within(destroy));
        lives(&world).one(&format!("kill-{kill}"), victim, in_up, in_destroy).await;
    }
}

#[tokio::test]
async fn fifty_kills_at_random_lose_and_double_nothing() {
    random_kills(1, Victim::Host).await;
}

#[tokio::test]
async fn fifty_more_kills_at_random_lose_and_double_nothing() {
    random_kills(2, Victim::Host).await;
}

#[tokio::test]
async fn a_hundred_and_fifty_kills_at_random_lose_and_double_nothing() {
    random_kills(3, Victim::Host).await;
}

#[tokio::test]
async fn two_hundred_kills_at_random_lose_and_double_nothing() {
    random_kills(4, Victim::Host).await;
}

#[tokio::test]
async fn a_provider_that_dies_fifty_times_loses_and_doubles_nothing() {
    random_kills(5, Victim::Provider).await;
}

#[tokio::test]
async fn host_and_provider_that_die_together_fifty_times_lose_and_double_nothing() {
    random_kills(6, Victim::Both).await;
}
