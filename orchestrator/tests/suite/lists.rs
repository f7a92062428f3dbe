//! Lists of destinations: kept as they were asked for, and changed by an update alone.

use contracts::egress::EgressChoice;
use contracts::operation::{OperationKind, Update};
use orchestrator::store::Store;

use super::*;

pub async fn a_list_of_destinations_is_kept_and_changed_by_an_update_alone(store: &Store) {
    let list = |text: &str| text.parse::<EgressChoice>().unwrap();
    let row = WorkspaceRow { egress: list("a.example,*.b.example:443").list(), ..workspace("a") };
    store.insert_workspace(&row, &new(OperationKind::Create)).await.unwrap();
    let claimed = claim(store, "one").await.unwrap();
    assert_eq!(now(store, &row).await.egress, row.egress);
    let size = Update { size: Some("large".to_owned()), ..Update::default() };
    store.respecify(&hold(&claimed), &row.updated(&size), &size).await.unwrap();
    assert_eq!(now(store, &row).await.egress, row.egress, "another size says nothing of it");
    for (generation, text) in [(3, "none"), (4, "203.0.113.0/24"), (5, "all")] {
        let update = Update { egress: Some(list(text)), ..Update::default() };
        let updated = now(store, &row).await.updated(&update);
        store.respecify(&hold(&claimed), &updated, &update).await.unwrap();
        let seen = now(store, &row).await;
        assert_eq!((seen.egress, seen.generation), (list(text).list(), generation));
        assert_eq!(store.operation(&claimed.operation.id).await.unwrap().unwrap().update, Some(update));
    }
}
