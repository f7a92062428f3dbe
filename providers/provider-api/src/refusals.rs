//! What instances were refused lately, and whether their lists of destinations are in force: for people who ask what a program
//! needs, and for those who ask why it waits.
//!
//! It is a look: it changes nothing, and no start waits for it. What is remembered has bounds, whatever an instance does.

use async_trait::async_trait;
use contracts::egress::report::Refused;

use crate::error::Result;
use crate::lifecycle::RuntimeRef;

/// What is so now of a runtime's list, and what it was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Why the list that the runtime has is not in force. `None` where it is, and where the runtime has none.
    pub not_in_force: Option<String>,
    /// Each destination once, the last first; of an hour at most.
    pub refused: Vec<Refused>,
    /// More was refused than is remembered.
    pub more: bool,
}

/// Looks at what where instances run has refused. Who has it holds runtimes to lists ([`crate::Provider::egress`]).
#[async_trait]
pub trait Refuses: Send + Sync {
    /// Of one runtime. What was refused before its list was last changed may be forgotten.
    async fn refusals(&self, runtime: &RuntimeRef) -> Result<Refusals>;
}
