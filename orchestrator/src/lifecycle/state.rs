//! The life of a workspace: one total function over every state and event.

use contracts::workspace::Observed;

/// What happened to a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A create began, or begins again after a restart; or a start makes again what is gone.
    CreateStarted,
    /// Pulumi has applied the stack.
    Applied,
    /// A start began.
    StartStarted,
    /// The instance answered as users need it.
    BecameReady,
    StopStarted,
    StopFinished,
    SuspendFinished,
    /// It was seen so by whoever looks from time to time.
    FoundReady,
    /// It runs, and does not answer as it should.
    FoundUnwell,
    /// It does not run, and should.
    FoundDown,
    FoundStopped,
    FoundSuspended,
    /// A call timed out: the truth is not known.
    ContactLost,
    /// An operation ended with an error.
    OperationFailed,
    DeleteStarted,
    DeleteFinished,
}

impl Event {
    pub const ALL: [Event; 16] = [
        Event::CreateStarted,
        Event::Applied,
        Event::StartStarted,
        Event::BecameReady,
        Event::StopStarted,
        Event::StopFinished,
        Event::SuspendFinished,
        Event::FoundReady,
        Event::FoundUnwell,
        Event::FoundDown,
        Event::FoundStopped,
        Event::FoundSuspended,
        Event::ContactLost,
        Event::OperationFailed,
        Event::DeleteStarted,
        Event::DeleteFinished,
    ];

    /// Seen from outside, and no step of an operation.
    fn is_found(self) -> bool {
        use Event::*;
        matches!(self, FoundReady | FoundUnwell | FoundDown | FoundStopped | FoundSuspended | ContactLost)
    }
}

/// The event cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a workspace that is {state:?}")]
pub struct IllegalTransition {
    pub state: Observed,
    pub event: Event,
}

/// The state after `event`. Delete is legal from every state.
pub fn next(state: Observed, event: Event) -> Result<Observed, IllegalTransition> {
    use Observed::*;
    let reached = match event {
        Event::DeleteStarted => Some(Deleting),
        Event::DeleteFinished => only(state, &[Deleting], Absent),
        Event::CreateStarted => only(
            state,
            &[Absent, Provisioning, Booting, Ready, Degraded, Stopped, Suspended, Failed, Unknown],
            Provisioning,
        ),
        // Repeated, where the answer to the first was lost.
        Event::Applied => only(state, &[Provisioning, Booting], Booting),
        Event::StartStarted => only(
            state,
            &[Absent, Provisioning, Stopped, Suspended, Failed, Unknown, Degraded, Ready, Booting],
            Booting,
        ),
        Event::BecameReady => only(state, &[Booting, Degraded, Unknown, Ready], Ready),
        // Whoever looks may find this whatever the last word was.
        Event::FoundReady => Some(Ready),
        Event::FoundStopped => Some(Stopped),
        Event::FoundSuspended => Some(Suspended),
        Event::ContactLost => Some(Unknown),
        // Why it failed says more.
        Event::FoundUnwell | Event::FoundDown => (state != Failed).then_some(Degraded),
        Event::StopStarted => only(
            state,
            &[Absent, Ready, Degraded, Booting, Unknown, Failed, Stopping, Stopped, Suspended],
            Stopping,
        ),
        Event::StopFinished => only(state, &[Stopping, Stopped], Stopped),
        Event::SuspendFinished => only(state, &[Stopping, Suspended], Suspended),
        Event::OperationFailed => only(
            state,
            &[Absent, Provisioning, Booting, Stopping, Stopped, Deleting, Unknown, Failed],
            Failed,
        ),
    };
    reached.ok_or(IllegalTransition { state, event })
}

fn only(state: Observed, from: &[Observed], to: Observed) -> Option<Observed> {
    from.contains(&state).then_some(to)
}

/// What operations do, as a Mermaid diagram for the documentation. What a look finds leads there from everywhere, so it is
/// left out.
pub fn diagram() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned(), "    [*] --> Absent".to_owned()];
    for state in Observed::ALL {
        for event in Event::ALL.into_iter().filter(|event| !event.is_found()) {
            match next(state, event) {
                Ok(reached) if reached != state => {
                    lines.push(format!("    {state:?} --> {reached:?}: {event:?}"))
                }
                _ => {}
            }
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_is_legal_from_every_state() {
        for state in Observed::ALL {
            assert_eq!(next(state, Event::DeleteStarted), Ok(Observed::Deleting));
        }
    }

    #[test]
    fn an_operation_makes_only_a_workspace_ready_that_answered() {
        for state in Observed::ALL {
            let ready = next(state, Event::BecameReady).is_ok();
            let may =
                matches!(state, Observed::Booting | Observed::Degraded | Observed::Unknown | Observed::Ready);
            assert_eq!(ready, may, "{state:?}");
        }
    }

    #[test]
    fn an_interrupted_create_can_begin_again_wherever_it_was() {
        use Observed::*;
        // Ready as well: the process can end after that was stored and before the operation's end is.
        for state in [Absent, Provisioning, Booting, Ready, Unknown] {
            assert_eq!(next(state, Event::CreateStarted), Ok(Observed::Provisioning));
        }
    }

    #[test]
    fn every_state_can_be_reached_and_left() {
        for target in Observed::ALL {
            let reached = Observed::ALL.iter().any(|state| {
                *state != target && Event::ALL.iter().any(|event| next(*state, *event) == Ok(target))
            });
            let left = Event::ALL.iter().any(|event| next(target, *event).is_ok_and(|state| state != target));
            assert!(reached && left, "{target:?}");
        }
    }

    #[test]
    fn the_diagram_in_the_documentation_is_the_machine() {
        let page = include_str!("../../../docs/state-machine.md");
        assert!(
            page.contains(&diagram()),
            "docs/state-machine.md is out of date; it must hold:\n{}",
            diagram()
        );
    }
}
