//! Whether a container that does not run was stopped, or has failed.
//!
//! Docker does not say who has ended a container. An instance ends with 0 when it is asked to, so that tells most stops; of one that
//! had to be killed, a register says that this very end was wanted. One that was made in the place of a stopped one was never started, and
//! has a label that says so.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use provider_api::{Result, RunStatus};

use super::machine::{Machine, labels, status, why_it_ended};
use crate::{names, registers};

/// Of who was asked to end and did: in order, or by the signal.
const ENDS: [i64; 2] = [0, 143];

/// Why it does not run, as far as the container alone tells.
fn why(found: &ContainerInspectResponse) -> Option<String> {
    let RunStatus::Stopped { .. } = status(found) else { return None };
    let state = found.state.as_ref()?;
    if state.status != Some(ContainerStateStatusEnum::CREATED) {
        let ended = state.exit_code.is_none_or(|code| !ENDS.contains(&code));
        return ended.then(|| why_it_ended(state)).flatten();
    }
    if labels(found).contains_key(names::RESTS) {
        return None;
    }
    let error = state.error.as_deref().filter(|error| !error.is_empty());
    Some(format!("it was never started{}", error.map(|error| format!(": {error}")).unwrap_or_default()))
}

/// By which this end of this container is known.
fn end(found: &ContainerInspectResponse) -> String {
    let at = found.state.as_ref().and_then(|state| state.finished_at.clone()).unwrap_or_default();
    format!("{} {at}", found.id.as_deref().unwrap_or_default())
}

impl Machine<'_> {
    /// Why it does not run although nobody has stopped it; `None` of all others.
    pub async fn why_not_well(&self, found: &ContainerInspectResponse) -> Result<Option<String>> {
        let Some(why) = why(found) else { return Ok(None) };
        let kept = registers::of(self.engine, &self.runtime).await?;
        let end = end(found);
        let wanted = kept.iter().any(|volume| names::stopped(&volume.labels) == Some(&end));
        Ok((!wanted).then_some(why))
    }

    /// Keeps that it is to be as it is, where it does not tell that by itself.
    pub(super) async fn note_stop(&self) -> Result<()> {
        let Some(found) = self.find().await? else { return Ok(()) };
        if self.why_not_well(&found).await?.is_none() {
            return Ok(());
        }
        let name = names::stop_register(&self.runtime.runtime_id);
        registers::discard(self.engine, &name).await;
        registers::keep(self.engine, &self.runtime, &name, names::stop_labels(&self.runtime, &end(&found)))
            .await
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState};

    use super::*;

    fn found(status: ContainerStateStatusEnum, code: i64, label: Option<&str>) -> ContainerInspectResponse {
        let running = Some(status == ContainerStateStatusEnum::RUNNING);
        let state =
            ContainerState { status: Some(status), running, exit_code: Some(code), ..Default::default() };
        let labels = label.map(|label| (label.to_owned(), String::new())).into_iter().collect();
        let config = ContainerConfig { labels: Some(labels), ..Default::default() };
        ContainerInspectResponse { state: Some(state), config: Some(config), ..Default::default() }
    }

    #[test]
    fn what_runs_or_ended_in_order_or_was_made_to_rest_is_well_and_all_else_is_not() {
        use ContainerStateStatusEnum::{CREATED, DEAD, EXITED, RUNNING};
        for (status, code, label) in
            [(RUNNING, 0, None), (EXITED, 0, None), (EXITED, 143, None), (CREATED, 0, Some(names::RESTS))]
        {
            assert_eq!(why(&found(status, code, label)), None, "{status:?} {code}");
        }
        for (status, code, words) in [
            (EXITED, 7, "exit code 7"),
            (EXITED, 137, "killed"),
            (DEAD, 255, "exit code 255"),
            (CREATED, 0, "never started"),
        ] {
            let why = why(&found(status, code, None)).unwrap();
            assert!(why.contains(words), "{why}");
        }
    }
}
