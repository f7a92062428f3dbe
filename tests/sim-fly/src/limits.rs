//! The vendor's rate limits: one request a second for each action and object with bursts of three; a
//! machine may be read five times a second, ten at once; a hundred applications deleted in a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::action::Action;

/// Buckets that are full again are thrown away when there are so many.
const MANY: usize = 50_000;

#[derive(Debug)]
pub struct Limits {
    /// How many times the vendor's; `None` refuses nobody.
    times: Option<f64>,
    buckets: Mutex<HashMap<(&'static str, String), Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    each_second: f64,
    burst: f64,
}

fn rate(action: &str, times: f64) -> Rate {
    let vendors = match action {
        "machine_get" => Rate { each_second: 5.0, burst: 10.0 },
        "app_delete" => Rate { each_second: 100.0 / 60.0, burst: 100.0 },
        _ => Rate { each_second: 1.0, burst: 3.0 },
    };
    Rate { each_second: vendors.each_second * times, ..vendors }
}

impl Limits {
    pub fn new(times: Option<f64>) -> Self {
        Self { times, buckets: Mutex::default() }
    }

    /// True when the request is within its limit, and counts it. `caller` tells organisations apart.
    pub fn allow(&self, caller: &str, action: &Action, now: Instant) -> bool {
        let Some(times) = self.times else { return true };
        let rate = |action| rate(action, times);
        let of_this = rate(action.name);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > MANY {
            buckets.retain(|(name, _), bucket| bucket.refilled(rate(name), now) < rate(name).burst);
        }
        let key = (action.name, format!("{caller}/{}", action.object));
        let bucket = buckets.entry(key).or_insert(Bucket { left: of_this.burst, since: now });
        bucket.left = bucket.refilled(of_this, now);
        bucket.since = now;
        let allowed = bucket.left >= 1.0;
        if allowed {
            bucket.left -= 1.0;
        }
        allowed
    }
}

impl Bucket {
    fn refilled(&self, rate: Rate, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        (self.left + passed * rate.each_second).min(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn three_at_once_then_one_a_second_for_each_action_and_object() {
        let (limits, start) = (Limits::new(Some(1.0)), Instant::now());
        let action = |object: &str| Action { name: "machine_start", object: object.to_owned() };
        let allowed = |at: Instant| limits.allow("o", &action("m"), at);
        assert_eq!([start; 4].map(allowed), [true, true, true, false]);
        assert!(limits.allow("o", &action("other"), start), "another machine has its own limit");
        assert!(limits.allow("p", &action("m"), start), "so has another organisation");
        assert!(!allowed(start + Duration::from_millis(500)));
        assert!(allowed(start + Duration::from_millis(1100)));
        assert!(!allowed(start + Duration::from_millis(1200)));
    }
}
