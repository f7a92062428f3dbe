//! The health of the instance as one total function, and its publication.

use backend::Status;
use contracts::ErrorCode;
use contracts::identity::HealthStatus;
use tokio::sync::watch;

/// What happened. Texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step of the boot or of a restart began.
    Began(String),
    /// OpenCode answered its health route.
    Answered { version: String },
    /// OpenCode died or stopped answering.
    Lost(String),
    /// It will not work without a change from outside.
    GaveUp { code: ErrorCode, why: String },
}

/// `failed` is final; an instance that was once `ok` is never `starting` again, only `degraded`.
pub fn next(status: &Status, event: Event) -> Status {
    let version = status.version.clone();
    match (status.health, event) {
        (HealthStatus::Failed, _) => status.clone(),
        (_, Event::GaveUp { code, why }) => {
            Status { health: HealthStatus::Failed, version, detail: Some(why), code: Some(code) }
        }
        (_, Event::Answered { version }) => Status::ok(version),
        (HealthStatus::Starting, Event::Began(what) | Event::Lost(what)) => Status::starting(what),
        (HealthStatus::Ok | HealthStatus::Degraded, Event::Began(what) | Event::Lost(what)) => {
            Status { health: HealthStatus::Degraded, version, detail: Some(what), code: None }
        }
    }
}

/// The only writer of the status.
#[derive(Debug, Clone)]
pub struct Publisher {
    sender: watch::Sender<Status>,
}

impl Publisher {
    pub fn new() -> Self {
        Self { sender: watch::Sender::new(Status::starting("the instance is booting")) }
    }

    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.sender.subscribe()
    }

    /// Applies the event and logs what changed.
    pub fn tell(&self, event: Event) {
        self.sender.send_if_modified(|status| {
            let after = next(status, event);
            let changed = after != *status;
            if changed {
                let (health, detail) = (after.health, after.detail.as_deref());
                tracing::info!(?health, code = after.code.map(ErrorCode::as_str), detail, "health");
                *status = after;
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(health: HealthStatus) -> Status {
        let code = (health == HealthStatus::Failed).then_some(ErrorCode::GitNotFound);
        Status { health, version: None, detail: None, code }
    }

    #[test]
    fn every_state_takes_every_event() {
        use HealthStatus::{Degraded, Failed, Ok, Starting};
        let events = [
            Event::Began("x".to_owned()),
            Event::Answered { version: "1".to_owned() },
            Event::Lost("x".to_owned()),
            Event::GaveUp { code: ErrorCode::OpencodeMissing, why: "x".to_owned() },
        ];
        for (before, after) in [
            (Starting, [Starting, Ok, Starting, Failed]),
            (Ok, [Degraded, Ok, Degraded, Failed]),
            (Degraded, [Degraded, Ok, Degraded, Failed]),
            (Failed, [Failed, Failed, Failed, Failed]),
        ] {
            for (event, expected) in events.iter().zip(after) {
                let got = next(&status(before), event.clone());
                assert_eq!(got.health, expected, "{before:?} + {event:?}");
                assert_eq!(got.code.is_some(), expected == Failed, "only failed has a code");
            }
        }
    }

    #[test]
    fn the_first_reason_of_a_failure_is_kept() {
        let again = Event::GaveUp { code: ErrorCode::OpencodeMissing, why: "x".to_owned() };
        assert_eq!(next(&status(HealthStatus::Failed), again).code, Some(ErrorCode::GitNotFound));
    }

    #[test]
    fn the_version_outlives_a_restart() {
        let ok = next(&status(HealthStatus::Starting), Event::Answered { version: "1.2".to_owned() });
        assert_eq!(next(&ok, Event::Lost("died".to_owned())).version.as_deref(), Some("1.2"));
    }
}
