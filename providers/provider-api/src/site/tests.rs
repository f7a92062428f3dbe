use futures_util::stream;

use super::*;

/// Places by name; `!` before a name is one that does not answer.
struct World {
    reached: &'static [&'static str],
    holds: Option<(&'static str, bool)>,
}

fn site(id: &str) -> Site {
    Site { id: id.to_owned(), via: format!("unix:///{id}.sock") }
}

fn sites(ids: &[&str]) -> Vec<Site> {
    ids.iter().map(|id| site(id)).collect()
}

fn there(ids: &[&str]) -> Whereabouts {
    Whereabouts::There(sites(ids))
}

#[async_trait]
impl Sites for World {
    fn kind(&self) -> &'static str {
        "the engine"
    }

    fn way_back(&self) -> String {
        "Choose it.".to_owned()
    }

    fn all(&self) -> BoxStream<'_, Result<Site>> {
        let answer = |name: &&str| match name.strip_prefix('!') {
            Some(name) => Err(ProviderError::new(ErrorCode::DockerUnavailable, format!("{name} is away"))),
            None => Ok(site(name)),
        };
        stream::iter(self.reached.iter().map(answer).collect::<Vec<_>>()).boxed()
    }

    async fn holding(&self, _: &RuntimeRef) -> Result<Option<Held>> {
        Ok(self.holds.map(|(id, home)| Held { site: site(id), home }))
    }
}

async fn seen(
    reached: &'static [&'static str],
    holds: Option<(&'static str, bool)>,
    known: &[&str],
) -> Result<Whereabouts> {
    let runtime = RuntimeRef::new("rt-1".parse().unwrap(), "in-1".parse().unwrap());
    look(&World { reached, holds }, &runtime, &sites(known)).await
}

#[tokio::test]
async fn what_is_not_found_is_gone_only_where_every_place_that_may_have_it_answers() {
    assert_eq!(seen(&["a"], None, &["a"]).await.unwrap(), Whereabouts::Nowhere);
    assert_eq!(seen(&["b", "a"], None, &["a"]).await.unwrap(), Whereabouts::Nowhere);
    // One that nobody waits for may be away.
    assert_eq!(seen(&["!c", "a"], None, &["a"]).await.unwrap(), Whereabouts::Nowhere);
    for (reached, known) in [(&["b"][..], &["a"][..]), (&["a", "c"], &["a", "b"]), (&[""], &["a"])] {
        let error = seen(reached, None, known).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RuntimeElsewhere, "{reached:?} {known:?}");
        assert!(error.code.retryable());
    }
    let away = seen(&["b", "!a"], None, &["a"]).await.unwrap_err();
    assert_eq!(away.code, ErrorCode::DockerUnavailable);
}

#[tokio::test]
async fn the_refusal_names_both_places_and_the_ways_out() {
    let error = seen(&["b"], None, &["a"]).await.unwrap_err();
    for words in ["at the engine a ", "unix:///a.sock", "b answers at unix:///b.sock"] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    let action = error.action.unwrap();
    assert!(action.contains("Choose it.") && action.contains("pilot ws rm --forget NAME"), "{action}");
}

#[tokio::test]
async fn a_home_that_is_found_is_proof_and_its_place_is_known_from_then_on() {
    for known in [&[][..], &["a"], &["a", "b"]] {
        assert_eq!(seen(&["b"], Some(("b", true)), known).await.unwrap(), there(&["b"]), "{known:?}");
    }
    // What does not say who it is forgets nothing.
    assert_eq!(seen(&[""], Some(("", true)), &["a"]).await.unwrap(), there(&["a"]));
}

#[tokio::test]
async fn anything_else_that_is_found_at_another_place_proves_nothing() {
    let error = seen(&["b"], Some(("b", false)), &["a"]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::RuntimeElsewhere);
    assert_eq!(seen(&["a", "b"], Some(("b", false)), &["a", "b"]).await.unwrap(), there(&["b"]));
    assert_eq!(seen(&["b"], Some(("b", false)), &[]).await.unwrap(), there(&["b"]));
}

#[tokio::test]
async fn of_a_runtime_of_which_nothing_is_known_or_found_nothing_is_assumed() {
    assert_eq!(seen(&["a"], None, &[]).await.unwrap(), Whereabouts::Nowhere);
}

#[tokio::test]
async fn a_new_runtime_may_be_at_any_place_and_at_none_that_is_away() {
    let of = |reached| async move { all(&World { reached, holds: None }).await };
    assert_eq!(of(&["a", "b"]).await.unwrap(), sites(&["a", "b"]));
    assert_eq!(of(&["a", ""]).await.unwrap(), sites(&[]), "who does not say it cannot be found again");
    assert_eq!(of(&["a", "!b"]).await.unwrap_err().code, ErrorCode::DockerUnavailable);
}
