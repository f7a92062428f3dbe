//! What is kept, what it is shown as, and what is not kept for ever.

use std::time::Duration;

use contracts::operation::{OperationEvent, OperationEventBody, OperationKind, OperationState, Phase};
use contracts::workspace::{Desired, Endpoint, Observed};
use contracts::{OperationId, Problem};
use jiff::Timestamp;
use orchestrator::lifecycle::state::Event;
use orchestrator::store::{
    Change, End, Kept, NewOperation, Query, Sort, Step, Store, StoreError, WorkspaceQuery, WorkspaceRow,
};

use super::*;

pub async fn a_cancel_gives_back_what_was_desired_before(store: &Store) {
    let (row, create) = created(store, "a").await;
    let create = store.cancel(&create.id).await.unwrap().unwrap();
    assert_eq!(create.state, OperationState::Canceled, "it had not begun");
    assert_eq!(now(store, &row).await.desired, Desired::Stopped);
    assert_eq!(claim(store, "one").await, None);
    let start = request(store, &row, OperationKind::Start).await.unwrap();
    let running = claim(store, "one").await.unwrap();
    assert_eq!(store.cancel(&start.id).await.unwrap().unwrap().state, OperationState::Running);
    assert_eq!(now(store, &row).await.desired, Desired::Stopped);
    // What came behind it counts, until that is cancelled as well.
    let delete = request(store, &row, OperationKind::Delete).await.unwrap();
    store.cancel(&start.id).await.unwrap();
    assert_eq!(now(store, &row).await.desired, Desired::Deleted);
    store.cancel(&delete.id).await.unwrap();
    store.cancel(&start.id).await.unwrap();
    assert_eq!(now(store, &row).await.desired, Desired::Stopped);
    succeeds(store, &running).await;
    // One that has ended stays as it is, and so does what is desired.
    request(store, &row, OperationKind::Resume).await.unwrap();
    assert_eq!(store.cancel(&start.id).await.unwrap().unwrap().state, OperationState::Succeeded);
    assert_eq!(now(store, &row).await.desired, Desired::Running);
    assert_eq!(store.cancel(&OperationId::random()).await.unwrap(), None);
}

pub async fn a_change_of_a_version_that_is_not_there_any_more_is_refused(store: &Store) {
    let (row, create) = created(store, "a").await;
    let tag = now(store, &row).await.tag();
    let with = |tag: &str| NewOperation { if_match: Some(tag.to_owned()), ..new(OperationKind::Stop) };
    store.cancel(&create.id).await.unwrap();
    let late = store.request(&row.id, Some(Desired::Stopped), &with(&tag)).await;
    assert!(matches!(late, Err(StoreError::Changed)), "another is desired since");
    assert_eq!(store.unfinished_of(&row.runtime_id).await.unwrap(), []);
    let tag = now(store, &row).await.tag();
    store.request(&row.id, Some(Desired::Stopped), &with(&tag)).await.unwrap();
    assert_ne!(now(store, &row).await.tag(), tag);
}

pub async fn a_key_stands_for_one_request_of_one_principal(store: &Store) {
    let with = |principal: &str, digest: &str| NewOperation {
        principal: principal.to_owned(),
        idempotency: Some(("key".to_owned(), digest.to_owned())),
        ..new(OperationKind::Create)
    };
    let first = store.insert_workspace(&workspace("a"), &with("ann", "x")).await.unwrap();
    let again = store.insert_workspace(&workspace("b"), &with("ann", "y")).await;
    assert!(matches!(again, Err(StoreError::KeyTaken)));
    assert_eq!(store.workspaces().await.unwrap().len(), 1, "what is refused is not there");
    store.insert_workspace(&workspace("c"), &with("bob", "x")).await.unwrap();
    let (operation, digest) = store.operation_of_key("ann", "key").await.unwrap().unwrap();
    assert_eq!((operation, digest.as_str()), (first, "x"));
    assert_eq!(store.operation_of_key("cy", "key").await.unwrap(), None);
    let taken = store.insert_workspace(&workspace("a"), &new(OperationKind::Create)).await;
    assert!(matches!(taken, Err(StoreError::SlugTaken)));
}

