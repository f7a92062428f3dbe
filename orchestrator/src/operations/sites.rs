//! Before an operation does anything: whether the runtime is at a place that is reached, so that another one's "there is
//! nothing" is not taken for its end, and nothing is begun there.

use std::sync::Arc;

use contracts::operation::{OperationKind, Severity};
use contracts::{ErrorCode, Problem};
use provider_api::site::{all, must_be_reached};
use provider_api::{Result as Answer, RuntimeRef, Site, Sites};
use tokio::time::Instant;

use super::run::Run;
use super::start::{PROVIDER_LIMIT, cancellable};
use super::steady::steady;
use crate::engine::provider_problem;
use crate::store::WorkspaceRow;

/// Passes where the runtime can be seen, or is surely gone. What is made next may be at any place that is reached now, and
/// that is on record before it is.
pub async fn check(run: &Arc<Run>) -> Result<(), Problem> {
    if matches!(run.kind(), OperationKind::Forget | OperationKind::Teardown) {
        return Ok(());
    }
    let row = run.row().await?;
    // A provider that is not there is told by what needs it.
    let Ok(provider) = run.provider(&row) else { return Ok(()) };
    let Some(sites) = provider.sites() else { return Ok(()) };
    let (runtime, deadline) = (run.runtime(), Instant::now() + PROVIDER_LIMIT);
    // Another place stays another, however often it is asked.
    let see = || async {
        match see(sites.as_ref(), &runtime, &row.sites, run.kind()).await {
            Err(error) if error.code == ErrorCode::RuntimeElsewhere => Ok(Err(error)),
            seen => seen.map(Ok),
        }
    };
    let Some(sites) = cancellable(run, steady(deadline, see)).await?.map_err(provider_problem)? else {
        return Ok(());
    };
    if let ([before], [now]) = (row.sites.as_slice(), sites.as_slice()) {
        let text = format!(
            "Its home is there, at what calls itself {} now and was {} before: that is the same place from here on.",
            now.id, before.id
        );
        run.say(Severity::Warning, text);
    }
    run.settle(&sites).await
}

/// What is to be kept from here on, where that is something else.
async fn see(
    sites: &dyn Sites,
    runtime: &RuntimeRef,
    known: &[Site],
    kind: OperationKind,
) -> Answer<Option<Vec<Site>>> {
    if known.is_empty() && kind == OperationKind::Create {
        return all(sites).await.map(Some);
    }
    match must_be_reached(sites, runtime, known).await {
        Ok(Some(site)) => return Ok(Some(vec![site])),
        // It is of before this was kept, and the reconciler learns it later.
        Ok(None) | Err(_) if known.is_empty() => return Ok(None),
        Ok(None) => {}
        Err(error) => return Err(error),
    }
    if !makes(kind) {
        return Ok(None);
    }
    let reached = all(sites).await?;
    if reached.len() < 2 || sites.locate(runtime).await?.is_some() {
        return Ok(None);
    }
    let others = known.iter().filter(|known| reached.iter().all(|site| site.id != known.id));
    Ok(Some([&reached[..], &others.cloned().collect::<Vec<_>>()].concat()))
}

/// What is gone is made anew by it.
fn makes(kind: OperationKind) -> bool {
    match kind {
        OperationKind::Create
        | OperationKind::Start
        | OperationKind::Resume
        | OperationKind::Restart
        | OperationKind::Apply
        | OperationKind::Update
        | OperationKind::Snapshot
        | OperationKind::Rewind
        | OperationKind::Restore => true,
        OperationKind::Stop
        | OperationKind::Suspend
        | OperationKind::Hibernate
        | OperationKind::Delete
        | OperationKind::Purge
        | OperationKind::Forget
        | OperationKind::Discard
        | OperationKind::Teardown => false,
    }
}

