//! Two orchestrators are asked the same, or the opposite, at the same instant.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::api::{Answer, Asked};
use crate::invariants::Violation;
use crate::round;
use crate::run::{Batches, Run};
use crate::world::World;

/// So many are run at once: each is about a workspace of its own.
const AT_ONCE: u32 = 8;

/// After so many, a new world.
const WORLD: u32 = 400;

#[derive(Debug, Clone, Copy)]
enum Race {
    Create,
    Start,
    DeleteAgainstStart,
    DeleteAgainstDelete,
}

const RACES: [Race; 4] = [Race::Create, Race::Start, Race::DeleteAgainstStart, Race::DeleteAgainstDelete];

/// As many as the options say, or until the time is up.
pub async fn run(run: &Run<'_>) -> Result<()> {
    let batches = Batches { what: "races", count: run.options.races, at_once: AT_ONCE, in_world: WORLD };
    run.batches(batches, async |world, numbers| {
        let races = numbers.clone().map(|number| race(world, number));
        let mut found: Vec<Violation> =
            join_all(races).await.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        found.extend(round::settle(world, Duration::from_secs(90)).await);
        let schedule = numbers.clone().map(|number| format!("{number}: {:?}\n", kind(number))).collect();
        // What is left over does not make the next lists longer. That it goes is seen after the next races.
        let deletes = join_all(numbers.clone().map(|number| delete(world, number))).await;
        deletes.into_iter().collect::<Result<Vec<_>>>()?;
        run.report().races = numbers.end;
        Ok((schedule, found))
    })
    .await
}

fn kind(number: u32) -> Race {
    RACES[number as usize % RACES.len()]
}

async fn race(world: &World, number: u32) -> Result<Vec<Violation>> {
    let slug = format!("race-{number}");
    let create = Asked::create(json!({"slug": slug, "provider": "fake"}));
    let change = |method: Method, change: &str| Asked::new(method, format!("/v1/workspaces/{slug}{change}"));
    let (start, stop) = (change(Method::POST, "/start"), change(Method::POST, "/stop"));
    let delete = change(Method::DELETE, "");
    let found = match kind(number) {
        Race::Create => {
            let [one, other] = at_once(world, [&create, &create]).await?;
            let mut statuses = [one.status, other.status];
            statuses.sort_unstable();
            (statuses != [202, 409]).then(|| ("slugs_are_unique", format!("{slug}: {one:?} and {other:?}")))
        }
        Race::Start => {
            ended(world, &create).await?;
            ended(world, &stop).await?;
            let [one, other] = at_once(world, [&start, &start]).await?;
            refused("start", [&one, &other], &[202, 409])
        }
        Race::DeleteAgainstStart => {
            ended(world, &create).await?;
            ended(world, &stop).await?;
            let [one, other] = at_once(world, [&delete, &start]).await?;
            // A delete is legal at any time.
            refused("delete", [&one], &[202]).or(refused("start", [&other], &[202, 404, 409]))
        }
        Race::DeleteAgainstDelete => {
            world.ledger.note(&create, &answered(world, 0, &create).await?);
            let [one, other] = at_once(world, [&delete, &delete]).await?;
            refused("delete", [&one, &other], &[202, 404])
        }
    };
    Ok(found.into_iter().map(|(name, words)| Violation::new(name, words)).collect())
}

async fn delete(world: &World, number: u32) -> Result<()> {
    let (method, path) = (Method::DELETE, format!("/v1/workspaces/race-{number}"));
    let asked = Asked::new(method, path);
    world.ledger.note(&asked, &answered(world, 0, &asked).await?);
    Ok(())
}

fn refused<'a>(
    what: &str,
    answers: impl IntoIterator<Item = &'a Answer>,
    legal: &[u16],
) -> Option<(&'static str, String)> {
    let wrong = answers.into_iter().find(|answer| !legal.contains(&answer.status))?;
    Some(("answers_are_no_faults", format!("a {what} was answered {wrong:?}")))
}

async fn answered(world: &World, server: usize, asked: &Asked) -> Result<Answer> {
    world.api.stubborn(server, asked, Instant::now() + Duration::from_secs(30)).await
}

/// Both leave at the same instant, each for an orchestrator of its own.
async fn at_once(world: &World, asked: [&Asked; 2]) -> Result<[Answer; 2]> {
    let barrier = tokio::sync::Barrier::new(2);
    let one = async |server: usize| {
        barrier.wait().await;
        answered(world, server, asked[server]).await
    };
    let (one, other) = tokio::try_join!(one(0), one(1))?;
    world.ledger.note(asked[0], &one);
    world.ledger.note(asked[1], &other);
    Ok([one, other])
}

/// Asked for and done.
async fn ended(world: &World, asked: &Asked) -> Result<()> {
    let answer = answered(world, 0, asked).await?;
    let Some(id) = world.ledger.note(asked, &answer) else {
        anyhow::bail!("{} {} was refused: {answer:?}", asked.method, asked.path);
    };
    crate::world::eventually("the end of what comes before a race", Duration::from_secs(60), async || {
        let now = world.api.get(&format!("/v1/operations/{id}"), Instant::now()).await?;
        Ok(!["queued", "running"].contains(&now.body["state"].as_str().unwrap_or_default()))
    })
    .await
}