pub async fn a_step_that_a_state_does_not_allow_changes_nothing(store: &Store) {
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    let mut phases = claimed.operation.phases.clone();
    phases.reach(Phase::Ready, Timestamp::now());
    let step = Step { phases: Some(phases), change: Some(Change::of(Event::BecameReady)) };
    assert!(matches!(store.advance(&hold(&claimed), step).await, Err(StoreError::Illegal(_))));
    assert_eq!(store.operation(&claimed.operation.id).await.unwrap().unwrap().phases.ready, None);
    assert_eq!(now(store, &row).await.observed, Observed::Absent);
    for (event, observed) in [
        (Event::CreateStarted, Observed::Provisioning),
        (Event::Applied, Observed::Booting),
        (Event::BecameReady, Observed::Ready),
    ] {
        let endpoint = (observed == Observed::Ready).then(|| Endpoint::plain("10.0.0.7", 3000));
        let change = Some(Change { endpoint, ..Change::of(event) });
        let seen = store.advance(&hold(&claimed), Step { phases: None, change }).await.unwrap();
        assert_eq!(seen, Some(observed));
    }
    let ready = now(store, &row).await;
    assert_eq!(ready.endpoint.unwrap().to_string(), "10.0.0.7:3000");
    assert_eq!((ready.observed, ready.revision), (Observed::Ready, 4));
    // An end that the state does not allow to show is an end all the same.
    let change = Some(Change::of(Event::OperationFailed));
    let failed = End { change, ..end(&claimed, OperationState::Failed) };
    store.finish(&hold(&claimed), failed).await.unwrap();
    assert_eq!(state(store, &claimed.operation.id).await, OperationState::Failed);
    assert_eq!(now(store, &row).await.observed, Observed::Ready);
}

pub async fn what_was_seen_of_a_runtime_that_has_changed_since_is_dropped(store: &Store) {
    let (row, _) = created(store, "a").await;
    let lost = Change::of(Event::ContactLost);
    let claimed = claim(store, "one").await.unwrap();
    for event in [Event::CreateStarted, Event::Applied, Event::BecameReady] {
        let endpoint = (event == Event::BecameReady).then(|| Endpoint::plain("10.0.0.7", 3000));
        let step = Step { phases: None, change: Some(Change { endpoint, ..Change::of(event) }) };
        store.advance(&hold(&claimed), step).await.unwrap();
    }
    let seen = now(store, &row).await.revision;
    assert!(!store.observe(&row.runtime_id, seen, &lost).await.unwrap(), "an operation has the word");
    succeeds(store, &claimed).await;
    assert!(!store.observe(&row.runtime_id, seen - 1, &lost).await.unwrap());
    assert!(store.observe(&row.runtime_id, seen, &lost).await.unwrap());
    let unseen = now(store, &row).await;
    assert_eq!(unseen.observed, Observed::Unknown);
    assert!(unseen.endpoint.is_some(), "who has the way goes on using it");
    assert!(!store.observe(&row.runtime_id, seen, &lost).await.unwrap());
}

pub async fn a_removed_workspace_leaves_its_slug_its_id_and_its_words(store: &Store) {
    let (row, create) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    let removed = End { left: Left::Nothing, ..end(&claimed, OperationState::Succeeded) };
    store.finish(&hold(&claimed), removed).await.unwrap();
    assert_eq!(store.workspace(&row.id.clone().into()).await.unwrap(), None);
    assert_eq!(store.workspace_of(&row.runtime_id).await.unwrap(), None);
    assert_eq!(state(store, &create.id).await, OperationState::Succeeded);
    let (successor, _) = created(store, "a").await;
    assert_ne!(successor.id, row.id);
    let late = store.request(&row.id, Some(Desired::Deleted), &new(OperationKind::Delete)).await;
    assert!(matches!(late, Err(StoreError::Gone)), "never its successor");
    assert_eq!(store.workspaces().await.unwrap().len(), 1);
}

pub async fn operations_are_listed_newest_first_and_by_what_is_asked(store: &Store) {
    let mut ids = Vec::new();
    for slug in ["a", "b", "c"] {
        ids.insert(0, created(store, slug).await.1.id);
    }
    let claimed = claim(store, "one").await.unwrap();
    succeeds(store, &claimed).await;
    let list = async |query: Query| -> Vec<OperationId> {
        store.operations(&query).await.unwrap().0.into_iter().map(|operation| operation.id).collect()
    };
    let all = Query { most: 10, ..Query::default() };
    assert_eq!(list(all.clone()).await, ids);
    assert_eq!(list(Query { most: 2, ..all.clone() }).await, ids[..2]);
    let next = async |most| store.operations(&Query { most, ..Query::default() }).await.unwrap().1;
    assert_eq!((next(2).await.as_ref(), next(3).await), (Some(&ids[1]), None));
    assert_eq!(list(Query { before: Some(ids[1].clone()), ..all.clone() }).await, ids[2..]);
    let queued = Query { state: Some(OperationState::Queued), ..all.clone() };
    assert_eq!(list(queued).await, ids[..2]);
    let workspace = claimed.operation.workspace_id;
    assert_eq!(list(Query { workspace, ..all.clone() }).await, ids[2..]);
    assert_eq!(list(Query { kind: Some(OperationKind::Delete), ..all }).await, []);
}

