//! Ten thousand creates while three answers of ten are lost: each makes one object, and never a second.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use provider_api::conformance::Stack;
use provider_api::{Provider, RuntimeSpec};
use sim_fly::{Fault, Kind, RunnerKind, journal};
use world::World;

const CREATES: usize = 10_000;
const AT_ONCE: usize = 128;
/// As an engine's user would try.
const ATTEMPTS: usize = 20;

/// Creates `count` resources of one runtime, in order. Gives how many answers said that it failed.
async fn create(world: &World, provider: &Arc<dyn Provider>, count: usize) -> usize {
    let spec = RuntimeSpec {
        region: Some("fra".to_owned()),
        ..RuntimeSpec::new(contracts::RuntimeId::random(), world.installation.clone(), "small")
    };
    let mut stack = Stack::new(provider.clone(), spec);
    let mut failed = 0;
    for name in stack.names().into_iter().take(count) {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match stack.create(&name).await {
                Ok(_) => {
                    last = None;
                    break;
                }
                Err(error) => {
                    failed += 1;
                    last = Some(error);
                }
            }
        }
        if let Some(error) = last {
            panic!("{name} was not made in {ATTEMPTS} attempts: {error}");
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_creates_with_lost_answers_make_ten_thousand_objects() {
    let mut world = World::with(|settings| settings.runner = RunnerKind::Records).await;
    world.timing.timeout = Duration::from_secs(60);
    world.timing.call = Duration::from_secs(20);
    let provider = world.provider();
    let lost = Fault {
        method: Some("POST".to_owned()),
        path: "/v1/**".to_owned(),
        count: None,
        probability: 0.3,
        seed: 10_000,
        then: Kind::CutAfter,
    };
    world.sim.order(lost);

    let runtimes = CREATES.div_ceil(3);
    let (next, failed, world) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(world));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (next, failed, world, provider) = (next.clone(), failed.clone(), world.clone(), provider.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= runtimes {
                    return;
                }
                // The last one makes up the round number.
                let count = (CREATES - number * 3).min(3);
                failed.fetch_add(create(&world, &provider, count).await, Ordering::SeqCst);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }

    let entries = journal::read(&world.sim.journal()).unwrap();
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.event == journal::Event::Created) {
        *made.entry(entry.kind()).or_default() += 1;
    }
    let requests = world.sim.requests();
    let cut = requests.iter().filter(|request| request.status == 0).count();
    let words = format!(
        "{made:?} from {} calls, {cut} of them without an answer; {} creates were told as failed",
        requests.len(),
        failed.load(Ordering::SeqCst),
    );
    assert_eq!(journal::living(&entries).len(), CREATES, "{words}");
    assert_eq!(made.values().sum::<usize>(), CREATES, "none was made twice and removed again: {words}");
    assert!(cut > CREATES / 5, "the fault was in force: {words}");
    println!("{words}");
}
