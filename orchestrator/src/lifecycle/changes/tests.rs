//! Keys and repeats, without an engine.

use super::*;
use crate::operations::stand_in::lifecycle;
use crate::store::Store;

fn caller(key: Option<&str>) -> Caller {
    let idempotency_key = key.map(str::to_owned);
    Caller { principal: "admin".to_owned(), request_id: "req-1".to_owned(), idempotency_key, if_match: None }
}

/// As the end of a delete does.
async fn remove(store: &Store) {
    end(store, crate::store::Left::Nothing).await;
}

async fn end(store: &Store, left: crate::store::Left) {
    let claimed = store.claim("me", std::time::Duration::from_secs(9), &[], &[]).await.unwrap().unwrap();
    let (operation, runtime) = (claimed.operation.id, claimed.operation.runtime_id);
    let (state, phases) = (contracts::operation::OperationState::Succeeded, claimed.operation.phases);
    let end = crate::store::End { state, phases, error: None, change: None, left };
    store.finish(&crate::store::Hold { operation, runtime, fence: claimed.fence }, end).await.unwrap();
}

fn row(slug: &str) -> WorkspaceRow {
    WorkspaceRow::new(slug.parse().unwrap(), "test".parse().unwrap(), String::new())
}

#[tokio::test]
async fn a_key_stands_for_its_own_workspace_even_when_another_has_the_slug_now() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let caller = caller(Some("key"));
    let (first, second) = (row("demo"), row("demo"));
    let operation = new_operation(OperationKind::Create, &caller, "digest");
    lifecycle.store.insert_workspace(&first, &operation).await.unwrap();
    let again = || async {
        let (key, anew) = (caller.key("digest"), std::future::pending());
        lifecycle.once(key.as_ref(), |id| lifecycle.accepted_before(id), anew).await
    };
    let repeated = again().await.unwrap();
    assert_eq!(
        (repeated.workspace.runtime_id, repeated.operation.id),
        (first.runtime_id.clone(), operation.id.clone())
    );

    remove(&lifecycle.store).await;
    let mut other = new_operation(OperationKind::Create, &caller, "digest");
    other.idempotency = None;
    lifecycle.store.insert_workspace(&second, &other).await.unwrap();
    let repeated = again().await.unwrap();
    assert_eq!((&repeated.workspace.id, repeated.operation.id), (&first.id, operation.id));
    assert_eq!((repeated.workspace.desired, repeated.workspace.state), (Desired::Deleted, Observed::Absent));
}

#[tokio::test]
async fn a_purge_sent_again_with_its_key_is_answered_with_its_operation_when_all_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let row = row("demo");
    let create = new_operation(OperationKind::Create, &caller(None), "");
    lifecycle.store.insert_workspace(&row, &create).await.unwrap();
    let (name, caller) = (row.slug.clone().into(), caller(Some("key")));
    let asked = lifecycle.purge(&name, &caller).await.unwrap();
    remove(&lifecycle.store).await;
    let again = lifecycle.purge(&name, &caller).await.unwrap();
    assert_eq!((again.operation.id, again.workspace.id), (asked.operation.id, row.id));
}

#[tokio::test]
async fn the_same_change_asked_for_many_times_at_once_is_one_operation() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let caller = caller(None);
    let row = row("demo");
    let create = new_operation(OperationKind::Create, &caller, "");
    lifecycle.store.insert_workspace(&row, &create).await.unwrap();
    let name = row.slug.clone().into();
    let asked = (0..16).map(|_| lifecycle.delete(&name, &caller));
    let answers = futures_util::future::join_all(asked).await;
    let ids: std::collections::HashSet<_> =
        answers.into_iter().map(|answer| answer.unwrap().operation.id).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn what_the_quicker_of_two_has_done_is_no_refusal_of_the_slower() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let (row, caller) = (row("demo"), caller(Some("key")));
    let create = new_operation(OperationKind::Create, &self::caller(None), "");
    lifecycle.store.insert_workspace(&row, &create).await.unwrap();
    let name = row.slug.clone().into();
    // Between the look at the key and the look at the workspace.
    let ask = async {
        let quicker = lifecycle.delete(&name, &caller).await.unwrap();
        assert_eq!(quicker.workspace.id, row.id);
        Err(not_found(&name))
    };
    let key = caller.key(&digest(OperationKind::Delete, &name));
    let slower = lifecycle.once(key.as_ref(), |id| lifecycle.accepted_before(id), ask).await.unwrap();
    assert_eq!(slower.operation.id, lifecycle.delete(&name, &caller).await.unwrap().operation.id);
}

