//! What every store promises, whatever keeps it: the same cases run on each.

use std::collections::HashSet;
use std::time::Duration;

use contracts::operation::{
    Operation, OperationEvent, OperationEventBody, OperationKind, OperationState, Phase,
};
use contracts::workspace::{Desired, Endpoint, Observed};
use contracts::{ErrorCode, OperationId, Problem};
use jiff::Timestamp;
use orchestrator::lifecycle::state::Event;
use orchestrator::store::{
    Change, Claimed, End, Hold, Kept, NewOperation, Query, Step, Store, StoreError, WorkspaceRow,
};

const LEASE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

/// One test for each promise; `$open` gives a store that is empty, and what it lives in.
macro_rules! cases {
    ($open:expr; $($case:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $case() {
            let (store, _world) = $open.await;
            suite::$case(&store).await;
            store.close().await;
        }
    )* };
}

macro_rules! all_cases {
    ($open:expr) => {
        cases! { $open;
            what_was_asked_for_first_runs_first_and_is_given_to_one_alone
            of_one_workspace_one_operation_runs_and_one_waits
            a_delete_ends_what_waits_and_asks_what_runs_to_end
            asked_twice_for_the_same_the_answer_is_the_same_operation
            what_a_claimer_has_left_is_taken_over_and_its_late_words_change_nothing
            a_claimer_that_gives_its_word_keeps_what_it_has_and_hears_what_is_asked_of_it
            a_claimer_that_ends_keeps_nobody_waiting
            the_owner_for_whom_the_fewest_run_has_the_next_turn
            a_provider_without_room_keeps_no_other_waiting
            many_claimers_at_once_share_what_there_is_and_run_nothing_twice
            many_requests_at_once_for_one_workspace_are_one_running_and_one_waiting
            a_cancel_gives_back_what_was_desired_before
            a_key_stands_for_one_request_of_one_principal
            a_step_that_a_state_does_not_allow_changes_nothing
            what_was_seen_of_a_runtime_that_has_changed_since_is_dropped
            a_removed_workspace_leaves_its_slug_its_id_and_its_words
            operations_are_listed_newest_first_and_by_what_is_asked
            events_are_told_in_their_order_and_a_number_is_given_once
            a_lease_has_one_holder_and_its_fence_rises_with_each
            what_is_old_or_too_much_is_pruned_and_what_counts_stays
        }
    };
}
pub(crate) use {all_cases, cases};

fn workspace(slug: &str) -> WorkspaceRow {
    WorkspaceRow::new(slug.parse().unwrap(), "fake".parse().unwrap(), "small".to_owned())
}

fn new(kind: OperationKind) -> NewOperation {
    let (request_id, principal) = ("req-1".to_owned(), "admin".to_owned());
    NewOperation { id: OperationId::random(), kind, request_id, principal, idempotency: None }
}

async fn created(store: &Store, slug: &str) -> (WorkspaceRow, Operation) {
    let row = workspace(slug);
    let operation = store.insert_workspace(&row, &new(OperationKind::Create)).await.unwrap();
    (row, operation)
}

async fn claim(store: &Store, claimer: &str) -> Option<Claimed> {
    store.claim(claimer, LEASE, &[]).await.unwrap()
}

fn hold(claimed: &Claimed) -> Hold {
    Hold {
        operation: claimed.operation.id.clone(),
        runtime: claimed.operation.runtime_id.clone(),
        fence: claimed.fence,
    }
}

fn end(claimed: &Claimed, state: OperationState) -> End {
    let phases = claimed.operation.phases.clone();
    End { state, phases, error: None, change: None, removed: false }
}

async fn succeeds(store: &Store, claimed: &Claimed) {
    store.finish(&hold(claimed), end(claimed, OperationState::Succeeded)).await.unwrap();
}

async fn request(store: &Store, row: &WorkspaceRow, kind: OperationKind) -> Result<Operation, StoreError> {
    let desired = match kind {
        OperationKind::Stop => Desired::Stopped,
        OperationKind::Delete => Desired::Deleted,
        _ => Desired::Running,
    };
    store.request(&row.id, desired, &new(kind)).await.map(|wanted| wanted.operation)
}

