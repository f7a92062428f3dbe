//! What can happen to a request on its way. Tests and people who try Pilot make it happen.

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
    Unreachable,
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

    /// All is as before.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    fn set(&self, fault: Fault) {
        self.0.fault.send_replace(fault);
    }

    pub(crate) async fn on_the_way(&self) -> Result<(), CloudError> {
        if matches!(*self.0.fault.borrow(), Fault::Unreachable) {
            return Err(CloudError::Unreachable);
        }
        if matches!(*self.0.fault.borrow(), Fault::Hang) {
            // Its caller gives up.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    pub(crate) async fn on_the_way_back(&self) -> Result<(), CloudError> {
        let mut is_lost = false;
        self.0.fault.send_modify(|fault| {
            if let Fault::LoseAnswers { percent, chance } = fault {
                is_lost = chance.random_range(0..100) < *percent;
            }
        });
        if is_lost { Err(CloudError::NoAnswer) } else { Ok(()) }
    }
}
