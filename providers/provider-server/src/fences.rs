//! By what authority each stack is worked on, as the host of this server says it for each operation.
//!
//! An engine that was told to stop may send one more call after its operation is over. It has the operation's
//! fence all the same, until the next operation on the stack says another: without one it would never be refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use provider_api::ProviderError;
use tracing::Span;

use crate::authority::Authority;

/// No engine sends a call so long after its operation.
const LINGER: Duration = Duration::from_secs(60 * 60);

#[derive(Default)]
pub struct Fences {
    stacks: Mutex<HashMap<String, Said>>,
}

/// What was said last of a stack.
struct Said {
    authority: Authority,
    /// The same for the guard of this operation alone.
    of: Arc<()>,
    over: Option<Instant>,
    /// What the calls are a part of; nothing once the operation is over, which else would never end in its trace.
    span: Span,
}

/// One operation of an engine on one stack, by one authority. It ends when this is dropped.
#[must_use = "the operation is over when this is dropped"]
pub struct Fenced {
    fences: Arc<Fences>,
    stack: String,
    of: Arc<()>,
}

impl Fences {
    /// From now on the calls for this stack have this authority, and are a part of the current span.
    pub fn begin(self: &Arc<Self>, stack: &str, authority: Authority) -> Fenced {
        let of = Arc::new(());
        let mut stacks = self.stacks();
        stacks.retain(|_, said| said.over.is_none_or(|over| over.elapsed() < LINGER));
        stacks.insert(
            stack.to_owned(),
            Said { authority, of: Arc::clone(&of), over: None, span: Span::current() },
        );
        Fenced { fences: Arc::clone(self), stack: stack.to_owned(), of }
    }

    /// The fence that a call for the resource of this URN is to have.
    pub fn of(&self, urn: &str) -> Option<u64> {
        self.stacks().get(stack_of(urn)?)?.authority.fence
    }

    /// Passes while a call for the resource of this URN may change something.
    pub fn must_hold(&self, urn: &str) -> Result<(), ProviderError> {
        let authority = stack_of(urn).and_then(|stack| Some(self.stacks().get(stack)?.authority.clone()));
        authority.map_or(Ok(()), |authority| authority.must_hold())
    }

    /// What a call for the resource of this URN is a part of.
    pub fn span_of(&self, urn: &str) -> Span {
        let span = stack_of(urn).and_then(|stack| Some(self.stacks().get(stack)?.span.clone()));
        span.unwrap_or_else(Span::none)
    }

    fn stacks(&self) -> std::sync::MutexGuard<'_, HashMap<String, Said>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        if let Some(said) = self.fences.stacks().get_mut(&self.stack)
            && Arc::ptr_eq(&said.of, &self.of)
        {
            said.over = Some(Instant::now());
            said.span = Span::none();
        }
    }
}

/// `urn:pulumi:stack::project::type::name`
pub(crate) fn stack_of(urn: &str) -> Option<&str> {
    urn.strip_prefix("urn:pulumi:")?.split("::").next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URN: &str = "urn:pulumi:rt-1::pilot::pilot:fake:Volume::home";

    fn fence(fence: Option<u64>) -> Authority {
        Authority { fence, expiry: None }
    }

    #[test]
    fn a_call_has_the_fence_of_its_stacks_last_operation_and_of_no_other_stack() {
        let fences = Arc::new(Fences::default());
        assert_eq!(fences.of(URN), None);
        let first = fences.begin("rt-1", fence(Some(4)));
        let _other = fences.begin("rt-12", fence(Some(9)));
        assert_eq!(fences.of(URN), Some(4));
        drop(first);
        assert_eq!(fences.of(URN), Some(4), "what its engine still sends is as late as the operation");
        let _without = fences.begin("rt-1", fence(None));
        assert_eq!(fences.of(URN), None);
        assert_eq!(fences.of("no urn"), None);
    }

    #[test]
    fn the_end_of_an_operation_that_was_followed_by_another_ends_nothing() {
        let fences = Arc::new(Fences::default());
        let first = fences.begin("rt-1", fence(Some(4)));
        let _second = fences.begin("rt-1", fence(Some(5)));
        drop(first);
        assert_eq!(fences.of(URN), Some(5));
        assert!(fences.stacks()["rt-1"].over.is_none());
    }
}