async fn state(store: &Store, id: &OperationId) -> OperationState {
    store.operation(id).await.unwrap().unwrap().state
}

async fn now(store: &Store, row: &WorkspaceRow) -> WorkspaceRow {
    store.workspace(&row.id.clone().into()).await.unwrap().unwrap()
}

pub async fn what_was_asked_for_first_runs_first_and_is_given_to_one_alone(store: &Store) {
    let (_, first) = created(store, "a").await;
    let (_, second) = created(store, "b").await;
    assert!(first.id < second.id);
    let claimed = claim(store, "one").await.unwrap();
    assert_eq!((&claimed.operation.id, claimed.operation.state), (&first.id, OperationState::Running));
    assert_eq!((claimed.provider.as_str(), claimed.fence, claimed.cancel), ("fake", 1, false));
    assert_eq!(claim(store, "two").await.unwrap().operation.id, second.id);
    assert_eq!(claim(store, "two").await, None);
    succeeds(store, &claimed).await;
    assert_eq!(state(store, &first.id).await, OperationState::Succeeded);
    assert_eq!(claim(store, "two").await, None);
}

pub async fn of_one_workspace_one_operation_runs_and_one_waits(store: &Store) {
    let (row, create) = created(store, "a").await;
    let running = claim(store, "one").await.unwrap();
    let stop = request(store, &row, OperationKind::Stop).await.unwrap();
    let refused = request(store, &row, OperationKind::Start).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(other) if other.id == stop.id), "{refused}");
    assert_eq!(Problem::from(refused).code, ErrorCode::OperationInProgress);
    assert_eq!(now(store, &row).await.desired, Desired::Stopped, "the refused one wishes nothing");
    assert_eq!(claim(store, "one").await, None, "its turn comes after the one that runs");
    succeeds(store, &running).await;
    assert_eq!(state(store, &create.id).await, OperationState::Succeeded);
    assert_eq!(claim(store, "one").await.unwrap().operation.id, stop.id);
}

pub async fn a_delete_ends_what_waits_and_asks_what_runs_to_end(store: &Store) {
    let (row, create) = created(store, "a").await;
    let running = claim(store, "one").await.unwrap();
    let stop = request(store, &row, OperationKind::Stop).await.unwrap();
    let delete = store.request(&row.id, Desired::Deleted, &new(OperationKind::Delete)).await.unwrap();
    assert_eq!(delete.cancelled, Some(create.id.clone()));
    let stop = store.operation(&stop.id).await.unwrap().unwrap();
    assert_eq!((stop.state, stop.error.unwrap().code), (OperationState::Canceled, ErrorCode::Canceled));
    assert!(stop.phases.finished.is_some());
    assert_eq!(store.renew("one", LEASE).await.unwrap(), [(create.id.clone(), 1, true)]);
    let late = request(store, &row, OperationKind::Start).await.unwrap_err();
    assert!(matches!(&late, StoreError::Busy(other) if other.id == delete.operation.id), "{late}");
    store.finish(&hold(&running), end(&running, OperationState::Canceled)).await.unwrap();
    assert_eq!(claim(store, "one").await.unwrap().operation.id, delete.operation.id);
}

pub async fn asked_twice_for_the_same_the_answer_is_the_same_operation(store: &Store) {
    let (row, _) = created(store, "a").await;
    let first = request(store, &row, OperationKind::Delete).await.unwrap();
    assert_eq!(request(store, &row, OperationKind::Delete).await.unwrap(), first);
    let running = claim(store, "one").await.unwrap();
    assert_eq!(request(store, &row, OperationKind::Delete).await.unwrap().id, running.operation.id);
}

