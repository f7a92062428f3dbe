//! What is the same for long is said once in a while, and not each time that it is seen.

use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_secs(30);

/// When it was said last, since it began.
#[derive(Default)]
pub struct Repeated(Option<Instant>);

impl Repeated {
    /// At first, and then every half a minute.
    pub fn is_news(&mut self) -> bool {
        let is_news = self.0.is_none_or(|said| said.elapsed() >= AGAIN);
        if is_news {
            self.0 = Some(Instant::now());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_said_at_first_and_once_in_a_while() {
        let mut outage = Repeated::default();
        assert_eq!([(); 3].map(|()| outage.is_news()), [true, false, false]);
        outage.0 = Instant::now().checked_sub(AGAIN);
        assert!(outage.is_news() && !outage.is_news());
    }
}
