//! kill -9 of the host at every event and at random moments of an up and of a destroy: no resource is lost,
//! none is made twice, and no stack needs a hand.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulumi_auto::{Error, Options, Program, Stack, program};
use tokio::sync::mpsc;

use crate::crash::kill;
use crate::support::world::{World, eventually};
use crate::things::{nothing, thing, up};

const RESOURCES: usize = 5;

/// Random kills of each of the four tests: 200 in all.
const KILLS: u32 = 50;

/// When the host is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After so many events.
    Event(usize),
    /// After so long.
    After(Duration),
}

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Host,
    Provider,
    Both,
}

impl Victim {
    async fn die(self, world: &World) {
        if self != Victim::Provider {
            kill(world);
        }
        if self != Victim::Host {
            world.cloud.die().await;
        }
    }
}

/// Five resources of which some wait for others, with names of this stack alone.
fn five(stack: &Stack) -> Arc<dyn Program> {
    let of = stack.name().to_owned();
    program(move |context| {
        let of = of.clone();
        async move {
            let make = |name: &str, label: pulumi_auto::Input| {
                let name = format!("{of}.{name}");
                thing(&name, [("label", label), ("adopt", true.into()), ("slow", 3.0.into())])
            };
            let a = context.register(make("a", "one".into())).await?;
            let b = context.register(make("b", a.output("address"))).await?;
            context.register(make("c", a.output("address"))).await?;
            let d = context.register(make("d", b.output("address"))).await?;
            context.register(make("e", d.output("address"))).await?;
            Ok(nothing())
        }
    })
}

fn none() -> Arc<dyn Program> {
    program(|_| async { Ok(nothing()) })
}

/// Runs it and kills at the moment; how many events there were, and how long it took.
async fn killed<T>(
    world: &World,
    victim: Victim,
    moment: Moment,
    run: impl AsyncFnOnce(&Options) -> pulumi_auto::Result<T>,
) -> (usize, Duration) {
    let (sender, mut events) = mpsc::channel(4096);
    let options = Options { events: Some(sender), ..Options::default() };
    let killer = async {
        let mut seen = 0;
        let deadline = match moment {
            Moment::After(time) => Instant::now() + time,
            Moment::Event(_) => Instant::now() + Duration::from_secs(3600),
        };
        let mut alive = true;
        loop {
            if alive && matches!(moment, Moment::Event(at) if at == seen) {
                victim.die(world).await;
                alive = false;
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(_) => seen += 1,
                    None => return (seen, !alive),
                },
                () = tokio::time::sleep_until(deadline.into()), if alive => {
                    victim.die(world).await;
                    alive = false;
                }
            }
        }
    };
    let began = Instant::now();
    let work = async {
        let result = run(&options).await;
        drop(options);
        result
    };
    let before = world.engine.processes();
    let (result, (seen, was_killed)) = tokio::join!(work, killer);
    if was_killed && victim != Victim::Provider {
        eventually("the death is known", || world.engine.processes() != before).await;
    }
    match result {
        // The kill came before the end, or after it.
        Ok(_) | Err(Error::Interrupted { signal: 9 }) => {}
        // The engine goes on and says what it could not do.
        Err(Error::UpdateFailed { .. }) if victim != Victim::Host => {}
        Err(error) => panic!("killed at {moment:?}, and then {error:?}"),
    }
    (seen, began.elapsed())
}

/// The ids of what exists for this stack.
fn there(world: &World, stack: &Stack) -> Vec<String> {
    let of = format!("{}.", stack.name());
    world.cloud.ids().into_iter().filter(|id| id.starts_with(&of)).collect()
}

/// One life with a kill in its up and one in its destroy.
async fn life(
    world: &World,
    name: &str,
    victim: Victim,
    in_up: Moment,
    in_destroy: Moment,
) -> [(usize, Duration); 2] {
    let moments = format!("{victim:?} at {in_up:?} of the up, {in_destroy:?} of the destroy");
    let stack = world.stack(name).await;
    let first = killed(world, victim, in_up, async |options| stack.up(five(&stack), options).await).await;
    up(&stack, five(&stack)).await;
    let exported = stack.export().await.unwrap();
    let mut known: Vec<String> = exported.resources().iter().filter_map(id_of_thing).collect();
    known.sort();
    assert_eq!(known, there(world, &stack), "{moments}");
    assert_eq!(known.len(), RESOURCES, "{moments}");
    assert!(exported.pending_operations().is_empty(), "{moments}: {:?}", exported.pending_operations());
    assert!(up(&stack, five(&stack)).await.summary.is_unchanged(), "{moments}");

    let second =
        killed(world, victim, in_destroy, async |options| stack.destroy(none(), options).await).await;
    stack.destroy(none(), &Options::default()).await.unwrap();
    assert_eq!(there(world, &stack), [""; 0], "{moments}");
    stack.remove().await.unwrap();
    [first, second]
}

fn id_of_thing(resource: &serde_json::Value) -> Option<String> {
    (resource["type"] == "cloud:test:Thing").then(|| resource["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_kill_at_every_event_of_an_up_and_of_a_destroy_loses_and_doubles_nothing() {
    let world = World::new().await.adopting();
    let never = Moment::Event(usize::MAX);
    let [(of_up, _), (of_destroy, _)] = life(&world, "whole", Victim::Host, never, never).await;
    assert!(of_up > 2 * RESOURCES && of_destroy > 2 * RESOURCES, "{of_up} and {of_destroy} events");
    for at in 0..of_up.max(of_destroy) {
        let moment = Moment::Event(at);
        life(&world, &format!("event-{at}"), Victim::Host, moment, moment).await;
    }
}

#[allow(clippy::print_stderr)]
async fn random_kills(part: u64, victim: Victim) {
    let world = World::new().await.adopting();
    let never = Moment::Event(usize::MAX);
    let [(_, up), (_, destroy)] = life(&world, "whole", Victim::Host, never, never).await;
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
        life(&world, &format!("kill-{kill}"), victim, in_up, in_destroy).await;
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
