//! A command in an instance. It is not idempotent, so it is sent once, and who cannot know what became of it is told that.

use std::time::Duration;

use contracts::exec::{Exec, Executed, USUAL_TIMEOUT_SECONDS};
use contracts::{Problem, WorkspaceRef, headers};

use super::failure::unreachable;
use super::transport::http;
use super::{ANSWER_TIMEOUT, Client, join};

impl Client {
    pub async fn exec(&self, name: &WorkspaceRef, wanted: &Exec) -> Result<Executed, Problem> {
        let limit = Duration::from_secs(wanted.timeout_seconds.unwrap_or(USUAL_TIMEOUT_SECONDS));
        // The server is silent for as long as the command runs.
        let limit = limit.saturating_add(ANSWER_TIMEOUT);
        let server = &self.target.server;
        let request = http(&self.target, limit)?.post(join(server, &format!("/v1/workspaces/{name}/exec")));
        let request = self.authorized(request.json(wanted).timeout(limit));
        let request = request.header(headers::REQUEST_ID, headers::new_request_id());
        let response = request.send().await.map_err(|error| {
            let problem = unreachable(server, &self.target, &error);
            if error.is_connect() { problem } else { may_have_run(problem) }
        })?;
        let response = self.accepted(response, server).await?;
        self.read(response, server).await.map_err(may_have_run)
    }
}

fn may_have_run(mut problem: Problem) -> Problem {
    problem.retryable = false;
    problem.detail.push_str(" The command may have run, or may still run.");
    problem.with_action("Look what it has done before you run it again.")
}
