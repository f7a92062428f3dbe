//! By which right an operation writes: its claim on the runtime, or the lease on what all runtimes of a provider share.

use std::sync::PoisonError;

use provider_server::Authority;

use super::Run;

impl Run {
    /// The lock of the stack is this operation's by right: whoever has it lost its claim, or its lease on what is shared. Where
    /// the store is one process's own, the other is of the same machine, and the engine knows whether it lives.
    pub fn may_break_lock(&self, stack: &stacks::Stack) -> bool {
        match self.is_of_runtime(stack) {
            true => self.is_heir(),
            false => self.shared_right().is_some() && !self.parts.store.is_alone(),
        }
    }

    /// `None` once it has given the lease back.
    pub fn holds_shared(&self, right: Option<Authority>) {
        *self.shared_right.lock().unwrap_or_else(PoisonError::into_inner) = right;
    }

    pub(super) fn shared_right(&self) -> Option<Authority> {
        self.shared_right.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of leases that it takes: another attempt at the same operation is another holder.
    pub fn holder(&self) -> String {
        format!("{}-{}", self.hold.operation, self.hold.fence)
    }

    /// Of a process that may be of another machine.
    pub(super) fn is_heir(&self) -> bool {
        self.inherited && !self.parts.store.is_alone()
    }

    /// What others share is of no runtime: there it is the lease that counts, while it lasts, and its fence where something outside
    /// keeps that.
    pub fn right_on(&self, stack: &stacks::Stack) -> Authority {
        match self.is_of_runtime(stack) {
            true => Authority { fence: Some(self.hold.fence), expiry: None },
            false => self.shared_right().unwrap_or_default(),
        }
    }

    fn is_of_runtime(&self, stack: &stacks::Stack) -> bool {
        stack.name == self.hold.runtime.as_str()
    }
}
