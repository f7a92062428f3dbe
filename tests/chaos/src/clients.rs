//! Clients that ask as a plan says, and do not give up while they have no answer.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use crate::api::Asked;
use crate::options::Provider;
use crate::plan::{Ask, Step};
use crate::world::World;

/// Longer than all faults of a round, with the starts after them.
const ANSWER: Duration = Duration::from_secs(90);

/// The requests of one client, one after the other.
pub async fn run(world: &World, provider: Provider, name: &str, steps: &[Step]) -> Result<()> {
    let mut last = None;
    for (number, step) in steps.iter().enumerate() {
        // When a client asks is the plan's, not something to wait for.
        tokio::time::sleep(step.after).await;
        let key = format!("{name}-{number}");
        let Some(asked) = asked(&step.ask, provider, key, last.as_deref()) else { continue };
        let deadline = Instant::now() + ANSWER;
        let first = world.api.stubborn(number, &asked, deadline);
        let accepted = if step.twice {
            let (one, other) = tokio::join!(first, world.api.stubborn(number + 1, &asked, deadline));
            let one = world.ledger.note(&asked, &one?);
            world.ledger.note(&asked, &other?).or(one)
        } else {
            world.ledger.note(&asked, &first.await?)
        };
        last = accepted.or(last);
    }
    Ok(())
}

fn asked(ask: &Ask, provider: Provider, key: String, last: Option<&str>) -> Option<Asked> {
    let named = provider.name();
    let (method, path, body) = match ask {
        Ask::Create(slug) => {
            (Method::POST, "/v1/workspaces".to_owned(), Some(json!({"slug": slug, "provider": named})))
        }
        Ask::Change(change, slug) => (Method::POST, format!("/v1/workspaces/{slug}/{change}"), None),
        Ask::Rename(slug, to) => {
            (Method::POST, format!("/v1/workspaces/{slug}/rename"), Some(json!({"slug": to})))
        }
        Ask::Delete(slug) => (Method::DELETE, format!("/v1/workspaces/{slug}"), None),
        Ask::Teardown => (Method::DELETE, format!("/v1/providers/{named}/shared"), None),
        Ask::Cancel => (Method::POST, format!("/v1/operations/{}/cancel", last?), None),
    };
    // A rename and a cancel are the same however often they are asked for.
    let key = (!matches!(ask, Ask::Rename(..) | Ask::Cancel)).then_some(key);
    Some(Asked { method, path, body, key })
}
