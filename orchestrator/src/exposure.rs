//! Refuses to listen where strangers could reach workspaces that nothing isolates.

use std::net::SocketAddr;

use contracts::{ErrorCode, Problem};

use crate::wiring::Providers;

/// `addresses` is everything this process will listen on.
pub fn check(addresses: &[SocketAddr], providers: &Providers, allowed: bool) -> Result<(), Problem> {
    let Some(exposed) = addresses.iter().find(|address| !address.ip().is_loopback()) else { return Ok(()) };
    let unisolated =
        providers.all().map(|provider| provider.describe()).find(|described| described.unisolated);
    match unisolated {
        Some(described) if !allowed => {
            let detail = format!("{exposed} can be reached from outside, and {}", described.isolation);
            Err(Problem::new(ErrorCode::InsecureListen, detail).with_action(
                "Listen on 127.0.0.1, or leave the provider out (`--providers docker`), \
                 or accept the risk with `--unsafe-expose-local`.",
            ))
        }
        _ => Ok(()),
    }
}