pub async fn what_a_claimer_has_left_is_taken_over_and_its_late_words_change_nothing(store: &Store) {
    let (row, _) = created(store, "a").await;
    let zombie = store.claim("zombie", SHORT, &[]).await.unwrap().unwrap();
    assert_eq!(claim(store, "heir").await, None, "not before its lease is over");
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(claim(store, "zombie").await, None, "nobody takes over from himself");
    let heir = claim(store, "heir").await.unwrap();
    assert_eq!((&heir.operation.id, heir.fence), (&zombie.operation.id, zombie.fence + 1));
    assert_eq!(store.renew("zombie", LEASE).await.unwrap(), []);

    let before = (now(store, &row).await, store.operation(&zombie.operation.id).await.unwrap());
    let mut phases = zombie.operation.phases.clone();
    phases.reach(Phase::Applied, Timestamp::now());
    let step = Step { phases: Some(phases), change: Some(Change::of(Event::CreateStarted)) };
    assert!(matches!(store.advance(&hold(&zombie), step).await, Err(StoreError::Fenced)));
    let removed = End { removed: true, ..end(&zombie, OperationState::Succeeded) };
    assert!(matches!(store.finish(&hold(&zombie), removed).await, Err(StoreError::Fenced)));
    assert_eq!((now(store, &row).await, store.operation(&zombie.operation.id).await.unwrap()), before);

    store
        .advance(&hold(&heir), Step { phases: None, change: Some(Change::of(Event::CreateStarted)) })
        .await
        .unwrap();
    succeeds(store, &heir).await;
    let again = store.finish(&hold(&heir), end(&heir, OperationState::Failed)).await;
    assert!(matches!(again, Err(StoreError::Fenced)), "an end is said once");
    // The fence stays: what comes later is not mistaken for what the zombie had.
    request(store, &row, OperationKind::Stop).await.unwrap();
    assert_eq!(claim(store, "zombie").await.unwrap().fence, heir.fence);
}

pub async fn a_claimer_that_gives_its_word_keeps_what_it_has_and_hears_what_is_asked_of_it(store: &Store) {
    created(store, "a").await;
    let claimed = store.claim("one", SHORT, &[]).await.unwrap().unwrap();
    let id = claimed.operation.id.clone();
    assert_eq!(store.renew("one", LEASE).await.unwrap(), [(id.clone(), 1, false)]);
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(claim(store, "two").await, None);
    assert_eq!(store.cancel(&id).await.unwrap().unwrap().state, OperationState::Running);
    assert_eq!(store.renew("one", LEASE).await.unwrap(), [(id, 1, true)]);
    succeeds(store, &claimed).await;
    assert_eq!(store.renew("one", LEASE).await.unwrap(), []);
}

pub async fn a_claimer_that_ends_keeps_nobody_waiting(store: &Store) {
    created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    store.release("one").await.unwrap();
    let next = claim(store, "two").await.unwrap();
    assert_eq!((next.operation.id, next.fence), (claimed.operation.id, 2));
}

pub async fn the_owner_for_whom_the_fewest_run_has_the_next_turn(store: &Store) {
    for (slug, owner) in [("a1", "ann"), ("a2", "ann"), ("a3", "ann"), ("b1", "bob"), ("b2", "bob")] {
        let row = WorkspaceRow { owner: owner.to_owned(), ..workspace(slug) };
        store.insert_workspace(&row, &new(OperationKind::Create)).await.unwrap();
    }
    let mut turns = Vec::new();
    for _ in 0..5 {
        turns.push(claim(store, "one").await.unwrap().operation.slug.to_string());
    }
    assert_eq!(turns, ["a1", "b1", "a2", "b2", "a3"]);
}

pub async fn a_provider_without_room_keeps_no_other_waiting(store: &Store) {
    created(store, "a").await;
    let other = WorkspaceRow { provider: "docker".parse().unwrap(), ..workspace("b") };
    store.insert_workspace(&other, &new(OperationKind::Create)).await.unwrap();
    let full = ["fake".to_owned(), "fly".to_owned()];
    let claimed = store.claim("one", LEASE, &full).await.unwrap().unwrap();
    assert_eq!(claimed.operation.slug.as_str(), "b");
    assert_eq!(store.claim("one", LEASE, &full).await.unwrap(), None);
    assert_eq!(claim(store, "one").await.unwrap().operation.slug.as_str(), "a");
}

