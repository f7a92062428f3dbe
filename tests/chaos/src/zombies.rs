//! An orchestrator is stopped in the middle of what it has claimed, sleeps until another has taken that over, and wakes up.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::json;

use crate::api::Asked;
use crate::invariants::Violation;
use crate::round;
use crate::run::{Batches, Run};
use crate::world::{World, eventually};

/// So many operations sleep at once.
const AT_ONCE: u32 = 4;

/// After so many, a new world.
const WORLD: u32 = 100;

/// Longer than a lease and what comes after it.
const TAKEN_OVER: Duration = Duration::from_secs(60);

/// As many as the options say, or until the time is up.
pub async fn run(run: &Run<'_>) -> Result<()> {
    let mut chance = StdRng::seed_from_u64(run.options.seed);
    let batches = Batches { what: "zombies", count: run.options.zombies, at_once: AT_ONCE, in_world: WORLD };
    run.batches(batches, async |world, numbers| {
        let (delay, kind) =
            (Duration::from_millis(chance.random_range(0..600)), chance.random_range(0..KINDS.len()));
        // So that there is a middle of something to fall asleep in.
        let slow = Duration::from_millis(chance.random_range(5..80));
        let sleep = Sleep { kind: KINDS[kind], delay, slow, deleted: chance.random_range(0..3) == 0 };
        let (taken, mut found) = sleep_through(world, numbers.clone(), &sleep).await?;
        found.extend(round::settle(world, Duration::from_secs(90)).await);
        run.report().zombies = numbers.end;
        run.report().taken_over += taken;
        Ok((format!("{sleep:?}\n"), found))
    })
    .await
}

/// What is in hand when it falls asleep.
const KINDS: [&str; 5] = ["create", "stop", "restart", "delete", "teardown"];

#[derive(Debug)]
struct Sleep {
    kind: &'static str,
    /// After the requests.
    delay: Duration,
    /// Each call to the provider takes so long.
    slow: Duration,
    /// When it wakes up, there is no such workspace any more.
    deleted: bool,
}

/// How many of the operations were another's when the first woke up.
async fn sleep_through(
    world: &World,
    numbers: std::ops::Range<u32>,
    sleep: &Sleep,
) -> Result<(u32, Vec<Violation>)> {
    let (zombie, heir) = (&world.servers[0], &world.servers[1]);
    let slugs: Vec<String> = numbers.map(|number| format!("zombie-{number}")).collect();
    let create = |slug: &str| Asked::create(json!({"slug": slug, "provider": "fake"}));
    let change = |slug: &str| {
        let path = format!("/v1/workspaces/{slug}");
        let (method, path) = match sleep.kind {
            "create" => return create(slug),
            "delete" => (Method::DELETE, path),
            "teardown" => (Method::DELETE, "/v1/providers/fake/shared".to_owned()),
            change => (Method::POST, format!("{path}/{change}")),
        };
        Asked::new(method, path)
    };
    if sleep.kind != "create" {
        let creates = slugs.iter().map(|slug| ask(world, 0, create(slug)));
        let ids = join_all(creates).await.into_iter().collect::<Result<Vec<_>>>()?;
        ended(world, &ids, "what is made before a sleep").await?;
    }
    // What they share can go when they are gone.
    if sleep.kind == "teardown" {
        let deletes = join_all(slugs.iter().map(|slug| ask(world, 0, delete(slug)))).await;
        let deletes = deletes.into_iter().collect::<Result<Vec<_>>>()?;
        ended(world, &deletes, "what is removed before a teardown").await?;
    }
    if let Some(cloud) = world.witness.cloud() {
        cloud.become_slow(sleep.slow);
    }
    // Nobody else claims, so that it is the zombie that has them.
    heir.pause()?;
    let asked = join_all(slugs.iter().map(|slug| ask(world, 0, change(slug)))).await;
    tokio::time::sleep(sleep.delay).await;
    zombie.pause()?;
    world.witness.heal();
    heir.wake()?;
    let mut ids = asked.into_iter().collect::<Result<Vec<_>>>()?;
    // One teardown is all of them.
    ids.dedup();
    let before = unfinished(world, &ids).await?;
    ended(world, &ids, "the end of what was taken over").await?;
    // The successor goes on with its life, and so what wakes up is really late.
    let next = slugs.iter().map(|slug| match sleep.kind {
        "teardown" => create(slug),
        _ if sleep.deleted => delete(slug),
        kind => {
            let change = if kind == "stop" { "start" } else { "restart" };
            let path = format!("/v1/workspaces/{slug}/{change}");
            Asked::new(Method::POST, path)
        }
    });
    let mut found = Vec::new();
    if sleep.kind != "delete" {
        let next = join_all(next.map(|asked| ask(world, 1, asked))).await;
        let next = next.into_iter().collect::<Result<Vec<_>>>()?;
        if !sleep.deleted {
            zombie.wake()?;
        }
        ended(world, &next, "the end of what came after a take-over").await?;
        zombie.wake()?;
    } else {
        zombie.wake()?;
    }
    if before > 0 && !awake(world, zombie).await {
        found.push(Violation::new("what_is_broken_comes_back", "a zombie does not answer"));
    }
    // All of them, so that the next sleep begins with nothing.
    let deletes = slugs.iter().map(|slug| async move {
        let asked = delete(slug);
        let deadline = Instant::now() + TAKEN_OVER;
        world.api.stubborn(1, &asked, deadline).await.map(|answer| world.ledger.note(&asked, &answer))
    });
    join_all(deletes).await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok((before, found))
}

fn delete(slug: &str) -> Asked {
    Asked::new(Method::DELETE, format!("/v1/workspaces/{slug}"))
}

/// The operation that was accepted.
async fn ask(world: &World, server: usize, asked: Asked) -> Result<String> {
    let answer = world.api.stubborn(server, &asked, Instant::now() + TAKEN_OVER).await?;
    let what = || format!("{} {} was refused: {answer:?}", asked.method, asked.path);
    world.ledger.note(&asked, &answer).with_context(what)
}

async fn state(world: &World, id: &str) -> Result<bool> {
    let asked = Asked::new(Method::GET, format!("/v1/operations/{id}"));
    let answer = world.api.stubborn(1, &asked, Instant::now() + TAKEN_OVER).await?;
    Ok(!["queued", "running"].contains(&answer.body["state"].as_str().unwrap_or_default()))
}

async fn unfinished(world: &World, ids: &[String]) -> Result<u32> {
    let mut open = 0;
    for id in ids {
        open += u32::from(!state(world, id).await?);
    }
    Ok(open)
}

async fn ended(world: &World, ids: &[String], what: &str) -> Result<()> {
    eventually(what, TAKEN_OVER, async || Ok(unfinished(world, ids).await? == 0)).await
}

async fn awake(world: &World, zombie: &crate::server::Server) -> bool {
    zombie.ensure(&world.pilot).await.is_ok()
}
