//! Where that is which all workspaces of a provider share. With another account in the settings it is made there as well, and what
//! is at the one of before is not taken for removed.

use std::sync::Arc;

use contracts::operation::Severity;
use contracts::{ErrorCode, Problem, ProviderName};
use provider_api::{Provider, Site, Sites, site};

use super::run::Run;
use crate::engine::provider_problem;
use crate::store::Lease;

/// Before it is made: the place is on record. True where the state is of another one, and has to be compared first.
pub async fn arrive(run: &Arc<Run>, provider: &dyn Provider, lease: &Lease) -> Result<bool, Problem> {
    let (name, here) = (provider.describe().name, reached(provider.sites()).await?);
    let known = run.patiently(|| run.parts.store.shared_sites(&name)).await?;
    let kept = with(&known, &here);
    if kept != known {
        run.patiently(|| run.parts.store.settle_shared(&name, lease, &kept)).await?;
    }
    Ok(!known.is_empty() && kept != known)
}

/// Of a teardown: where else it is. An error where it is nowhere else than elsewhere.
pub async fn others(run: &Arc<Run>, provider: &dyn Provider) -> Result<Vec<Site>, Problem> {
    let (name, here) = (provider.describe().name, reached(provider.sites()).await?);
    let known = run.patiently(|| run.parts.store.shared_sites(&name)).await?;
    let others = without(&known, &here);
    match provider.sites() {
        Some(sites) if !here.is_empty() && !known.is_empty() && others.len() == known.len() => {
            Err(elsewhere(sites.as_ref(), &name, &others, &here))
        }
        _ => Ok(others),
    }
}

/// It is removed here.
pub async fn leave(
    run: &Arc<Run>,
    provider: &ProviderName,
    lease: &Lease,
    others: &[Site],
) -> Result<(), Problem> {
    if !others.is_empty() {
        let text = format!("It is also at {}, and stays there.", words(others));
        run.say(Severity::Warning, text);
    }
    run.patiently(|| run.parts.store.settle_shared(provider, lease, others)).await
}

/// Empty where a provider has no such thing.
async fn reached(sites: Option<Arc<dyn Sites>>) -> Result<Vec<Site>, Problem> {
    match sites {
        Some(sites) => site::all(sites.as_ref()).await.map_err(provider_problem),
        None => Ok(Vec::new()),
    }
}

/// What is here comes last: the state is of it from now on.
fn with(known: &[Site], here: &[Site]) -> Vec<Site> {
    [&without(known, here)[..], here].concat()
}

fn without(known: &[Site], here: &[Site]) -> Vec<Site> {
    known.iter().filter(|known| here.iter().all(|site| site.id != known.id)).cloned().collect()
}

fn words(sites: &[Site]) -> String {
    sites.iter().map(Site::to_string).collect::<Vec<_>>().join(" and ")
}

fn elsewhere(sites: &dyn Sites, provider: &ProviderName, there: &[Site], here: &[Site]) -> Problem {
    let detail = format!(
        "What workspaces on {provider} share is at {} {}. What is reached now is {}, where nothing of it was made; so nothing \
         was removed.",
        sites.kind(),
        words(there),
        words(here),
    );
    Problem::new(ErrorCode::RuntimeElsewhere, detail).with_action(sites.recovery_hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(ids: &[&str]) -> Vec<Site> {
        ids.iter().map(|id| Site { id: (*id).to_owned(), via: "the settings".to_owned() }).collect()
    }

    #[test]
    fn every_place_at_which_it_was_made_is_kept_and_the_last_is_that_of_its_state() {
        assert_eq!(with(&[], &sites(&["a"])), sites(&["a"]));
        assert_eq!(with(&sites(&["a"]), &sites(&["a"])), sites(&["a"]), "nothing is to be written");
        assert_eq!(with(&sites(&["a"]), &sites(&["b"])), sites(&["a", "b"]));
        assert_eq!(with(&sites(&["a", "b"]), &sites(&["a"])), sites(&["b", "a"]));
        assert_eq!(with(&sites(&["a"]), &[]), sites(&["a"]), "who says nothing changes nothing");
        assert_eq!(without(&sites(&["a", "b"]), &sites(&["b"])), sites(&["a"]));
    }
}
