//! Small subnets for the networks of runtimes, out of a range that the operator gives. Docker's own
//! pools have room for about thirty networks. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

/// Gateway, instance, and room to spare; the smallest that Docker is happy with.
const SIZE: u32 = 28;
const STEP: u32 = 1 << (32 - SIZE);

/// The range from which subnets come, as in `10.213.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pool {
    first: u32,
    bits: u32,
}

impl Pool {
    /// `None` when it is no private IPv4 range that begins on its own border and has room for a subnet.
    pub fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=SIZE).contains(bits))?;
        let first = u32::from(address);
        let whole = first.trailing_zeros() >= 32 - bits;
        (whole && address.is_private()).then_some(Self { first, bits })
    }

    fn count(self) -> u32 {
        1 << (SIZE - self.bits)
    }

    /// All subnets, each runtime's own one first, so that two seldom want the same.
    pub fn subnets(self, runtime: &str) -> impl Iterator<Item = String> {
        let mut hasher = DefaultHasher::new();
        runtime.hash(&mut hasher);
        let begin = (hasher.finish() % u64::from(self.count())) as u32;
        (0..self.count()).map(move |index| {
            let slot = (begin + index) % self.count();
            format!("{}/{SIZE}", Ipv4Addr::from(self.first + slot * STEP))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_subnet_of_the_pool_comes_once_and_runtimes_begin_at_different_ones() {
        let pool = Pool::read("10.213.0.0/22").unwrap();
        let all: Vec<_> = pool.subnets("rt-a").collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 64);
        assert!(all.contains(&"10.213.0.0/28".to_owned()) && all.contains(&"10.213.3.240/28".to_owned()));
        let begins: BTreeSet<_> = (0..20).filter_map(|n| pool.subnets(&format!("rt-{n}")).next()).collect();
        assert!(begins.len() > 10, "{begins:?}");
    }

    #[test]
    fn a_range_that_is_public_crooked_or_too_small_is_none() {
        for text in ["8.8.0.0/16", "10.213.0.1/16", "10.0.0.0/30", "10.0.0.0", "fd00::/16", "0.0.0.0/0"] {
            assert_eq!(Pool::read(text), None, "{text}");
        }
    }
}
