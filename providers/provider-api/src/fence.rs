//! Fences: how what exists outside tells a late write from the work of its successor.
//!
//! Orchestrators that share a database take operations over: when the lease of the one that ran it is over,
//! another goes on, and the runtime's fence rises, a number from 1. A process that was thought dead and wakes up
//! still says the old one. Every write says its fence ([`RuntimeRef::fence`](crate::RuntimeRef::fence),
//! [`CreateRequest::fence`](crate::CreateRequest::fence) and its siblings), and a module keeps the highest that
//! it has seen of a runtime with what exists outside:
//!
//! - A write with a lower fence is refused: [`ErrorCode::Fenced`](contracts::ErrorCode::Fenced), nothing changed.
//! - A higher fence is kept before the write acts, also by one that finds nothing else to do.
//! - A write without a fence is never refused for it, and what is kept stays.
//!
//! What is promised: **a write that arrives after a write with a higher fence was finished is refused**, as long
//! as the object that keeps the fence is there. Between the look and the act another may come, where a vendor has
//! no conditional write; who takes over finishes a write of its own before it relies on this. Where nothing of a
//! runtime is left there is nothing to keep a fence, and nothing to protect.
//!
//! A fence is in no schema, input, output or difference: a take-over alone changes no resource and is no drift.

use crate::error::{ProviderError, Result, Stale};

/// Passes unless `seen`, the highest fence that is kept for the runtime, is higher than this write's. `object`,
/// its kind and name, is for the words of the refusal. The module keeps the write's own fence when that is higher.
pub fn pass(fence: Option<u64>, seen: Option<u64>, object: (&str, &str)) -> Result<()> {
    match (fence, seen) {
        (Some(ours), Some(theirs)) if ours < theirs => {
            Err(ProviderError::fenced(Stale::Fence, object, ours, theirs))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_fence_is_refused() {
        for (fence, seen) in
            [(None, None), (None, Some(3)), (Some(1), None), (Some(3), Some(3)), (Some(4), Some(3))]
        {
            assert!(pass(fence, seen, ("machine", "m")).is_ok(), "{fence:?} after {seen:?}");
        }
        let error = pass(Some(2), Some(3), ("machine", "m")).unwrap_err();
        assert_eq!(error.code, contracts::ErrorCode::Fenced);
        assert!(error.message.contains("the fence 2") && error.message.contains("the fence 3"), "{error}");
    }
}
