//! What can happen to a request on its way. Tests and people who try Pilot make it happen.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Cloud, CloudError};

/// What the way to the cloud is like.
#[derive(Default)]
pub(crate) enum Fault {
    #[default]
    None,
    LoseAnswers {
        percent: u8,
        chance: Box<StdRng>,
    },
    Hang,
    HoldAnswer {
        writes: u32,
    },
    Unreachable,
    Slow(Duration),
    Busy {
        percent: u8,
        chance: Box<StdRng>,
        retry_after: Duration,
    },
}

impl Cloud {
    /// Every request takes effect, and the answers of `percent` in a hundred are lost; `seed` decides which.
    pub fn lose_answers(&self, percent: u8, seed: u64) {
        self.set(Fault::LoseAnswers { percent, chance: Box::new(StdRng::seed_from_u64(seed)) });
    }

    /// Requests are taken and never answered.
    pub fn hang(&self) {
        self.set(Fault::Hang);
    }

    /// No connection is made.
    pub fn become_unreachable(&self) {
        self.set(Fault::Unreachable);
    }

    /// The write with this number, counted from now, takes effect and is never answered; nor is any after it.
    pub fn hold_answer(&self, write: u32) {
        self.set(Fault::HoldAnswer { writes: write });
    }

    /// Each request takes so much longer.
    pub fn become_slow(&self, by: Duration) {
        self.set(Fault::Slow(by));
    }

    /// Of a hundred requests `percent` are refused, with the word to come again after a while; `seed` decides which.
    pub fn become_busy(&self, percent: u8, retry_after: Duration, seed: u64) {
        self.set(Fault::Busy { percent, chance: Box::new(StdRng::seed_from_u64(seed)), retry_after });
    }

    /// From now on machines are accepted when they are started, and do not run for want of room.
    pub fn fill(&self) {
        self.objects().fill();
    }

    /// From now on no volume is made for want of disks.
    pub fn run_out_of_disks(&self) {
        self.objects().run_out_of_disks();
    }

    /// All is as before.
    pub fn heal(&self) {
        self.set(Fault::None);
        self.objects().make_room();
    }

    fn set(&self, fault: Fault) {
        self.0.fault.send_replace(fault);
    }

    pub(crate) async fn on_the_way(&self) -> Result<(), CloudError> {
        let (mut refused, mut wait) = (None, Some(Duration::ZERO));
        // One that is only looked at tells nobody.
        self.0.fault.send_if_modified(|fault| {
            match fault {
                Fault::None | Fault::LoseAnswers { .. } => {}
                Fault::HoldAnswer { writes } => wait = (*writes > 0).then_some(Duration::ZERO),
                // Its caller gives up.
                Fault::Hang => wait = None,
                Fault::Slow(by) => wait = Some(*by),
                Fault::Unreachable => refused = Some(CloudError::Unreachable),
                Fault::Busy { percent, chance, retry_after } => {
                    let is_refused = chance.random_range(0..100) < *percent;
                    refused = is_refused.then_some(CloudError::Busy { retry_after: *retry_after });
                }
            }
            false
        });
        match wait {
            None => std::future::pending().await,
            Some(Duration::ZERO) => {}
            Some(by) => tokio::time::sleep(by).await,
        }
        refused.map_or(Ok(()), Err)
    }

    pub(crate) async fn on_the_way_back(&self, is_write: bool) -> Result<(), CloudError> {
        let (mut is_lost, mut is_held) = (false, false);
        self.0.fault.send_if_modified(|fault| {
            match fault {
                Fault::LoseAnswers { percent, chance } => is_lost = chance.random_range(0..100) < *percent,
                Fault::HoldAnswer { writes } if is_write => {
                    *writes = writes.saturating_sub(1);
                    is_held = *writes == 0;
                }
                _ => {}
            }
            false
        });
        if is_held {
            std::future::pending::<()>().await;
        }
        if is_lost { Err(CloudError::NoAnswer) } else { Ok(()) }
    }
}
