//! Why an operation is to end before it has done its work.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Somebody wants that.
    Asked,
    /// Another process goes on with it.
    Fenced,
    /// This process ends; another goes on.
    Shutdown,
}

/// Cheap to clone; clones share one word.
#[derive(Clone)]
pub struct Ending {
    token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl Ending {
    /// That of an operation ends with the process.
    pub fn new(shutdown: &CancellationToken) -> Self {
        Self { token: shutdown.child_token(), why: Arc::default() }
    }

    /// The first reason counts.
    pub fn because(&self, why: Why) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub fn why(&self) -> Option<Why> {
        let said = self.why.get().copied();
        said.or_else(|| self.token.is_cancelled().then_some(Why::Shutdown))
    }
}
