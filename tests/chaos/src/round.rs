//! One round: clients and faults at the same time, then quiet, then the questions.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;

use crate::invariants::{self, Violation};
use crate::options::Provider;
use crate::plan::Plan;
use crate::world::World;
use crate::{clients, faults, lasting};

/// How long a world may take until all is as it should be.
pub fn settling(provider: Provider) -> Duration {
    Duration::from_secs(if provider.is_heavy() { 180 } else { 90 })
}

/// What does not hold after it.
pub async fn run(world: &World, provider: Provider, plan: &Plan) -> Vec<Violation> {
    let asking = plan.clients.iter().enumerate().map(|(number, steps)| async move {
        let name = format!("round-{}-client-{number}", plan.round);
        clients::run(world, provider, &name, steps).await
    });
    let breaking = plan.faults.iter().map(|(at, fault)| faults::run(world, *at, fault));
    let (asked, broken) = tokio::join!(join_all(asking), async {
        let broken = join_all(breaking).await;
        // Clients that still ask are answered now.
        let healed = world.heal().await;
        broken.into_iter().chain([healed]).collect::<Vec<_>>()
    });
    let words =
        |name, result: Result<()>| result.err().map(|error| Violation::new(name, format!("{error:#}")));
    let mut found: Vec<Violation> =
        asked.into_iter().filter_map(|it| words("every_request_is_answered", it)).collect();
    found.extend(broken.into_iter().filter_map(|it| words("what_is_broken_comes_back", it)));
    found.extend(settle(world, settling(provider)).await);
    found
}

/// Until everything is as it should be, and what is not at the deadline; with what was wrong meanwhile.
pub async fn settle(world: &World, within: Duration) -> Vec<Violation> {
    let deadline = Instant::now() + within;
    loop {
        let mut found = match invariants::standing(world, deadline).await {
            Ok(found) => found,
            Err(error) => vec![Violation::new("every_request_is_answered", format!("{error:#}"))],
        };
        if found.is_empty() || Instant::now() > deadline {
            let lasting = lasting::lasting(world, Instant::now() + within, false).await;
            found.extend(lasting.unwrap_or_else(|error| {
                vec![Violation::new("every_request_is_answered", format!("{error:#}"))]
            }));
            return found;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// What was told to clients is so after all servers have started anew, too.
pub async fn farewell(world: &World) -> Result<Vec<Violation>> {
    for server in world.servers.iter() {
        server.kill()?;
        server.ensure(&world.pilot).await?;
    }
    lasting::lasting(world, Instant::now() + Duration::from_secs(60), true).await
}
