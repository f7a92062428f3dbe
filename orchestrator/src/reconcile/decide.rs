//! What follows from what is desired, what was known and what is seen: one table, without any I/O.

use contracts::operation::OperationKind;
use contracts::workspace::{Desired, Endpoint, Observed};
use contracts::{ErrorCode, Problem};

use crate::lifecycle::state::Event;

/// What a look at an instance has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It answers as users need it.
    Answers(Endpoint),
    /// It runs and does not, and may by itself; traffic may go to the endpoint, which says so.
    Unwell(Problem, Option<Endpoint>),
    /// It runs and will not answer until it is started anew.
    GaveUp(Problem),
    Stopped,
    Suspended,
    /// Surely gone.
    Absent,
    /// Gone, and the files that it had as well.
    Lost(Problem),
    /// It cannot be seen at present.
    Hidden(Problem),
}

impl Seen {
    pub fn runs(&self) -> bool {
        matches!(self, Seen::Answers(_) | Seen::Unwell(..) | Seen::GaveUp(_))
    }
}

/// What to note, and what has to be done for what is desired to be true.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    pub note: Option<(Event, Option<Endpoint>, Option<Problem>)>,
    pub want: Option<OperationKind>,
}

pub fn decide(desired: Desired, observed: Observed, error: Option<&Problem>, seen: Seen) -> Decision {
    match desired {
        Desired::Running if observed == Observed::Failed => after_failure(error, seen),
        Desired::Running => running(seen),
        Desired::Stopped => stopped(seen),
        Desired::Suspended => suspended(seen),
        Desired::Deleted => Decision { note: None, want: Some(OperationKind::Delete) },
    }
}

fn note(event: Event) -> Decision {
    Decision { note: Some((event, None, None)), want: None }
}

fn want(kind: OperationKind) -> Decision {
    Decision { note: None, want: Some(kind) }
}

fn hidden(problem: Problem) -> Decision {
    // Not reachable is not gone: who has the route goes on using it.
    Decision { note: Some((Event::ContactLost, None, Some(problem))), want: None }
}

fn running(seen: Seen) -> Decision {
    let ill = |problem, endpoint| Some((Event::FoundUnwell, endpoint, Some(problem)));
    let gone = |detail: &str| {
        let problem = Problem::new(ErrorCode::InstanceFailed, detail).with_action(
            "It is started again by itself, unless the server runs with `--repair report`; `pilot ws start NAME` does it \
             at once.",
        );
        Some((Event::FoundDown, None, Some(problem)))
    };
    match seen {
        Seen::Answers(endpoint) => {
            Decision { note: Some((Event::FoundReady, Some(endpoint), None)), want: None }
        }
        Seen::Unwell(problem, endpoint) => Decision { note: ill(problem, endpoint), want: None },
        Seen::GaveUp(problem) => Decision { note: ill(problem, None), want: Some(OperationKind::Start) },
        Seen::Stopped => {
            let note = gone("The instance is not running any more.");
            Decision { note, want: Some(OperationKind::Start) }
        }
        Seen::Suspended => {
            Decision { note: gone("The instance is suspended."), want: Some(OperationKind::Resume) }
        }
        Seen::Absent => {
            let note = gone("The instance is gone: somebody or something removed it.");
            Decision { note, want: Some(OperationKind::Start) }
        }
        // Whether to begin anew without them is for its user to say.
        Seen::Lost(problem) => Decision { note: Some((Event::FoundDown, None, Some(problem))), want: None },
        Seen::Hidden(problem) => hidden(problem),
    }
}

/// What has failed keeps its error until it answers. It is tried again where that may help.
fn after_failure(error: Option<&Problem>, seen: Seen) -> Decision {
    let may_pass = error.is_none_or(|problem| problem.retryable);
    match seen {
        Seen::Answers(endpoint) => {
            Decision { note: Some((Event::FoundReady, Some(endpoint), None)), want: None }
        }
        Seen::Stopped | Seen::Suspended | Seen::Absent | Seen::GaveUp(_) if may_pass => {
            want(OperationKind::Start)
        }
        _ => Decision::default(),
    }
}

/// It does not run, as it is desired; whether it ever can again is told now, and not when somebody starts it.
fn lost(problem: Problem) -> Decision {
    Decision { note: Some((Event::FoundStopped, None, Some(problem))), want: None }
}

fn stopped(seen: Seen) -> Decision {
    match seen {
        Seen::Stopped | Seen::Absent => note(Event::FoundStopped),
        Seen::Lost(problem) => lost(problem),
        Seen::Answers(_) | Seen::Unwell(..) | Seen::GaveUp(_) | Seen::Suspended => want(OperationKind::Stop),
        Seen::Hidden(problem) => hidden(problem),
    }
}

