//! A short part of what `cargo xtask chaos` does, always the same: real servers and stacks, and a cloud that is the witness.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chaos::api::Asked;
use chaos::options::{Options, Provider, Store};
use chaos::world::{World, eventually};
use reqwest::Method;
use serde_json::{Value, json};

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
        worlds: 2,
        round: None,
        races: 0,
        zombies: 0,
        kills: 0,
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_in_each_part_of_a_life_loses_no_home_and_leaves_nothing() {
    let report = nothing_is_violated(Options { kills: 10, ..options(Store::Sqlite) }).await;
    assert_eq!(report.kills, 10);
    assert!(report.operations["succeeded"] > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_on_fly_with_machines_that_boot_what_people_run() {
    let seconds = 300;
    let options = Options { kills: 5, worlds: 1, provider: Provider::Fly, seconds, ..options(Store::Sqlite) };
    let report = nothing_is_violated(options).await;
    assert_eq!(report.kills, 5);
    assert!(report.homes_marked > 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_not_what_it_was_is_found() {
    let options = Options { provider: Provider::Fly, ..options(Store::Sqlite) };
    let world = World::start(&options).await.unwrap();
    asked(&world, Method::POST, "/v1/workspaces", Some(json!({"slug": "demo", "provider": "fly"}))).await;
    assert_eq!(chaos::round::settle(&world, Duration::from_secs(90)).await, []);
    let objects = world.witness.objects().unwrap();
    let volume = objects.iter().find(|object| object.kind == chaos::witness::Kind::Volume).unwrap();
    std::fs::remove_file(world.witness.home(&volume.name).unwrap().join(".pilot-chaos")).unwrap();
    let found = chaos::round::settle(&world, Duration::from_secs(1)).await;
    assert_eq!(found.iter().map(|it| it.invariant).collect::<Vec<_>>(), ["homes_are_kept"]);
}

async fn asked(world: &World, method: Method, path: &str, body: Option<Value>) -> Value {
    let asked = Asked { method, path: path.to_owned(), body, key: None };
    let answer = world.api.stubborn(0, &asked, Instant::now() + Duration::from_secs(30)).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    world.ledger.note(&asked, &answer);
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_takes_what_a_create_that_was_killed_has_made_and_the_stack_does_not_know() {
    let world = World::start(&options(Store::Sqlite)).await.unwrap();
    let (cloud, server) = (world.witness.cloud().cloned().unwrap(), &world.servers[0]);
    // The network of all, the volume, then the machine: who asked for that never hears of it.
    cloud.hold_answer(3);
    asked(&world, Method::POST, "/v1/workspaces", Some(json!({"slug": "demo", "provider": "fake"}))).await;
    let made = async || Ok(cloud.journal().iter().any(|write| write.what == "create machine"));
    eventually("the machine", Duration::from_secs(30), made).await.unwrap();
    server.kill().unwrap();
    // The next server cannot look for it before the delete.
    cloud.become_unreachable();
    server.ensure(&world.pilot).await.unwrap();
    asked(&world, Method::DELETE, "/v1/workspaces/demo", None).await;
    cloud.heal();
    let found = chaos::round::settle(&world, Duration::from_secs(30)).await;
    assert_eq!(found, []);
    let left: Vec<_> = cloud.everything().into_iter().map(|object| object.kind).collect();
    assert_eq!(left, ["network"], "what all share stays until it is torn down");
}