pub async fn workspaces_are_paged_sorted_and_found_by_what_is_known_of_them(store: &Store) {
    let label = |value: &str| {
        let labels = [("team", value), ("every", "one")];
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    for (slug, owner, value) in
        [("b", "ann", "x%"), ("a", "bob", "xy"), ("d", "ann", "x\"y"), ("c", "bob", "_")]
    {
        let row = WorkspaceRow { owner: owner.to_owned(), labels: label(value), ..workspace(slug) };
        store.insert_workspace(&row, &new(OperationKind::Create)).await.unwrap();
    }
    let list = async |query: WorkspaceQuery| -> Vec<String> {
        let (rows, _) = store.workspaces_by(&query).await.unwrap();
        rows.into_iter().map(|row| row.slug.to_string()).collect()
    };
    let all = WorkspaceQuery { most: 10, ..WorkspaceQuery::default() };
    assert_eq!(list(all.clone()).await, ["a", "b", "c", "d"]);
    assert_eq!(list(WorkspaceQuery { sort: Sort::Oldest, ..all.clone() }).await, ["b", "a", "d", "c"]);
    assert_eq!(list(WorkspaceQuery { sort: Sort::Newest, ..all.clone() }).await, ["c", "d", "a", "b"]);
    for sort in [Sort::Slug, Sort::Oldest, Sort::Newest] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = WorkspaceQuery { sort, after, most: 1, ..WorkspaceQuery::default() };
            let (rows, next) = store.workspaces_by(&page).await.unwrap();
            seen.extend(rows.into_iter().map(|row| row.slug.to_string()));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, list(WorkspaceQuery { sort, ..all.clone() }).await, "{sort:?}");
    }
    assert_eq!(list(WorkspaceQuery { owner: Some("ann".to_owned()), ..all.clone() }).await, ["b", "d"]);
    let other = vec![("team".to_owned(), "XY".to_owned())];
    assert_eq!(list(WorkspaceQuery { labels: other, ..all.clone() }).await.len(), 0, "letter by letter");
    for (value, slug) in [("x%", "b"), ("xy", "a"), ("x\"y", "d"), ("_", "c")] {
        let labels = vec![("team".to_owned(), value.to_owned())];
        assert_eq!(list(WorkspaceQuery { labels, ..all.clone() }).await, [slug], "and no pattern: {value}");
    }
    for (every, slugs) in [("one", ["a"].as_slice()), ("other", &[])] {
        let labels = [("team", "xy"), ("every", every)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(list(WorkspaceQuery { labels, ..all.clone() }).await, slugs, "all of them: {every}");
    }
    let absent = WorkspaceQuery { state: Some(Observed::Absent), ..all.clone() };
    assert_eq!(list(absent).await.len(), 4);
    assert_eq!(list(WorkspaceQuery { state: Some(Observed::Ready), ..all.clone() }).await.len(), 0);
    assert_eq!(list(WorkspaceQuery { provider: Some("fly".to_owned()), ..all }).await.len(), 0);
}

pub async fn it_is_known_what_is_to_be_done_and_who_asked_for_it(store: &Store) {
    let queue = async || {
        let queue = store.queue().await.unwrap();
        (queue.queued, queue.running)
    };
    assert_eq!(queue().await, (0, 0));
    let (row, create) = created(store, "a").await;
    created(store, "b").await;
    claim(store, "one").await.unwrap();
    tokio::time::sleep(SHORT).await;
    assert_eq!(queue().await, (1, 1));
    assert!(store.queue().await.unwrap().oldest >= SHORT);
    store.rename(&row, &"c".parse().unwrap(), ("ann", "req-2"), None, None).await.unwrap();
    let asked = store.asked(&row.id, 10).await.unwrap();
    let words: Vec<_> = asked.iter().map(|one| (one.principal.as_str(), one.action.as_str())).collect();
    assert_eq!(words, [("ann", "rename"), ("admin", "create")]);
    assert_eq!((&asked[0].operation, &asked[1].operation), (&None, &Some(create.id)));
}

