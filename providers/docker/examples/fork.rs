//! What a snapshot and a fork of a home of 500 MB take, beside `cp -a` of the same files on the same disk: in turns, so that all
//! see the same machine.
//!
//! `cargo run --release -p provider-docker --example fork -- --runs 5`; the last line is a JSON object.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program for developers ends at the first thing that is not as it should be"
)]

use std::time::{Duration, Instant};

use provider_api::conformance::{Fixture, Stack, run};
use provider_api::{RuntimeRef, RuntimeSpec, Source, Take};
use provider_docker::conformance::World;

const RUNS: usize = 5;
/// 300 MB in large files, and 200 MB in 10,000 small ones, as packages of a repository are.
const FILL: &str = "mkdir -p home/large home/small && cd home && for n in 1 2 3; do head -c 100M /dev/urandom > large/$n; done
     for folder in $(seq 100); do mkdir small/$folder; head -c 2M /dev/urandom | split -b 20k - small/$folder/; done; sync";
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip_while(|word| word != "--runs").skip(1);
    let runs = words.next().map_or(RUNS, |text| text.parse().expect("--runs takes a number"));
    let world = World::new().await;
    run(world.fixture(), move |fixture| async move { measure(&fixture, runs.max(1)).await }).await;
}

async fn measure(fixture: &Fixture, runs: usize) {
    let mut original = fixture.stack();
    original.up().await;
    let runtime = original.runtime();
    exec(fixture, &runtime, FILL).await;
    let snapshots = fixture.provider.snapshots().unwrap();
    let (mut takes, mut forks, mut copies) = (vec![], vec![], vec![]);
    for turn in 0..=runs {
        // It is gone again before the snapshot, which would have it too.
        let copied = exec(fixture, &runtime, "cp -a home copied && sync -f copied").await;
        exec(fixture, &runtime, "rm -rf copied").await;
        let (key, began) = (format!("turn-{turn}"), Instant::now());
        snapshots.take(&runtime, &Take::of(&key)).await.unwrap();
        let taken = began.elapsed();
        let source = Source { runtime_id: original.spec.runtime_id.clone(), snapshot: key.clone() };
        let spec = RuntimeSpec { source: Some(source), ..fixture.stack().spec.clone() };
        let mut fork = Stack::new(fixture.provider.clone(), spec);
        let began = Instant::now();
        fork.up().await;
        let forked = began.elapsed();
        fork.down().await;
        snapshots.remove(&runtime, &key).await.unwrap();
        // The first turn warms everything up.
        if turn > 0 {
            takes.push(taken);
            forks.push(forked);
            copies.push(copied);
        }
    }
    println!(
        "{}",
        serde_json::json!({
            "snapshot_ms": median(takes),
            "fork_ms": median(forks),
            "cp_ms": median(copies),
            "runs": runs,
        })
    );
}

async fn exec(fixture: &Fixture, runtime: &RuntimeRef, script: &str) -> Duration {
    let words = ["sh", "-ec", script].map(str::to_owned);
    let began = Instant::now();
    let done = fixture.provider.exec().unwrap().exec(runtime, &words, LIMIT).await.unwrap();
    assert_eq!(done.exit_code, 0, "{}", String::from_utf8_lossy(&done.stderr));
    began.elapsed()
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    (times[times.len() / 2].as_secs_f64() * 1000.0).round()
}
