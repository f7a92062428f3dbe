//! The life of a stack that is killed in its up and in its destroy: no resource is lost, none is made twice, no history
//! goes, and no stack needs a hand. For stacks wherever they are kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pulumi_auto::stack::HistoryOptions;
use pulumi_auto::{Error, Options, Program, Stack, program};
use tokio::sync::mpsc;

use crate::support::world::{World, eventually};
use crate::things::{nothing, thing, up};

pub const RESOURCES: usize = 5;

/// When the host is killed.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// After so many events.
    Event(usize),
    /// After so long.
    After(Duration),
}

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Host,
    Provider,
    Both,
}

/// kill -9 of the world's host. Until its driver has heard of it, what is asked of it fails as well.
pub fn kill(world: &World) {
    let pids = world.engine.processes();
    assert_eq!(pids.len(), 1);
    let pid = rustix::process::Pid::from_raw(pids[0] as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
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
    let options = Options::default().events(sender);
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

/// Lives of stacks in one world.
pub struct Lives<'a> {
    pub world: &'a World,
    /// What frees a stack after a kill, where time does that: it is passed.
    pub freed: &'a dyn Fn(&World),
    /// The next operation settles creates that were cut off; where it does not, they stay noted and harm nobody.
    pub settles: bool,
}

impl Lives<'_> {
    /// One kill of the host at each event of an up of five resources, and of a destroy.
    pub async fn killed_at_every_event(&self) {
        let never = Moment::Event(usize::MAX);
        let [(of_up, _), (of_destroy, _)] = self.one("whole", Victim::Host, never, never).await;
        assert!(of_up > 2 * RESOURCES && of_destroy > 2 * RESOURCES, "{of_up} and {of_destroy} events");
        for at in 0..of_up.max(of_destroy) {
            let moment = Moment::Event(at);
            self.one(&format!("event-{at}"), Victim::Host, moment, moment).await;
        }
    }

    /// One life with a kill in its up and one in its destroy.
    pub async fn one(
        &self,
        name: &str,
        victim: Victim,
        in_up: Moment,
        in_destroy: Moment,
    ) -> [(usize, Duration); 2] {
        let world = self.world;
        let moments = format!("{victim:?} at {in_up:?} of the up, {in_destroy:?} of the destroy");
        let stack = world.stack(name).await;
        let history = async || {
            stack.history(&HistoryOptions::default()).await.unwrap().into_iter().map(|u| u.start_time)
        };
        let first =
            killed(world, victim, in_up, async |options| stack.up(five(&stack)).with(options).await).await;
        (self.freed)(world);
        up(&stack, five(&stack)).await;
        let exported = stack.export().await.unwrap();
        let mut known: Vec<String> = exported.resources().iter().filter_map(id_of_thing).collect();
        known.sort();
        assert_eq!(known, there(world, &stack), "{moments}");
        assert_eq!(known.len(), RESOURCES, "{moments}");
        let pending = exported.pending_operations();
        assert!(pending.is_empty() || !self.settles, "{moments}: {pending:?}");
        assert!(up(&stack, five(&stack)).await.summary.is_unchanged(), "{moments}");
        let before: Vec<_> = history().await.collect();
        assert!(before.len() >= 2, "{moments}: {before:?}");

        let second =
            killed(world, victim, in_destroy, async |options| stack.destroy(none()).with(options).await)
                .await;
        (self.freed)(world);
        stack.destroy(none()).await.unwrap();
        assert_eq!(there(world, &stack), [""; 0], "{moments}");
        let after: Vec<_> = history().await.collect();
        assert!(after.len() > before.len() && after.ends_with(&before), "{moments}: {before:?}, {after:?}");
        stack.remove().await.unwrap();
        [first, second]
    }
}

fn id_of_thing(resource: &serde_json::Value) -> Option<String> {
    (resource["type"] == "cloud:test:Thing").then(|| resource["id"].as_str().unwrap().to_owned())
}