pub async fn a_renamed_workspace_is_the_same_under_another_name(store: &Store) {
    let (row, _) = created(store, "a").await;
    let (other, _) = created(store, "b").await;
    let rename = async |row: &WorkspaceRow, slug: &str| {
        store.rename(row, &slug.parse().unwrap(), ("admin", "req-1"), None, None).await
    };
    assert!(matches!(rename(&row, "b").await, Err(StoreError::SlugTaken)));
    let before = now(store, &row).await;
    rename(&row, "c").await.unwrap();
    assert_eq!(now(store, &row).await, WorkspaceRow { slug: "c".parse().unwrap(), ..before });
    rename(&other, "a").await.unwrap();
    let busy = Problem::from(request(store, &row, OperationKind::Stop).await.unwrap_err());
    assert!(
        busy.detail.starts_with("c is busy"),
        "and not what it was called when its create was asked for: {}",
        busy.detail
    );
    request(store, &row, OperationKind::Delete).await.unwrap();
    assert!(matches!(rename(&row, "d").await, Err(StoreError::Gone)), "not one that goes");
}

pub async fn whoever_watches_is_told_of_which_runtime_something_else_is_known(store: &Store) {
    let mut changed = store.changed();
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    store
        .advance(&hold(&claimed), Step { phases: None, change: Some(Change::of(Event::CreateStarted)) })
        .await
        .unwrap();
    let removed = End { left: Left::Nothing, ..end(&claimed, OperationState::Succeeded) };
    store.finish(&hold(&claimed), removed).await.unwrap();
    for _ in 0..3 {
        let heard = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                // What is no id says that something may have been missed.
                let id = changed.recv().await.unwrap();
                if !id.is_empty() {
                    return id;
                }
            }
        });
        assert_eq!(heard.await.unwrap(), row.runtime_id.as_str());
    }
}