/// Where it was made, of the places at which that could happen.
pub async fn narrow(run: &Run, row: &WorkspaceRow) -> Result<(), Problem> {
    let Some(sites) = run.provider(row)?.sites() else { return Ok(()) };
    if row.sites.len() == 1 {
        return Ok(());
    }
    let (runtime, deadline) = (run.runtime(), Instant::now() + PROVIDER_LIMIT);
    // As if nothing were known: where it is found is where it is.
    let find = || must_be_reached(sites.as_ref(), &runtime, &[]);
    match cancellable(run, steady(deadline, find)).await? {
        Some(site) => run.settle(&[site]).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures_util::StreamExt as _;
    use futures_util::stream::{self, BoxStream};
    use provider_api::{Located, ProviderError};

    use super::*;

    /// Hosts by name, and which of them has the runtime; none where they are away.
    struct Hosts(&'static [&'static str], Option<&'static str>);

    fn site(id: &str) -> Site {
        Site { id: id.to_owned(), via: id.to_owned() }
    }

    #[async_trait]
    impl Sites for Hosts {
        fn kind(&self) -> &'static str {
            "the host"
        }

        fn recovery_hint(&self) -> String {
            "Name it.".to_owned()
        }

        fn all(&self) -> BoxStream<'_, Answer<Site>> {
            stream::iter(self.0).map(|id| Ok(site(id))).boxed()
        }

        async fn locate(&self, _: &RuntimeRef) -> Answer<Option<Located>> {
            match self.0.is_empty() {
                true => Err(ProviderError::new(ErrorCode::DockerUnavailable, "away")),
                false => Ok(self.1.map(|id| Located { site: site(id), home: true })),
            }
        }
    }

    async fn kept(hosts: Hosts, known: &[&str], kind: OperationKind) -> Result<Option<String>, ErrorCode> {
        let known: Vec<Site> = known.iter().map(|id| site(id)).collect();
        let runtime = RuntimeRef::new("rt-1".parse().unwrap(), "in-1".parse().unwrap());
        let seen = see(&hosts, &runtime, &known, kind).await.map_err(|error| error.code)?;
        Ok(seen.map(|sites| sites.into_iter().map(|site| site.id).collect::<Vec<_>>().join(" ")))
    }

    #[tokio::test]
    async fn whatever_may_make_it_anew_has_on_record_where_that_may_be() {
        use OperationKind::*;
        let some = |sites: &str| Ok(Some(sites.to_owned()));
        assert_eq!(kept(Hosts(&["a", "b"], None), &[], Create).await, some("a b"));
        assert_eq!(kept(Hosts(&["a", "b"], None), &["a"], Start).await, some("a b"));
        assert_eq!(kept(Hosts(&["b", "c", "a"], None), &["a"], Update).await, some("b c a"));
        assert_eq!(kept(Hosts(&["a", "b"], Some("a")), &["a"], Start).await, Ok(None), "it is there");
        assert_eq!(kept(Hosts(&["a"], None), &["a"], Start).await, Ok(None));
        assert_eq!(kept(Hosts(&["a", "b"], None), &["a"], Purge).await, Ok(None), "nothing is made");
    }

    #[tokio::test]
    async fn no_operation_works_elsewhere_and_none_assumes_where_it_is() {
        use OperationKind::*;
        for kind in [Create, Start, Stop, Suspend, Resume, Restart, Apply, Update, Restore, Delete, Purge] {
            assert_eq!(kept(Hosts(&["b"], None), &["a"], kind).await, Err(ErrorCode::RuntimeElsewhere));
            // Set up anew over its data.
            assert_eq!(kept(Hosts(&["b"], Some("b")), &["a"], kind).await, Ok(Some("b".to_owned())));
            if kind != Create {
                assert_eq!(kept(Hosts(&["b"], None), &[], kind).await, Ok(None), "{kind:?}");
                assert_eq!(kept(Hosts(&["b"], Some("b")), &[], kind).await, Ok(Some("b".to_owned())));
                assert_eq!(kept(Hosts(&[], None), &[], kind).await, Ok(None), "{kind:?}");
            }
        }
    }
}
