//! What is outside and of a runtime that nobody knows.

use contracts::{ProviderName, RuntimeId};
use provider_api::{Home, OwnedObject};

use super::*;

fn object(runtime: &RuntimeId, kind: &str) -> OwnedObject {
    let (kind, id) = (kind.to_owned(), format!("{kind}-of-{runtime}"));
    OwnedObject {
        runtime_id: runtime.clone(),
        home: if kind == "volume" { Home::Is } else { Home::No },
        kind,
        id,
    }
}

async fn kept(store: &Store) -> Vec<OwnedObject> {
    store.strays().await.unwrap().into_iter().map(|stray| stray.object).collect()
}

pub async fn what_is_of_no_runtime_that_is_known_is_kept_until_it_is_gone_or_known(store: &Store) {
    let [fake, docker]: [ProviderName; 2] = ["fake", "docker"].map(|name| name.parse().unwrap());
    let (known, _) = created(store, "a").await;
    let lost = RuntimeId::random();
    let (machine, volume) = (object(&lost, "machine"), object(&lost, "volume"));
    let listed = vec![object(&known.runtime_id, "machine"), machine.clone(), volume.clone()];
    let found = store.keep_strays(&fake, listed.clone()).await.unwrap();
    assert_eq!(found, [machine.clone(), volume.clone()], "what has a row is none");
    let first = store.strays().await.unwrap();
    tokio::time::sleep(SHORT).await;
    assert_eq!(store.keep_strays(&fake, listed).await.unwrap(), [], "it was found before");
    let again = store.strays().await.unwrap();
    assert_eq!(again[0].first_seen, first[0].first_seen, "since when it is so does not change");
    assert!(again[0].last_seen > first[0].last_seen && again[0].last_seen <= store.clock().await.unwrap());

    // What another provider has says nothing of this one.
    assert_eq!(store.keep_strays(&docker, Vec::new()).await.unwrap(), []);
    assert_eq!(kept(store).await, [machine.clone(), volume.clone()]);
    store.keep_strays(&fake, vec![volume.clone()]).await.unwrap();
    assert_eq!(kept(store).await, std::slice::from_ref(&volume), "the machine is gone");

    assert!(!store.known().await.unwrap().contains(lost.as_str()));
    let mut row = workspace("b");
    row.runtime_id = lost.clone();
    store.insert_workspace(&row, &new(OperationKind::Create)).await.unwrap();
    assert!(store.known().await.unwrap().contains(lost.as_str()));
    assert_eq!(store.keep_strays(&fake, vec![volume]).await.unwrap(), [], "it has a row by now");
    assert_eq!(kept(store).await, []);
}

pub async fn a_home_that_is_kept_and_a_runtime_with_work_are_known(store: &Store) {
    let (row, _) = created(store, "a").await;
    let running = claim(store, "one").await.unwrap();
    let is_known = async || store.known().await.unwrap().contains(row.runtime_id.as_str());
    assert!(is_known().await);
    succeeds(store, &running).await;
    request(store, &row, OperationKind::Delete).await.unwrap();
    let delete = claim(store, "one").await.unwrap();
    let kept = End { left: Left::Home(LEASE), ..end(&delete, OperationState::Succeeded) };
    store.finish(&hold(&delete), kept).await.unwrap();
    assert!(is_known().await, "its home is kept");
    request(store, &row, OperationKind::Purge).await.unwrap();
    let purge = claim(store, "one").await.unwrap();
    assert!(is_known().await);
    store
        .finish(&hold(&purge), End { left: Left::Nothing, ..end(&purge, OperationState::Succeeded) })
        .await
        .unwrap();
    assert!(!is_known().await, "nothing of it is left");
}
