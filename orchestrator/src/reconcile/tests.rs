//! When something is tried again, without an engine.

use contracts::operation::{Operation, OperationState};

use super::*;
use crate::operations::stand_in;
use crate::store::{End, Hold, Left, NewOperation};

#[test]
fn what_does_not_help_is_tried_less_and_less_often_and_never_given_up() {
    let seconds = |attempts| pause(attempts).as_secs();
    assert_eq!([0, 1, 2, 3, 10].map(seconds), [0, 10, 20, 40, 3600]);
    assert_eq!(seconds(u32::MAX), 3600);
}

/// A claimer takes the operation that waits, and its instance answers.
pub async fn ends_well(store: &Store) {
    let claimed = store.claim("me", Duration::from_secs(9), &[], &[]).await.unwrap().unwrap();
    let Operation { id: operation, runtime_id: runtime, phases, .. } = claimed.operation;
    let hold = Hold { operation, runtime, fence: claimed.fence };
    let change = Some(Change::of(Event::FoundReady));
    let end = End { state: OperationState::Succeeded, phases, error: None, change, left: Left::All };
    store.finish(&hold, end).await.unwrap();
}

/// A claimer takes the operation that waits, and its delete ends so.
async fn fails(store: &Store, code: ErrorCode) {
    let claimed = store.claim("me", Duration::from_secs(9), &[], &[]).await.unwrap().unwrap();
    let Operation { id: operation, runtime_id: runtime, phases, .. } = claimed.operation;
    let hold = Hold { operation, runtime, fence: claimed.fence };
    let error = Some(Problem::new(code, "the volume v belongs to somebody else"));
    let change = Some(Change { error: error.clone(), ..Change::of(Event::OperationFailed) });
    let end = End { state: OperationState::Failed, phases, error, change, left: Left::All };
    store.finish(&hold, end).await.unwrap();
}

#[tokio::test]
async fn a_delete_that_met_what_is_somebody_elses_waits_for_people_and_any_other_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = Arc::new(stand_in::lifecycle(folder.path()).await);
    let store = lifecycle.store.clone();
    let reconciler = Arc::new(Reconciler {
        store: store.clone(),
        providers: lifecycle.providers.clone(),
        installation: lifecycle.installation.clone(),
        probe: crate::readiness::client().unwrap(),
        lifecycle: Arc::clone(&lifecycle),
        repair: Repair::Auto,
        hurry: 1,
        name: "me".to_owned(),
    });
    let row = WorkspaceRow::new("demo".parse().unwrap(), "test".parse().unwrap(), String::new());
    store.insert_workspace(&row, &NewOperation::of(OperationKind::Create, "ada", "req-1")).await.unwrap();
    let name = row.id.clone().into();
    let caller = Caller {
        principal: "ada".to_owned(),
        request_id: "req-2".to_owned(),
        idempotency_key: None,
        if_match: None,
    };
    let now = || async { store.workspace(&name).await.unwrap().unwrap() };

    lifecycle.purge(&name, &caller).await.unwrap();
    fails(&store, ErrorCode::ProviderFailed).await;
    reconciler.round(1).await.unwrap();
    let again = store.unfinished_of(&row.runtime_id).await.unwrap();
    assert_eq!(again.iter().map(|operation| operation.kind).collect::<Vec<_>>(), [OperationKind::Purge]);

    fails(&store, ErrorCode::ForeignObject).await;
    reconciler.round(2).await.unwrap();
    assert_eq!(store.unfinished_of(&row.runtime_id).await.unwrap(), []);
    let listed = now().await;
    assert_eq!((listed.desired, listed.observed), (Desired::Deleted, Observed::Failed));
    assert_eq!(listed.error.as_ref().map(|problem| problem.code.as_str()), Some("foreign_object"));
    let next = why::next(&store, &listed, Repair::Auto).await.unwrap();
    assert!(next.starts_with("Nothing by itself") && next.contains("pilot ws rm demo"), "{next}");

    // Whoever has removed it there says so, and it goes on.
    lifecycle.delete(&name, &caller).await.unwrap();
    fails(&store, ErrorCode::ProviderTimeout).await;
    assert!(!waits_for_people(&now().await));
}
