//! A short part of what `cargo xtask chaos` does, always the same: real servers and stacks, and a cloud that is the witness.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use chaos::options::{Options, Provider, Store};

/// Nothing is chosen but where it is kept.
fn options(store: Store) -> Options {
    let test = std::env::current_exe().unwrap();
    let pilot: PathBuf = test.parent().and_then(std::path::Path::parent).unwrap().join("pilot");
    assert!(pilot.exists(), "{} is missing; run `cargo build -p cli` first", pilot.display());
    let (seed, seconds, provider) = (20, 120, Provider::Fake);
    Options {
        pilot,
        seed,
        seconds,
        store,
        provider,
        rounds: 0,
        round: None,
        races: 0,
        zombies: 0,
        disk: 0,
        json: false,
    }
}

async fn nothing_is_violated(options: Options) -> chaos::report::Report {
    let report = chaos::run(&options).await.unwrap();
    assert!(report.violations.is_empty(), "{}", serde_json::to_string_pretty(&report).unwrap());
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_ends_once_and_nothing_is_doubled_or_left_when_things_break() {
    let report = nothing_is_violated(Options { rounds: 3, ..options(Store::Sqlite) }).await;
    assert_eq!(report.rounds, 3);
    assert!(report.operations["succeeded"] > 0 && report.provider_writes > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_orchestrators_that_race_and_sleep_double_nothing() {
    let report = nothing_is_violated(Options { races: 8, zombies: 4, ..options(Store::Postgres) }).await;
    assert_eq!((report.races, report.zombies), (8, 4));
    assert!(report.operations["succeeded"] > 0, "{report:?}");
}
