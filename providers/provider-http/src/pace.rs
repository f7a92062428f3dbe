//! A vendor's documented rates, kept before it has to say no.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// At most one call in each `interval`, and `burst` of them at once after a pause.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub interval: Duration,
    pub burst: NonZeroU32,
}

/// Rates by class of call; each object of a class is counted by itself.
#[derive(Default)]
pub struct Pace {
    classes: HashMap<&'static str, DefaultKeyedRateLimiter<String>>,
}

/// Objects that were not called for long need no memory; this many are kept before it is looked.
const KEPT: usize = 1024;

impl Pace {
    pub fn new(rates: impl IntoIterator<Item = (&'static str, Rate)>) -> Self {
        let limiter = |rate: Rate| {
            let quota = Quota::with_period(rate.interval)?.allow_burst(rate.burst);
            Some(RateLimiter::keyed(quota))
        };
        let classes = rates.into_iter().filter_map(|(class, rate)| Some((class, limiter(rate)?)));
        Self { classes: classes.collect() }
    }

    /// Returns when the call may be made. A class without a rate never waits.
    pub async fn wait(&self, class: &str, object: &String) {
        let Some(limiter) = self.classes.get(class) else { return };
        if limiter.len() > KEPT {
            limiter.retain_recent();
        }
        limiter.until_key_ready(object).await;
    }
}