fn suspended(seen: Seen) -> Decision {
    match seen {
        // Hibernated, or its memory is lost. Its user has not stopped it: a visit boots it.
        Seen::Suspended | Seen::Stopped => note(Event::FoundSuspended),
        Seen::Absent => note(Event::FoundStopped),
        Seen::Lost(problem) => lost(problem),
        Seen::Answers(_) | Seen::Unwell(..) | Seen::GaveUp(_) => want(OperationKind::Suspend),
        Seen::Hidden(problem) => hidden(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::state::next;

    fn problem(code: ErrorCode) -> Problem {
        Problem::new(code, "so")
    }

    fn all_seen() -> [Seen; 9] {
        [
            Seen::Answers(Endpoint::plain("h", 1)),
            Seen::Unwell(problem(ErrorCode::OpencodeUnavailable), None),
            Seen::Unwell(problem(ErrorCode::UpstreamUnreachable), Some(Endpoint::plain("h", 1))),
            Seen::GaveUp(problem(ErrorCode::InstanceFailed)),
            Seen::Stopped,
            Seen::Suspended,
            Seen::Absent,
            Seen::Lost(problem(ErrorCode::HomeGone)),
            Seen::Hidden(problem(ErrorCode::DockerUnavailable)),
        ]
    }

    const DESIRED: [Desired; 4] = [Desired::Running, Desired::Stopped, Desired::Suspended, Desired::Deleted];

    #[test]
    fn whatever_is_seen_of_whatever_was_known_leads_to_a_state_or_to_work() {
        for (desired, observed) in DESIRED.iter().flat_map(|d| Observed::ALL.iter().map(move |o| (*d, *o))) {
            for seen in all_seen() {
                let decision = decide(desired, observed, None, seen.clone());
                if let Some((event, ..)) = decision.note {
                    assert!(next(observed, event).is_ok(), "{desired:?} {observed:?} {seen:?}: {event:?}");
                } else if observed != Observed::Failed {
                    assert!(decision.want.is_some(), "{desired:?} {observed:?} {seen:?}");
                }
            }
        }
    }

    #[test]
    fn what_runs_is_never_found_down_and_what_does_not_never_just_unwell() {
        for seen in all_seen() {
            let event = decide(Desired::Running, Observed::Ready, None, seen.clone()).note.map(|note| note.0);
            let is_known = !matches!(seen, Seen::Hidden(_));
            assert_eq!(event == Some(Event::FoundDown), is_known && !seen.runs(), "{seen:?}: {event:?}");
            let runs = matches!(event, Some(Event::FoundReady | Event::FoundUnwell));
            assert_eq!(runs, seen.runs(), "{seen:?}: {event:?}");
        }
    }

    #[test]
    fn what_a_user_has_stopped_is_never_started() {
        for (observed, seen) in Observed::ALL.iter().flat_map(|o| all_seen().map(|seen| (*o, seen))) {
            for desired in [Desired::Stopped, Desired::Suspended, Desired::Deleted] {
                let want = decide(desired, observed, None, seen.clone()).want;
                assert!(!matches!(
                    want,
                    Some(OperationKind::Start | OperationKind::Resume | OperationKind::Create)
                ));
            }
        }
    }

    #[test]
    fn what_sleeps_goes_on_sleeping_whether_its_memory_was_kept_or_not() {
        for seen in [Seen::Suspended, Seen::Stopped] {
            let decision = decide(Desired::Suspended, Observed::Suspended, None, seen);
            assert_eq!(decision, note(Event::FoundSuspended));
        }
    }

    #[test]
    fn a_home_that_is_gone_is_told_whatever_is_desired_and_nothing_follows() {
        for desired in &DESIRED[..3] {
            let seen = Seen::Lost(problem(ErrorCode::HomeGone));
            let decision = decide(*desired, Observed::Stopped, None, seen);
            let (_, _, told) = decision.note.expect("it is noted");
            assert!(told.is_some_and(|problem| problem.code == ErrorCode::HomeGone), "{desired:?}");
            assert_eq!(decision.want, None, "{desired:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_neither_started_nor_stopped() {
        for (desired, observed) in
            DESIRED[..3].iter().flat_map(|d| Observed::ALL.iter().map(move |o| (*d, *o)))
        {
            let seen = Seen::Hidden(problem(ErrorCode::DockerUnavailable));
            assert_eq!(decide(desired, observed, None, seen).want, None);
        }
    }

    #[test]
    fn what_failed_for_good_waits_for_its_user_and_shows_why() {
        let why = problem(ErrorCode::GitNotFound);
        for seen in all_seen() {
            let decision = decide(Desired::Running, Observed::Failed, Some(&why), seen.clone());
            match seen {
                Seen::Answers(_) => assert!(decision.note.is_some()),
                _ => assert_eq!(decision, Decision::default(), "{seen:?}"),
            }
        }
        let passing = problem(ErrorCode::ProviderCapacity);
        let decision = decide(Desired::Running, Observed::Failed, Some(&passing), Seen::Absent);
        assert_eq!(decision.want, Some(OperationKind::Start));
    }
}
