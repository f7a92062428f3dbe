//! Sites: how a runtime that cannot be seen is told from one that is gone.
//!
//! What a module's settings lead to may be another place than before, under the same name: another Docker engine, another
//! organisation, another account. There is nothing of the runtimes there, and all of them are still where they were. So a
//! module tells who the place is that it reaches, its *site*; whoever keeps runtimes keeps with each where it is; and
//! [`must_be_reached`] compares both before anything follows from "there is nothing".
//!
//! - Objects count more than names: a home that is found is the runtime's, whatever its site is called now. So a place
//!   that was set up anew over its old data is the same place, and its new name is kept from then on.
//! - A runtime whose site nobody knows, such as one from before sites were kept, is at the site where something of it is
//!   found, and nowhere before that.
//! - Before the first object is made, all sites at which that may happen are kept: what was cut off may be at any of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};

use crate::error::{ProviderError, Result};
use crate::lifecycle::{Inventory, OwnedObject, RuntimeRef};

/// One place where a module makes objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The place's own word on who it is, the same however it is reached. Empty where it has none that stays.
    pub id: String,
    /// How it was reached, for people.
    pub via: String,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.id, self.via)
    }
}

/// What was found of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where.
    pub site: Site,
    /// The home is there: no other place can be the runtime's.
    pub home: bool,
}

/// Who the places are that a module reaches.
#[async_trait]
pub trait Sites: Send + Sync {
    /// What one is called, as in "the Docker engine".
    fn kind(&self) -> &'static str;

    /// How an operator leads the module back to one, as a sentence.
    fn recovery_hint(&self) -> String;

    /// Each place that the settings lead to, asked now, as soon as it answers; one that does not is an error among the others.
    fn all(&self) -> BoxStream<'_, Result<Site>>;

    /// Where something of the runtime is, found by its labels; the home decides. `None` when it is at none of the places
    /// surely: one that does not answer and may have it is an error.
    async fn locate(&self, runtime: &RuntimeRef) -> Result<Option<Located>>;
}

/// Passes where every place is reached at which the runtime may be: what is not seen then is gone. Gives the one at which it is
/// from now on, where that calls itself otherwise than before. An error when the runtime may be at a place that is not reached:
/// [`ErrorCode::RuntimeElsewhere`] where others answer instead. Where nothing is known there is nothing to compare: it is where
/// something of it is found.
pub async fn must_be_reached(
    sites: &dyn Sites,
    runtime: &RuntimeRef,
    known: &[Site],
) -> Result<Option<Site>> {
    let says = |held: Located| Some(held.site).filter(|site| !site.id.is_empty());
    if known.is_empty() {
        return Ok(sites.locate(runtime).await?.and_then(says));
    }
    let mut missing: BTreeSet<&str> = known.iter().map(|site| site.id.as_str()).collect();
    let (mut answered, mut silent) = (Vec::new(), None);
    let mut all = sites.all();
    while !missing.is_empty()
        && let Some(answer) = all.next().await
    {
        match answer {
            Ok(site) => {
                missing.remove(site.id.as_str());
                answered.push(site);
            }
            Err(error) => silent = Some(error),
        }
    }
    if missing.is_empty() {
        return Ok(None);
    }
    if let Some(error) = silent {
        return Err(error);
    }
    match sites.locate(runtime).await? {
        // A place that does not say who it is changes nothing of what is known.
        Some(held) if held.home => Ok(says(held)),
        // At one of those that it may be at, as far as it has got.
        Some(held) if known.iter().any(|site| site.id == held.site.id) => Ok(Some(held.site)),
        _ => {
            let missing: Vec<&Site> =
                known.iter().filter(|site| missing.contains(site.id.as_str())).collect();
            Err(elsewhere(sites, runtime, &missing, &answered))
        }
    }
}

/// All places at which a runtime may be made from now on; empty where one does not say who it is. An error when one does not answer.
pub async fn all(sites: &dyn Sites) -> Result<Vec<Site>> {
    let answers: Vec<Result<Site>> = sites.all().collect().await;
    let found = answers.into_iter().collect::<Result<Vec<Site>>>()?;
    Ok(if found.iter().any(|site| site.id.is_empty()) { Vec::new() } else { found })
}

/// The site of a module whose settings say which place is meant, such as an account.
pub struct OneSite {
    /// As [`Sites::kind`].
    pub kind: &'static str,
    /// As [`Sites::recovery_hint`].
    pub recovery_hint: &'static str,
    /// What the settings say, or why they say nothing.
    pub site: Result<Site>,
    /// The module's.
    pub inventory: Arc<dyn Inventory>,
}

#[async_trait]
impl Sites for OneSite {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn recovery_hint(&self) -> String {
        self.recovery_hint.to_owned()
    }

    fn all(&self) -> BoxStream<'_, Result<Site>> {
        stream::iter([self.site.clone()]).boxed()
    }

    /// A list that cannot be had proves nothing: it may be another account that is asked.
    async fn locate(&self, runtime: &RuntimeRef) -> Result<Option<Located>> {
        let (site, owned) =
            (self.site.clone()?, self.inventory.list_runtime(runtime).await.unwrap_or_default());
        let home = owned.iter().any(OwnedObject::is_home);
        Ok(Some(Located { site, home }).filter(|_| !owned.is_empty()))
    }
}

fn elsewhere(sites: &dyn Sites, runtime: &RuntimeRef, missing: &[&Site], answered: &[Site]) -> ProviderError {
    let (kind, id) = (sites.kind(), &runtime.runtime_id);
    let there: Vec<String> =
        missing.iter().map(|site| format!("{} (reached then by {})", site.id, site.via)).collect();
    let here = answered.iter().map(|site| match site.id.as_str() {
        "" => format!("one that does not say who it is answers at {}", site.via),
        id => format!("{id} answers at {}", site.via),
    });
    let here: Vec<String> = here.collect();
    let message = format!(
        "{id} is at another place than the one that is reached now: it is at {kind} {}, and {}, where nothing of it is; so it is \
         neither gone, nor made anew, nor deleted",
        there.join(" or "),
        if here.is_empty() { "none answers".to_owned() } else { here.join(", ") },
    );
    ProviderError::new(ErrorCode::RuntimeElsewhere, message).with_action(format!(
        "{} If that place is gone for good, `pilot ws rm --forget NAME` releases the workspace, and touches nothing \
         there.",
        sites.recovery_hint()
    ))
}

#[cfg(test)]
mod tests;
