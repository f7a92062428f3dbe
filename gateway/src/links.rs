//! Login codes: random, for one scope, valid once and for a short time. They live in memory only.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::host::Scope;

pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A link is made by hand; this many open ones at once mean a script gone wild, and the oldest goes.
const LIMIT: usize = 256;

struct Open {
    code: String,
    scope: Scope,
    until: Instant,
}

#[derive(Default)]
pub struct Links {
    open: Mutex<Vec<Open>>,
}

impl Links {
    /// A new code that logs one browser in to the scope.
    pub fn mint(&self, scope: Scope, now: Instant) -> String {
        let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut open = self.lock();
        open.retain(|link| link.until > now);
        if open.len() >= LIMIT {
            open.remove(0);
        }
        open.push(Open { code: code.clone(), scope, until: now + LIFETIME });
        code
    }

    /// True once for a code that is still valid in this scope. A try in another scope leaves it.
    pub fn redeem(&self, code: &str, scope: &Scope, now: Instant) -> bool {
        let mut open = self.lock();
        open.retain(|link| link.until > now);
        // Compares with every code in constant time, so that time says nothing about any of them.
        let matching = open.iter().enumerate().fold(None, |found, (index, link)| {
            let same = bool::from(link.code.as_bytes().ct_eq(code.as_bytes()));
            if same && link.scope == *scope { Some(index) } else { found }
        });
        matching.map(|index| open.remove(index)).is_some()
    }

    /// Nothing panics while it is held; a poisoned list is still a list.
    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once_in_its_scope_and_not_after_its_time() {
        let links = Links::default();
        let now = Instant::now();
        let demo = Scope::Workspace("demo".parse().unwrap());
        let code = links.mint(demo.clone(), now);
        assert!(!links.redeem(&code, &Scope::Control, now));
        assert!(!links.redeem("", &demo, now));
        assert!(links.redeem(&code, &demo, now));
        assert!(!links.redeem(&code, &demo, now));
        let late = links.mint(demo.clone(), now);
        assert!(!links.redeem(&late, &demo, now + LIFETIME));
    }

    #[test]
    fn codes_are_different_and_their_number_is_bounded() {
        let links = Links::default();
        let now = Instant::now();
        let first = links.mint(Scope::Control, now);
        let codes: std::collections::HashSet<_> =
            (0..LIMIT).map(|_| links.mint(Scope::Control, now)).collect();
        assert_eq!((codes.len(), links.lock().len()), (LIMIT, LIMIT));
        assert!(!links.redeem(&first, &Scope::Control, now), "the oldest made room");
    }
}
