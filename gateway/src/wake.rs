//! Somebody visits what is suspended: it goes on, and the visit waits for it within a bound.
//!
//! A visit is a page that a person opens, and a request of a program with a token, such as an SSH connection. What an open page asks by
//! itself, its streams above all, is none: nothing would stay asleep behind a tab that was left open.

use std::time::{Duration, Instant};

use contracts::workspace::{Observed, Route};
use contracts::{ErrorCode, Problem, Slug};
use http::header::ACCEPT;
use http::{Method, Request};

use crate::auth::Caller;
use crate::resolve::Resolver;

/// A boot from the disk takes seconds; who has waited longer is told to come again.
const LONGEST: Duration = Duration::from_secs(30);
/// What goes on with its memory is there at once, what boots is not.
const FIRST: Duration = Duration::from_millis(20);
const LARGEST: Duration = Duration::from_millis(250);

pub fn is_visit<B>(request: &Request<B>, caller: Caller) -> bool {
    let accepts = |kind: &str| {
        let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
        accepted.is_some_and(|accepted| accepted.contains(kind))
    };
    match caller {
        Caller::Token => !accepts("text/event-stream"),
        Caller::Session => request.method() == Method::GET && accepts("text/html"),
    }
}

/// The route to it once it answers, or the one that says why it does not.
pub async fn wake(resolver: &Resolver, slug: &Slug, request_id: &str) -> Result<Route, Problem> {
    let deadline = Instant::now() + LONGEST;
    resolver.wake(slug, request_id).await?;
    let mut pause = FIRST;
    loop {
        let route = resolver.resolve(slug, request_id).await?;
        let is_on_its_way = matches!(
            route.state,
            Observed::Suspended | Observed::Provisioning | Observed::Booting | Observed::Ready
        );
        if route.endpoint.is_some() || !is_on_its_way {
            return Ok(route);
        }
        if Instant::now() > deadline {
            let detail = format!(
                "The workspace {slug} was suspended and goes on; after {LONGEST:?} it is not ready yet."
            );
            return Err(
                Problem::new(ErrorCode::WorkspaceNotReady, detail).with_action("Try again in a moment.")
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LARGEST);
    }
}
