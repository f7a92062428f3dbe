//! Faults on order: which calls they hit, and what happens to those.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::Surface;

/// One order. Without a count it holds until the faults are cleared.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Both, if not given.
    #[serde(default)]
    pub surface: Option<Surface>,
    /// Any, if not given.
    #[serde(default)]
    pub method: Option<String>,
    /// The path without its query; `*` stands for any text.
    #[serde(default = "any")]
    pub path: String,
    /// How many calls it hits.
    #[serde(default)]
    pub count: Option<u32>,
    /// How likely it hits one.
    #[serde(default = "always")]
    pub probability: f64,
    pub kind: Kind,
}

/// What happens to a call that is hit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// This answer instead, and nothing is applied.
    Status {
        status: u16,
        #[serde(default)]
        body: Value,
    },
    /// It is answered later.
    Delay { ms: u64 },
    /// It is never answered, and nothing is applied.
    Hang,
    /// The connection ends, and nothing is applied.
    CutBefore,
    /// It is applied, and then the connection ends.
    CutAfter,
    /// It is applied, and half of the answer arrives as if it were all.
    TruncatedJson,
    /// A web page instead, as from a machine on the way; nothing is applied.
    Html,
    /// 429, with `retry-after` in seconds or without.
    TooMany {
        #[serde(default)]
        retry_after: Option<u64>,
    },
}

fn any() -> String {
    "*".to_owned()
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Hits the next call of this method and path.
    pub fn once(surface: Surface, method: &str, path: &str, kind: Kind) -> Self {
        Self { count: Some(1), ..Self::always(surface, method, path, kind) }
    }

    /// Hits every call of this method and path.
    pub fn always(surface: Surface, method: &str, path: &str, kind: Kind) -> Self {
        let (surface, method) = (Some(surface), Some(method.to_owned()));
        Self { surface, method, path: path.to_owned(), count: None, probability: 1.0, kind }
    }

    fn hits(&self, surface: Surface, method: &str, path: &str) -> bool {
        self.count != Some(0)
            && self.surface.is_none_or(|wanted| wanted == surface)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && matches(&self.path, path)
    }
}

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(begin) else { return false };
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
}

/// The faults that are ordered, and the dice.
pub struct Faults {
    inner: Mutex<(Vec<Fault>, StdRng)>,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        Self { inner: Mutex::new((Vec::new(), StdRng::seed_from_u64(seed))) }
    }

    pub fn order(&self, fault: Fault) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.push(fault);
    }

    pub fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.clear();
    }

    /// The dice begin anew.
    pub fn set_seed(&self, seed: u64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1 = StdRng::seed_from_u64(seed);
    }

    pub fn all(&self) -> Vec<Fault> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// What happens to this call: the first fault that hits it.
    pub fn take(&self, surface: Surface, method: &str, path: &str) -> Option<Kind> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, dice) = &mut *inner;
        for fault in faults.iter_mut().filter(|fault| fault.hits(surface, method, path)) {
            if fault.probability < 1.0 && !dice.random_bool(fault.probability.clamp(0.0, 1.0)) {
                continue;
            }
            fault.count = fault.count.map(|count| count - 1);
            return Some(fault.kind.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_paths_with_any_text_at_its_stars() {
        assert!(matches("*", "/x"));
        assert!(matches("/accounts/*/workers/scripts/*", "/accounts/a/workers/scripts/s"));
        assert!(matches("/a/*/b", "/a/x/y/b"));
        assert!(!matches("/a/*/b", "/a/x/c"));
        assert!(!matches("/a", "/a/b"));
    }

    #[test]
    fn a_fault_hits_as_often_as_ordered_and_only_what_it_names() {
        let faults = Faults::new(1);
        faults.order(Fault::once(Surface::Api, "PUT", "/x*", Kind::Hang));
        assert!(faults.take(Surface::Edge, "PUT", "/x1").is_none());
        assert!(faults.take(Surface::Api, "GET", "/x1").is_none());
        assert!(faults.take(Surface::Api, "PUT", "/x1").is_some());
        assert!(faults.take(Surface::Api, "PUT", "/x1").is_none());
    }

    #[test]
    fn the_same_seed_hits_the_same_calls() {
        let hits = |seed| {
            let faults = Faults::new(seed);
            let half = r#"{"probability": 0.5, "kind": "cut_before"}"#;
            faults.order(serde_json::from_str(half).unwrap());
            (0..64).map(|_| faults.take(Surface::Api, "GET", "/").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
        assert!((16..48).contains(&hits(7).iter().filter(|hit| **hit).count()));
    }
}