pub async fn events_are_told_in_their_order_and_a_number_is_given_once(store: &Store) {
    let (_, operation) = created(store, "a").await;
    let event = |sequence| {
        let body = OperationEventBody::Phase { phase: Phase::Planned };
        (operation.id.clone(), OperationEvent { sequence, at: Timestamp::now(), body })
    };
    assert_eq!(store.last_event(&operation.id).await.unwrap(), 0);
    store.append_events(&[event(1), event(2)]).await.unwrap();
    assert!(store.append_events(&[event(3), event(2)]).await.is_err());
    assert_eq!(store.last_event(&operation.id).await.unwrap(), 2, "all or none");
    store.append_events(&[event(3)]).await.unwrap();
    let read = store.events_after(&operation.id, 1, 10).await.unwrap();
    assert_eq!(read.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(store.events_after(&operation.id, 0, 2).await.unwrap().len(), 2);
}

pub async fn a_lease_has_one_holder_and_its_fence_rises_with_each(store: &Store) {
    let first = store.lease("sweeper", "one", LEASE).await.unwrap().unwrap();
    assert_eq!(store.lease("sweeper", "two", LEASE).await.unwrap(), None);
    assert_eq!(store.lease("sweeper", "one", SHORT).await.unwrap(), Some(first.clone()));
    tokio::time::sleep(2 * SHORT).await;
    let second = store.lease("sweeper", "two", LEASE).await.unwrap().unwrap();
    assert_eq!(second.fence, first.fence + 1);
    store.give_back(&first).await.unwrap();
    assert_eq!(store.lease("sweeper", "one", LEASE).await.unwrap(), None, "it was not his to give");
    store.give_back(&second).await.unwrap();
    assert!(store.lease("sweeper", "one", LEASE).await.unwrap().is_some());
    assert!(store.lease("other", "two", LEASE).await.unwrap().is_some());
    store.give_back_all("two").await.unwrap();
    assert!(store.lease("other", "one", LEASE).await.unwrap().is_some(), "who ends keeps nobody waiting");
    assert_eq!(store.lease("sweeper", "two", LEASE).await.unwrap(), None, "and gives nothing of another's");
}

pub async fn what_workspaces_share_is_removed_once_and_not_while_one_needs_it(store: &Store) {
    let (provider, other) = ("fake".parse().unwrap(), "other".parse().unwrap());
    let (_, create) = created(store, "demo").await;
    match store.request_teardown(&provider, &new(OperationKind::Teardown)).await {
        Err(StoreError::InUse(users)) => assert_eq!(users, ["demo"]),
        answer => panic!("{answer:?}"),
    }
    let claimed = claim(store, "one").await.unwrap();
    assert_eq!(claimed.operation.id, create.id);
    let mut gone = end(&claimed, OperationState::Succeeded);
    (gone.left, gone.change) = (Left::Home(LEASE), Some(Change::of(Event::DeleteStarted)));
    store.finish(&hold(&claimed), gone).await.unwrap();
    assert_eq!(store.users_of(&provider).await.unwrap(), ["demo"], "its home needs it as well");
    let purge = store.kept(None).await.unwrap().remove(0);
    request(store, &purge, OperationKind::Purge).await.unwrap();
    let claimed = claim(store, "one").await.unwrap();
    let gone = End { left: Left::Nothing, ..end(&claimed, OperationState::Succeeded) };
    store.finish(&hold(&claimed), gone).await.unwrap();

    let asked = NewOperation {
        idempotency: Some(("key".to_owned(), "digest".to_owned())),
        ..new(OperationKind::Teardown)
    };
    let teardown = store.request_teardown(&provider, &asked).await.unwrap();
    assert_eq!(
        (teardown.kind, &teardown.slug, &teardown.workspace_id),
        (OperationKind::Teardown, &None, &None)
    );
    let again = store.request_teardown(&provider, &new(OperationKind::Teardown)).await.unwrap();
    assert_eq!(again.id, teardown.id);
    assert_eq!(store.operation_of_key("admin", "key").await.unwrap().unwrap().0.id, teardown.id);
    assert_eq!(store.operation(&teardown.id).await.unwrap().unwrap(), teardown);
    let beside = store.request_teardown(&other, &new(OperationKind::Teardown)).await.unwrap();
    assert_ne!(beside.id, teardown.id);

    let claimed = claim(store, "one").await.unwrap();
    assert_eq!((&claimed.operation.id, claimed.provider.as_str()), (&teardown.id, "fake"));
    let lease = store.lease("shared/fake", "one", SHORT).await.unwrap().unwrap();
    store.say_torn(&provider, &lease, &teardown.id).await.unwrap();
    let place = [provider_api::Site { id: "account".to_owned(), via: "the settings".to_owned() }];
    assert_eq!(store.shared_sites(&provider).await.unwrap(), []);
    store.settle_shared(&provider, &lease, &place).await.unwrap();
    assert_eq!(store.shared_sites(&provider).await.unwrap(), place);
    assert_eq!(store.shared_sites(&other).await.unwrap(), []);
    tokio::time::sleep(2 * SHORT).await;
    store.lease("shared/fake", "two", LEASE).await.unwrap().unwrap();
    let late = store.settle_shared(&provider, &lease, &[]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = store.say_torn(&provider, &lease, &beside.id).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(store.torn_by(&provider).await.unwrap(), Some(teardown.id.clone()));
    assert_eq!(store.torn_by(&other).await.unwrap(), None);
    succeeds(store, &claimed).await;
    // One that runs can be cancelled, and the next is another.
    let claimed = claim(store, "one").await.unwrap();
    assert_eq!(claimed.operation.id, beside.id);
    assert!(store.cancel(&beside.id).await.unwrap().is_some());
    let next = store.request_teardown(&other, &new(OperationKind::Teardown)).await.unwrap();
    assert_ne!(next.id, beside.id);
}

pub async fn what_is_old_or_too_much_is_pruned_and_what_counts_stays(store: &Store) {
    let mut operations = Vec::new();
    let (row, create) = created(store, "a").await;
    operations.push(create.id);
    succeeds(store, &claim(store, "one").await.unwrap()).await;
    for kind in [OperationKind::Stop, OperationKind::Start, OperationKind::Stop, OperationKind::Start] {
        operations.push(request(store, &row, kind).await.unwrap().id);
        succeeds(store, &claim(store, "one").await.unwrap()).await;
    }
    let (_, waiting) = created(store, "b").await;
    let left = async || {
        let query = Query { most: 100, ..Query::default() };
        let mut ids: Vec<_> =
            store.operations(&query).await.unwrap().0.into_iter().map(|one| one.id).collect();
        ids.sort();
        ids
    };
    assert!(!store.prune(Kept::default()).await.unwrap());
    assert_eq!(left().await.len(), 6);
    store.prune(Kept { operations_most: 2, ..Kept::default() }).await.unwrap();
    assert_eq!(left().await, [&operations[2..], std::slice::from_ref(&waiting.id)].concat());
    tokio::time::sleep(SHORT).await;
    let none = Duration::from_millis(1);
    store.prune(Kept { operations: none, keys: none, ..Kept::default() }).await.unwrap();
    assert_eq!(left().await, [operations[4].clone(), waiting.id], "the last of a workspace, and what waits");
}