pub async fn many_claimers_at_once_share_what_there_is_and_run_nothing_twice(store: &Store) {
    for index in 0..60 {
        created(store, &format!("w{index}")).await;
    }
    let claimers = (0..8).map(|index| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            while let Some(claimed) = claim(&store, &format!("c{index}")).await {
                mine.push(claimed.operation.id.clone());
                succeeds(&store, &claimed).await;
            }
            mine
        })
    });
    let all: Vec<OperationId> =
        futures_util::future::join_all(claimers).await.into_iter().flat_map(Result::unwrap).collect();
    // One that looked while another had its hands on a row may have left early, and nothing is left over.
    let mut left = Vec::new();
    while let Some(claimed) = claim(store, "last").await {
        left.push(claimed.operation.id);
    }
    let each: HashSet<_> = all.iter().chain(&left).collect();
    assert_eq!((each.len(), all.len() + left.len()), (60, 60));
}

pub async fn many_requests_at_once_for_one_workspace_are_one_running_and_one_waiting(store: &Store) {
    let (row, create) = created(store, "a").await;
    let running = claim(store, "one").await.unwrap();
    let kinds = [OperationKind::Stop, OperationKind::Start, OperationKind::Suspend, OperationKind::Resume];
    let asked = (0..16).map(|index| {
        let (store, row) = (store.clone(), row.clone());
        tokio::spawn(async move { request(&store, &row, kinds[index % 4]).await })
    });
    let answers = futures_util::future::join_all(asked).await;
    let accepted: HashSet<_> =
        answers.into_iter().filter_map(|answer| answer.unwrap().ok()).map(|one| one.id).collect();
    assert_eq!(accepted.len(), 1, "the others were refused, or had the same answer");
    let unfinished = store.unfinished_of(&row.runtime_id).await.unwrap();
    assert_eq!((unfinished.len(), &unfinished[0].id), (2, &create.id));
    succeeds(store, &running).await;
}

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
        let step = Step { phases: None, change: Some(Change::of(event)) };
        store.advance(&hold(&claimed), step).await.unwrap();
    }
    let seen = now(store, &row).await.revision;
    assert!(!store.observe(&row.runtime_id, seen, &lost).await.unwrap(), "an operation has the word");
    succeeds(store, &claimed).await;
    assert!(!store.observe(&row.runtime_id, seen - 1, &lost).await.unwrap());
    assert!(store.observe(&row.runtime_id, seen, &lost).await.unwrap());
    assert_eq!(now(store, &row).await.observed, Observed::Unknown);
    assert!(!store.observe(&row.runtime_id, seen, &lost).await.unwrap());
}

pub async fn a_removed_workspace_leaves_its_slug_its_id_and_its_words(store: &Store) {
    let (row, create) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    let removed = End { removed: true, ..end(&claimed, OperationState::Succeeded) };
    store.finish(&hold(&claimed), removed).await.unwrap();
    assert_eq!(store.workspace(&row.id.clone().into()).await.unwrap(), None);
    assert_eq!(store.workspace_of(&row.runtime_id).await.unwrap(), None);
    assert_eq!(state(store, &create.id).await, OperationState::Succeeded);
    let (successor, _) = created(store, "a").await;
    assert_ne!(successor.id, row.id);
    let late = store.request(&row.id, Desired::Deleted, &new(OperationKind::Delete)).await;
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
        store.operations(&query).await.unwrap().into_iter().map(|operation| operation.id).collect()
    };
    let all = Query { most: 10, ..Query::default() };
    assert_eq!(list(all.clone()).await, ids);
    assert_eq!(list(Query { most: 2, ..all.clone() }).await, ids[..2]);
    assert_eq!(list(Query { before: Some(ids[1].clone()), ..all.clone() }).await, ids[2..]);
    let queued = Query { state: Some(OperationState::Queued), ..all.clone() };
    assert_eq!(list(queued).await, ids[..2]);
    let workspace = Some(claimed.operation.workspace_id);
    assert_eq!(list(Query { workspace, ..all.clone() }).await, ids[2..]);
    assert_eq!(list(Query { kind: Some(OperationKind::Delete), ..all }).await, []);
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
        let mut ids: Vec<_> = store.operations(&query).await.unwrap().into_iter().map(|one| one.id).collect();
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
