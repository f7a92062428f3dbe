//! A push: the archive goes up as it is made, and the answer is a stream of how far it is.

use std::time::Duration;

use contracts::image::PushEvent;
use contracts::{ErrorCode, Problem, headers};
use reqwest::{Body, Response};

use super::failure::unreachable;
use super::transport::http;
use super::{Client, SILENCE, join};
use crate::sse::{Event, Parser};

/// For all of it: the server has limits of its own for each part, and is silent while it takes the archive.
const LONGEST: Duration = Duration::from_secs(4 * 60 * 60);

/// What the server tells of a push.
pub struct PushEvents {
    response: Response,
    parser: Parser,
    waiting: std::collections::VecDeque<Event>,
}

impl Client {
    pub async fn push_image(
        &self,
        provider: &str,
        name: Option<&str>,
        archive: Body,
    ) -> Result<PushEvents, Problem> {
        let server = &self.target.server;
        let request =
            http(&self.target, LONGEST)?.post(join(server, &format!("/v1/providers/{provider}/images")));
        let request =
            request.query(name.map(|name| ("name", name)).as_slice()).header("accept", "text/event-stream");
        let request = self.authorized(request.header("content-type", "application/x-tar").body(archive));
        let request = request.header(headers::REQUEST_ID, headers::new_request_id());
        let response = request.send().await.map_err(|error| unreachable(server, &self.target, &error))?;
        let response = self.accepted(response, server).await?;
        Ok(PushEvents { response, parser: Parser::default(), waiting: Default::default() })
    }
}

impl PushEvents {
    /// The next; a problem where the stream ends before its last.
    pub async fn next(&mut self) -> Result<PushEvent, Problem> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return serde_json::from_str(&event.data).map_err(|_| broken("what it told cannot be read"));
            }
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            match chunk.map_err(|_| broken("it told nothing any more"))? {
                Ok(Some(bytes)) => self.waiting.extend(self.parser.push(&bytes)),
                Ok(None) | Err(_) => return Err(broken("the connection broke")),
            }
        }
    }
}

fn broken(why: &str) -> Problem {
    let detail = format!("The server has the archive, and did not say whether the image is there: {why}.");
    Problem::new(ErrorCode::OrchestratorUnreachable, detail).with_action("Push it again: that does no harm.")
}
