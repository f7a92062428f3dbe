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

#[async_trait]
impl Sites for World {
    fn kind(&self) -> &'static str {
        "the engine"
    }

    fn recovery_hint(&self) -> String {
        "Choose it.".to_owned()
    }

    fn all(&self) -> BoxStream<'_, Result<Site>> {
        let answer = |name: &&str| match name.strip_prefix('!') {
            Some(name) => Err(ProviderError::new(ErrorCode::DockerUnavailable, format!("{name} is away"))),
            None => Ok(site(name)),
        };
        stream::iter(self.reached.iter().map(answer).collect::<Vec<_>>()).boxed()
    }

    async fn locate(&self, _: &RuntimeRef) -> Result<Option<Located>> {
        Ok(self.holds.map(|(id, home)| Located { site: site(id), home }))
    }
}

async fn reached(
    reached: &'static [&'static str],
    holds: Option<(&'static str, bool)>,
    known: &[&str],
) -> Result<Option<Site>> {
    let runtime = RuntimeRef::new("rt-1".parse().unwrap(), "in-1".parse().unwrap());
    must_be_reached(&World { reached, holds }, &runtime, &sites(known)).await
}

#[tokio::test]
async fn what_is_not_found_is_gone_only_where_every_place_that_may_have_it_answers() {
    assert_eq!(reached(&["a"], None, &["a"]).await.unwrap(), None);
    assert_eq!(reached(&["b", "a"], None, &["a"]).await.unwrap(), None);
    // One that nobody waits for may be away.
    assert_eq!(reached(&["!c", "a"], None, &["a"]).await.unwrap(), None);
    for (there, known) in
        [(&["b"][..], &["a"][..]), (&["a", "c"], &["a", "b"]), (&[""], &["a"]), (&[], &["a"])]
    {
        let error = reached(there, None, known).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RuntimeElsewhere, "{there:?} {known:?}");
        assert!(error.code.retryable());
    }
    let away = reached(&["b", "!a"], None, &["a"]).await.unwrap_err();
    assert_eq!(away.code, ErrorCode::DockerUnavailable);
}

#[tokio::test]
async fn the_refusal_names_both_places_and_the_ways_out() {
    let error = reached(&["b"], None, &["a"]).await.unwrap_err();
    for words in ["at the engine a ", "unix:///a.sock", "b answers at unix:///b.sock"] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    let action = error.action.unwrap();
    assert!(action.contains("Choose it.") && action.contains("pilot ws rm --forget NAME"), "{action}");
}

#[tokio::test]
async fn a_home_that_is_found_is_proof_and_its_place_is_known_from_then_on() {
    for known in [&["a"][..], &["a", "c"]] {
        assert_eq!(reached(&["b"], Some(("b", true)), known).await.unwrap(), Some(site("b")), "{known:?}");
    }
    // What does not say who it is forgets nothing.
    assert_eq!(reached(&[""], Some(("", true)), &["a"]).await.unwrap(), None);
}

#[tokio::test]
async fn anything_else_that_is_found_at_another_place_proves_nothing() {
    let error = reached(&["b"], Some(("b", false)), &["a"]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::RuntimeElsewhere);
    assert_eq!(reached(&["b"], Some(("b", false)), &["a", "b"]).await.unwrap(), Some(site("b")));
}

#[tokio::test]
async fn of_a_runtime_of_which_nothing_is_known_only_what_is_found_is_believed() {
    assert_eq!(reached(&["a"], None, &[]).await.unwrap(), None);
    for home in [true, false] {
        assert_eq!(reached(&["a"], Some(("a", home)), &[]).await.unwrap(), Some(site("a")));
    }
    assert_eq!(reached(&[""], Some(("", true)), &[]).await.unwrap(), None, "it does not say who it is");
}

#[tokio::test]
async fn a_new_runtime_may_be_at_any_place_and_at_none_that_is_away() {
    let of = |reached| async move { all(&World { reached, holds: None }).await };
    assert_eq!(of(&["a", "b"]).await.unwrap(), sites(&["a", "b"]));
    assert_eq!(of(&["a", ""]).await.unwrap(), sites(&[]), "who does not say it cannot be found again");
    assert_eq!(of(&["a", "!b"]).await.unwrap_err().code, ErrorCode::DockerUnavailable);
}
