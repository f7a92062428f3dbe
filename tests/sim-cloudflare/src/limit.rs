//! The limit on calls: so many in five minutes for each token; whoever goes beyond is blocked for five more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub const WINDOW: Duration = Duration::from_secs(300);

pub struct Limit {
    calls: u32,
    windows: Mutex<HashMap<String, Window>>,
}

struct Window {
    began: Instant,
    calls: u32,
    blocked_until: Option<Instant>,
}

/// What the headers of every answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    pub reset: Duration,
}

impl Limit {
    pub fn new(calls: u32) -> Self {
        Self { calls, windows: Mutex::default() }
    }

    /// Counts a call. The error says how long to wait.
    pub fn take(&self, caller: &str, now: Instant) -> Result<Allowance, Duration> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window =
            windows.entry(caller.to_owned()).or_insert(Window { began: now, calls: 0, blocked_until: None });
        if let Some(until) = window.blocked_until {
            if now < until {
                return Err(until - now);
            }
            *window = Window { began: now, calls: 0, blocked_until: None };
        }
        if now >= window.began + WINDOW {
            *window = Window { began: now, calls: 0, blocked_until: None };
        }
        window.calls += 1;
        if window.calls > self.calls {
            window.blocked_until = Some(now + WINDOW);
            return Err(WINDOW);
        }
        let reset = (window.began + WINDOW).saturating_duration_since(now);
        Ok(Allowance { limit: self.calls, remaining: self.calls - window.calls, reset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_too_many_blocks_the_caller_for_five_minutes_and_nobody_else() {
        let (limit, start) = (Limit::new(2), Instant::now());
        assert_eq!(limit.take("a", start).unwrap().remaining, 1);
        assert_eq!(limit.take("a", start).unwrap().remaining, 0);
        assert_eq!(limit.take("a", start), Err(WINDOW));
        assert_eq!(limit.take("a", start + WINDOW / 2), Err(WINDOW / 2));
        assert!(limit.take("b", start).is_ok());
        assert!(limit.take("a", start + WINDOW).is_ok());
    }

    #[test]
    fn a_new_window_begins_when_the_old_one_has_passed() {
        let (limit, start) = (Limit::new(1), Instant::now());
        assert!(limit.take("a", start).is_ok());
        assert!(limit.take("a", start + WINDOW).is_ok());
    }
}
