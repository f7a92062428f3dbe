//! What was configured on which connection: an engine gives each provider of a program a connection, and that alone tells them
//! apart.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use tonic::Status;

use crate::Registry;

/// A program has fewer providers than this.
const MOST: usize = 64;

/// Settings of providers by their connections; `None` for one that has no settings of its own.
#[derive(Default)]
pub struct Configured(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_peer: HashMap<SocketAddr, (u64, Option<Registry>)>,
    /// Rises with each use.
    now: u64,
}

impl Known {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

impl Configured {
    /// A port can come back with another provider behind it: the last word counts. Of too many, the one that was not used for the
    /// longest is forgotten.
    pub fn set(&self, peer: SocketAddr, own: Option<Registry>) {
        let Ok(mut known) = self.0.lock() else { return };
        let now = known.tick();
        known.by_peer.insert(peer, (now, own));
        if known.by_peer.len() > MOST {
            let oldest = known.by_peer.iter().min_by_key(|(_, (used, _))| *used).map(|(peer, _)| *peer);
            oldest.and_then(|peer| known.by_peer.remove(&peer));
        }
    }

    /// The settings of a connection, where it has its own. Once others have been configured, one that was not is refused: it would
    /// act with the settings of the environment, perhaps at another place.
    pub fn of(&self, peer: Option<SocketAddr>) -> Result<Option<Registry>, Status> {
        let Ok(mut known) = self.0.lock() else { return Ok(None) };
        let (now, nobody) = (known.tick(), known.by_peer.is_empty());
        match peer.and_then(|peer| known.by_peer.get_mut(&peer)) {
            Some((used, own)) => {
                *used = now;
                Ok(own.clone())
            }
            None if nobody => Ok(None),
            None => Err(Status::failed_precondition(
                "this connection to the plugin was not configured, perhaps because the one before it broke; run it again",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_connections_those_in_use_are_remembered() {
        let configured = Configured::default();
        let peer = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert!(configured.of(Some(peer(1))).is_ok(), "nobody was configured yet");
        configured.set(peer(1), None);
        for port in 2..200 {
            configured.set(peer(port), None);
            assert!(configured.of(Some(peer(1))).is_ok(), "{port}");
        }
        assert!(configured.of(Some(peer(2))).is_err() && configured.of(None).is_err());
        assert!(configured.0.lock().unwrap().by_peer.len() <= MOST);
    }
}