#[tokio::test]
async fn a_rename_sent_many_times_with_one_key_is_one_rename() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let row = row("before");
    let create = new_operation(OperationKind::Create, &caller(None), "");
    lifecycle.store.insert_workspace(&row, &create).await.unwrap();
    let (name, caller) = (row.slug.clone().into(), caller(Some("key")));
    let body = || RenameWorkspace { slug: "after".to_owned() };
    let answers =
        futures_util::future::join_all((0..8).map(|_| lifecycle.rename(&name, body(), &caller))).await;
    // The old name names nothing by now; the key still does.
    let later = lifecycle.rename(&name, body(), &caller).await;
    for renamed in answers.into_iter().chain([later]) {
        let renamed = renamed.unwrap();
        assert_eq!((renamed.id, renamed.slug.as_str()), (row.id.clone(), "after"));
    }
    let other = RenameWorkspace { slug: "other".to_owned() };
    let problem = lifecycle.rename(&row.id.into(), other, &caller).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::IdempotencyConflict);
}

/// One that is deleted, with its home kept.
async fn kept(lifecycle: &Lifecycle, slug: &str) -> WorkspaceRow {
    let row = row(slug);
    let create = new_operation(OperationKind::Create, &caller(None), "");
    lifecycle.store.insert_workspace(&row, &create).await.unwrap();
    lifecycle.delete(&row.id.clone().into(), &caller(None)).await.unwrap();
    end(&lifecycle.store, crate::store::Left::Home(std::time::Duration::from_secs(3600))).await;
    row
}

#[tokio::test]
async fn what_is_cleared_of_the_kept_is_never_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let [gone, back] = [kept(&lifecycle, "demo").await, kept(&lifecycle, "back").await];
    let there = row("demo");
    let create = new_operation(OperationKind::Create, &caller(None), "");
    lifecycle.store.insert_workspace(&there, &create).await.unwrap();
    let clear = |name: WorkspaceRef| {
        let lifecycle = &lifecycle;
        async move { lifecycle.clear_kept(&name, OperationKind::Purge, &caller(None)).await }
    };
    let refused = clear(there.id.clone().into()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::WorkspaceNotFound);
    assert!(refused.detail.starts_with("None of the deleted workspaces"), "{refused:?}");
    assert_eq!(clear("demo".parse().unwrap()).await.unwrap().workspace.id, gone.id, "not who has its name");

    // Brought back between the look and the request.
    let name: WorkspaceRef = back.id.clone().into();
    lifecycle.restore(&name, Default::default(), &caller(None)).await.unwrap();
    let late = NewOperation { of_kept: true, ..new_operation(OperationKind::Purge, &caller(None), "") };
    let refused = lifecycle.store.request(&back.id, Some(Desired::Deleted), &late).await;
    assert!(matches!(refused, Err(StoreError::Gone)), "{refused:?}");
}

#[tokio::test]
async fn a_name_that_several_deleted_ones_had_is_refused_with_the_ids_to_choose_from() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let [first, second] = [kept(&lifecycle, "demo").await, kept(&lifecycle, "demo").await];
    let name = "demo".parse().unwrap();
    let restore = lifecycle.restore(&name, Default::default(), &caller(None)).await.unwrap_err();
    let purge = lifecycle.purge(&name, &caller(None)).await.unwrap_err();
    for problem in [restore, purge] {
        assert_eq!(problem.code, ErrorCode::NameAmbiguous);
        assert!(problem.title.contains("Several deleted workspaces"), "{problem:?}");
        for id in [&first.id, &second.id] {
            assert!(problem.detail.contains(id.as_str()), "{problem:?}");
        }
    }
    lifecycle.restore(&second.id.into(), Default::default(), &caller(None)).await.unwrap();
}

#[tokio::test]
async fn a_workspace_has_a_url_below_the_gateway_that_was_told_and_none_without() {
    let folder = tempfile::tempdir().unwrap();
    let lifecycle = lifecycle(folder.path()).await;
    let url = || lifecycle.view(row("demo")).url;
    assert_eq!(url(), None);
    lifecycle.gateway.set("https://pilot.example.com:8443".parse().unwrap()).unwrap();
    assert_eq!(url().as_deref(), Some("https://demo.pilot.example.com:8443/"));
}
