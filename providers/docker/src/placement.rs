//! Which host a new runtime goes to: of those that can take it, the one with the most free memory. Pure;
//! `hosts` gathers what is true of each.

use std::collections::HashMap;

use contracts::{ErrorCode, RuntimeId};
use provider_api::{ProviderError, Result};

/// A share of CPU is a limit and no reservation: instances wait most of the time, for people and for
/// models, so a core may be promised this many times.
const CPU_PROMISES: i64 = 8;

pub(crate) const MIB: i64 = 1024 * 1024;

/// What an instance takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    pub memory_mib: i64,
    pub cpu_millis: i64,
}

impl Need {
    pub fn exceeds(self, other: Need) -> bool {
        self.memory_mib > other.memory_mib || self.cpu_millis > other.cpu_millis
    }
}

/// What is true of one host.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub host: String,
    pub has_image: bool,
    pub total: Need,
    /// What our instances there may take, whoever owns them and whether they run or not.
    pub promised: HashMap<RuntimeId, Need>,
}

impl Room {
    fn free_memory(&self) -> i64 {
        self.total.memory_mib - self.promised.values().map(|need| need.memory_mib).sum::<i64>()
    }

    /// Why it cannot take it.
    pub fn refuses(&self, need: Need) -> Option<String> {
        let promised: i64 = self.promised.values().map(|need| need.cpu_millis).sum();
        let free_cpu = self.total.cpu_millis * CPU_PROMISES - promised;
        if !self.has_image {
            return Some("the instance image is not there".to_owned());
        }
        if self.free_memory() < need.memory_mib {
            return Some(format!(
                "{} MiB of memory are free, {} are needed",
                self.free_memory().max(0),
                need.memory_mib
            ));
        }
        (free_cpu < need.cpu_millis).then(|| {
            let times = CPU_PROMISES;
            format!(
                "its processors are promised {times} times over: {} thousandths of a core are left",
                free_cpu.max(0)
            )
        })
    }
}

/// The index of the chosen one. Of equals the first, so that everybody chooses the same.
pub(crate) fn choose(rooms: &[Room], need: Need) -> Result<usize> {
    let fitting = rooms.iter().enumerate().filter(|(_, room)| room.refuses(need).is_none());
    let best = fitting.max_by_key(|(index, room)| (room.free_memory(), std::cmp::Reverse(*index)));
    best.map(|(index, _)| index).ok_or_else(|| no_room(rooms, need))
}

pub(crate) fn no_room(rooms: &[Room], need: Need) -> ProviderError {
    let reason = |room: &Room| Some(format!("{}: {}", room.host, room.refuses(need)?));
    let reasons: Vec<String> = rooms.iter().filter_map(reason).collect();
    let message = format!("no Docker host has room for this instance ({})", reasons.join("; "));
    ProviderError::new(ErrorCode::ProviderCapacity, message)
        .with_action("Delete workspaces, choose a smaller size, or add a host to PILOT_DOCKER_HOSTS.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(memory_mib: i64, cpu_millis: i64) -> HashMap<RuntimeId, Need> {
        HashMap::from([(RuntimeId::random(), Need { memory_mib, cpu_millis })])
    }

    fn room() -> impl Strategy<Value = Room> {
        (any::<bool>(), 0..64_000i64, 1..16i64, 0..64_000i64, 0..128i64).prop_map(
            |(has_image, memory, cores, promised, promised_cores)| Room {
                host: "h".to_owned(),
                has_image,
                total: Need { memory_mib: memory, cpu_millis: cores * 1000 },
                promised: one(promised, promised_cores * 1000),
            },
        )
    }

    proptest! {
        #[test]
        fn the_chosen_host_fits_and_no_other_that_fits_has_more_free_memory(
            rooms in prop::collection::vec(room(), 0..8),
            memory_mib in 1..16_000i64,
        ) {
            let need = Need { memory_mib, cpu_millis: 2000 };
            match choose(&rooms, need) {
                Ok(chosen) => {
                    prop_assert!(rooms[chosen].refuses(need).is_none());
                    for room in rooms.iter().filter(|room| room.refuses(need).is_none()) {
                        prop_assert!(room.free_memory() <= rooms[chosen].free_memory());
                    }
                }
                Err(error) => {
                    prop_assert_eq!(error.code, ErrorCode::ProviderCapacity);
                    prop_assert!(rooms.iter().all(|room| room.refuses(need).is_some()));
                }
            }
        }
    }

    #[test]
    fn when_none_has_room_each_says_why() {
        let total = Need { memory_mib: 4096, cpu_millis: 2000 };
        let empty = Room { host: "a".to_owned(), has_image: false, total, promised: HashMap::new() };
        let full = Room { host: "b".to_owned(), has_image: true, total, promised: one(3000, 0) };
        let busy = Room { host: "c".to_owned(), has_image: true, total, promised: one(0, 16_000) };
        let error = choose(&[empty, full, busy], Need { memory_mib: 2048, cpu_millis: 2000 }).unwrap_err();
        for words in ["a: the instance image", "b: 1096 MiB", "c: its processors"] {
            assert!(error.message.contains(words), "{error}");
        }
    }
}
