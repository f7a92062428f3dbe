//! `--kills N`: something is killed at a random moment of one kind of operation after the other, in the order of a life, with
//! what a workspace must never lose in its home.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::future::{join_all, try_join_all};
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::json;

use crate::api::Asked;
use crate::invariants::text;
use crate::round;
use crate::run::{Run, progress, told};
use crate::world::{World, eventually};

/// The kinds, in the order of a life.
const KINDS: [&str; 5] = ["create", "update", "stop", "start", "delete"];

/// So many workspaces are hit by each kill.
const AT_ONCE: usize = 2;

/// Until an operation that nothing disturbs any more has ended.
const ENDED: Duration = Duration::from_secs(120);

/// After so many a world has seen enough; a multiple of the kinds.
const WORLD: u32 = 50;

/// From whatever a kill has left to what the next one needs, at most.
const STEPS: u32 = 5;

/// What a kill hits.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    Engine,
    Both,
}

const VICTIMS: [Victim; 3] = [Victim::Server, Victim::Engine, Victim::Both];

/// As many as the options say, in as many worlds as they say, or until the time is up.
pub async fn run(run: &Run<'_>) -> Result<()> {
    let (count, worlds) = (run.options.kills, run.options.worlds.clamp(1, run.options.kills));
    let bar = progress("kills", count.into());
    let shares = (0..worlds).map(|world| count / worlds + u32::from(world < count % worlds));
    try_join_all(shares.enumerate().map(|(number, share)| some(run, number as u64, share, &bar))).await?;
    bar.finish_and_clear();
    Ok(())
}

async fn some(run: &Run<'_>, number: u64, share: u32, bar: &ProgressBar) -> Result<()> {
    let provider = run.options.provider;
    let mut chance = StdRng::seed_from_u64(run.options.seed ^ (number << 40));
    let mut done = 0;
    while done < share && !run.is_over() {
        let mut world = World::start(run.options).await?;
        let mut lives = Lives::learn(&world, provider.name()).await?;
        let (end, mut is_broken) = (share.min(done + WORLD), false);
        while done < end && !is_broken && !run.is_over() {
            let kind = KINDS[done as usize % KINDS.len()];
            let victim = VICTIMS[chance.random_range(0..VICTIMS.len())];
            // Now and then just after its end.
            let delay = lives.span(kind).mul_f64(chance.random_range(0.0..1.1));
            bar.set_message(format!("{kind}, {victim:?} after {delay:.0?}"));
            let hit = lives.disturbed(&world, kind, victim, delay).await?;
            let found = round::settle(&world, round::settling(provider)).await;
            done += 1;
            run.report().kills += 1;
            run.report().kills_in_the_middle += u32::from(hit);
            is_broken = !found.is_empty();
            let (place, schedule) =
                (format!("kill {done} of world {number}"), format!("{kind}, {victim:?} after {delay:?}\n"));
            run.found(&mut world, &place, found, &schedule, None);
            bar.inc(1);
            told(bar);
        }
        run.end(world).await?;
    }
    Ok(())
}

/// Workspaces that go from one kind of operation to the next.
struct Lives {
    provider: &'static str,
    slugs: Vec<String>,
    /// How long each kind takes when nothing is killed.
    spans: Vec<Duration>,
    is_medium: bool,
}

impl Lives {
    /// A whole life that nothing disturbs, to know how long each part of it takes.
    async fn learn(world: &World, provider: &'static str) -> Result<Self> {
        let slugs = (0..AT_ONCE).map(|number| format!("life-{number}")).collect();
        let mut lives = Self { provider, slugs, spans: Vec::new(), is_medium: false };
        for kind in KINDS {
            let began = Instant::now();
            lives.ask(world, kind).await?;
            ended(world, kind).await?;
            lives.spans.push(began.elapsed());
        }
        Ok(lives)
    }

    fn span(&self, kind: &str) -> Duration {
        KINDS.iter().zip(&self.spans).find(|(known, _)| **known == kind).map_or(ENDED, |(_, span)| *span)
    }

    /// Whether an operation was under way when it was killed.
    async fn disturbed(
        &mut self,
        world: &World,
        kind: &str,
        victim: Victim,
        delay: Duration,
    ) -> Result<bool> {
        self.prepare(world, kind).await?;
        self.ask(world, kind).await?;
        tokio::time::sleep(delay).await;
        let hit = open(world).await?;
        let server = &world.servers[0];
        let _turn = server.turn.lock().await;
        if matches!(victim, Victim::Engine | Victim::Both) {
            server.kill_engine()?;
        }
        if matches!(victim, Victim::Server | Victim::Both) {
            server.kill()?;
            server.ensure(&world.pilot).await?;
        }
        Ok(hit)
    }

    /// What a kill has made fail, or what a world that is new does not have yet, is made good first.
    async fn prepare(&mut self, world: &World, kind: &str) -> Result<()> {
        let wanted = match kind {
            "create" => None,
            "start" => Some("stopped"),
            _ => Some("ready"),
        };
        for _ in 0..STEPS {
            let mut is_there = true;
            for slug in &self.slugs {
                let path = format!("/v1/workspaces/{slug}");
                let found = world.api.get(&path, Instant::now() + ENDED).await?;
                let state = (found.status == 200).then(|| text(&found.body, "state"));
                let change = match (state, wanted) {
                    (None, None) => continue,
                    (Some(state), Some(wanted)) if state == wanted => continue,
                    (None, Some(_)) => self.create(slug),
                    (Some(_), None) => Asked::new(Method::DELETE, path),
                    (Some("ready"), Some("stopped")) => Asked::new(Method::POST, path + "/stop"),
                    (Some(_), Some(_)) => Asked::new(Method::POST, path + "/start"),
                };
                is_there = false;
                self.accepted(world, change).await?;
            }
            if is_there {
                return Ok(());
            }
            ended(world, "what comes before").await?;
        }
        bail!("what is needed for a {kind} is never there")
    }

    /// All of them, at once.
    async fn ask(&mut self, world: &World, kind: &str) -> Result<()> {
        if kind == "update" {
            self.is_medium = !self.is_medium;
        }
        let size = if self.is_medium { "medium" } else { "small" };
        let changes = self.slugs.iter().map(|slug| {
            let path = format!("/v1/workspaces/{slug}");
            let change = match kind {
                "create" => self.create(slug),
                "delete" => Asked::new(Method::DELETE, path),
                "update" => Asked::new(Method::POST, path + "/update").with(json!({"size": size})),
                change => Asked::new(Method::POST, format!("{path}/{change}")),
            };
            self.accepted(world, change)
        });
        join_all(changes).await.into_iter().collect()
    }

    fn create(&self, slug: &str) -> Asked {
        let body = json!({"slug": slug, "provider": self.provider, "size": "small"});
        Asked::create(body)
    }

    async fn accepted(&self, world: &World, asked: Asked) -> Result<()> {
        let answer = world.api.stubborn(0, &asked, Instant::now() + ENDED).await?;
        world.ledger.note(&asked, &answer);
        if answer.status >= 300 {
            bail!("{} {} was refused: {answer:?}", asked.method, asked.path);
        }
        Ok(())
    }
}

async fn open(world: &World) -> Result<bool> {
    let deadline = Instant::now() + ENDED;
    for state in ["queued", "running"] {
        let path = format!("/v1/operations?state={state}");
        if !world.api.all(&path, "operations", deadline).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn ended(world: &World, what: &str) -> Result<()> {
    eventually(what, ENDED, async || Ok(!open(world).await?)).await
}
