//! What instances may send, closed by default: the internet is open, and the host, private networks, other instances and
//! the addresses of metadata are not.
//!
//! The bridge of each runtime's network has a name by which a table of rules knows it (`egress/rules.rs`). A *keeper*, one
//! small container for each installation on each host, puts the table in place and keeps it there (`egress/keeper.sh`): it
//! has the right for that wherever the engine is, and Docker starts it again with the host. Nothing of Pilot's starts
//! before its host is closed. A runtime may have a list of destinations beside it (`egress/list.rs`), which the same keeper keeps.

mod care;
mod keeper;
mod list;
mod lists;
mod probe;
mod refusals;
mod rules;

use std::net::IpAddr;
use std::time::Instant;

use contracts::egress::{EgressAllow, EgressChoice, Host, InvalidList};
use contracts::{ErrorCode, InstallationId};
use provider_api::{EgressOffer, Result, Settings};
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::network;
use crate::settings::unusable;
pub(crate) use care::look_after;
use keeper::Keeper;
pub(crate) use list::RESOLVER;
pub(crate) use lists::{ask_for, enforce, lift};
pub(crate) use probe::look;
pub(crate) use refusals::DockerRefusals;
use rules::Destination;
pub(crate) use rules::{BRIDGES, bridge};

/// What an operator sets to open what is private.
pub(crate) const OPENED_BY: &str = "PILOT_DOCKER_EGRESS_OPEN";

/// The list of destinations that new runtimes have of which nobody says anything.
pub(crate) fn usual(settings: &Settings) -> Result<Option<EgressAllow>> {
    let Some(text) = settings.get("egressAllow") else { return Ok(None) };
    let choice: EgressChoice =
        text.parse().map_err(|error: InvalidList| unusable("egressAllow", &error.to_string()))?;
    let list = choice.list();
    let (closed, open) = closed(settings);
    let offer = EgressOffer { closed, open, ..EgressOffer::default() };
    let mut entries = list.iter().flat_map(EgressAllow::entries);
    if let Some(entry) = entries.find(|entry| offer.stays_closed(entry)) {
        let reason = format!("{entry} stays closed for every instance, unless {OPENED_BY} opens it");
        return Err(unusable("egressAllow", &reason));
    }
    Ok(list)
}

/// What no list opens, and what of it the operator has opened. Settings that cannot be read are told elsewhere.
pub(crate) fn closed(settings: &Settings) -> (Vec<Host>, Vec<Host>) {
    let open = Egress::read(settings, "").map(|egress| egress.open).unwrap_or_default();
    (rules::closed(), open.iter().map(Destination::host).collect())
}

/// What an operator wants of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Egress {
    /// Where a host cannot be closed, its instances run all the same.
    allow_open: bool,
    /// What stays open though it is private.
    open: Vec<Destination>,
    /// What the keeper is made from: it has `sh` and `nft`.
    image: String,
}

impl Egress {
    /// `usual`: the image of instances.
    pub fn read(settings: &Settings, usual: &str) -> Result<Self> {
        let allow_open = match settings.get("egress") {
            None | Some("closed") => false,
            Some("allow-open") => true,
            Some(other) => {
                return Err(unusable("egress", &format!("{other:?} is neither closed nor allow-open")));
            }
        };
        let destination = |text: &str| {
            let reason = format!("{text:?} is no address or network like 10.0.0.5 or 10.0.0.0/24");
            Destination::read(text).ok_or_else(|| unusable("egressOpen", &reason))
        };
        let open = settings.get("egressOpen").unwrap_or_default().split(',').map(str::trim);
        let open = open.filter(|part| !part.is_empty()).map(destination).collect::<Result<_>>()?;
        let image = settings.get("egressImage").unwrap_or(usual).to_owned();
        Ok(Self { allow_open, open, image })
    }

    fn has_opened(&self, address: IpAddr) -> bool {
        self.open.iter().any(|open| open.has(address))
    }
}

/// Which keeper of one host was seen with its rules in place. It keeps them there.
#[derive(Default)]
pub(crate) struct Closed(Mutex<Option<Seen>>);

impl Closed {
    /// Somebody makes or looks for it at this moment.
    pub fn is_in_hand(&self) -> bool {
        self.0.try_lock().is_err()
    }
}

struct Seen {
    whose: InstallationId,
    /// Which container, running since when.
    start: String,
    /// By this program's clock.
    at: Instant,
}

/// True when what instances of this installation send on this host goes to the internet alone; false where that cannot be, and
/// the operator has allowed it.
pub(crate) async fn close(engine: &Engine, installation: &InstallationId) -> Result<bool> {
    let mut known = engine.closed.0.lock().await;
    let before = known.take().filter(|seen| seen.whose == *installation);
    match (Keeper { engine, installation }).ensure(before.as_ref()).await {
        Ok(start) => {
            let at = before.filter(|seen| seen.start == start).map_or_else(Instant::now, |seen| seen.at);
            *known = Some(Seen { whose: installation.clone(), start, at });
            Ok(true)
        }
        Err(error) if engine.egress.allow_open && error.code == ErrorCode::EgressOpen => {
            tracing::warn!(host = engine.host.name, %error, "instances here may reach the host and private networks");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes keeper and rules when no network of the installation is left on the host. One that is made meanwhile is seen here, or
/// its instance sees that the keeper is gone: [`close`] comes before each start.
pub(crate) async fn open_unless_needed(engine: &Engine, installation: &InstallationId) -> Result<()> {
    if network::is_any(engine, installation).await? {
        return Ok(());
    }
    Keeper { engine, installation }.remove().await?;
    if network::is_any(engine, installation).await? {
        close(engine, installation).await?;
    }
    Ok(())
}
