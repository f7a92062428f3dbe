//! Who runs what, when, and what a late word does.

use std::collections::HashSet;

use contracts::operation::{OperationKind, OperationState, Phase};
use contracts::workspace::Desired;
use contracts::{ErrorCode, OperationId, Problem};
use jiff::Timestamp;
use orchestrator::lifecycle::state::Event;
use orchestrator::store::{Change, End, NewOperation, Step, Store, StoreError, WorkspaceRow};

use super::*;

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
    let delete = store.request(&row.id, Some(Desired::Deleted), &new(OperationKind::Delete)).await.unwrap();
    assert_eq!(delete.cancelled, Some(create.id.clone()));
    let stop = store.operation(&stop.id).await.unwrap().unwrap();
    assert_eq!(
        (stop.state, stop.error.unwrap().code),
        (OperationState::Canceled, ErrorCode::Canceled.into())
    );
    assert!(stop.phases.finished.is_some());
    let held = [create.id.clone()];
    assert_eq!(store.renew("one", LEASE, &held).await.unwrap(), [(create.id.clone(), 1, true)]);
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
    let zombie = store.claim("zombie", NOTED, &[], &[]).await.unwrap().unwrap();
    assert_eq!(claim(store, "heir").await, None, "not before its lease is over");
    tokio::time::sleep(2 * NOTED).await;
    let held = [zombie.operation.id.clone()];
    let again = store.claim("zombie", LEASE, &[], &held).await.unwrap();
    assert_eq!(again, None, "nobody takes over what he has in hand");
    let heir = claim(store, "heir").await.unwrap();
    assert_eq!((&heir.operation.id, heir.fence), (&zombie.operation.id, zombie.fence + 1));
    assert!(heir.inherited && !zombie.inherited);
    assert_eq!(store.renew("zombie", LEASE, &held).await.unwrap(), []);

    let before = (now(store, &row).await, store.operation(&zombie.operation.id).await.unwrap());
    let mut phases = zombie.operation.phases.clone();
    phases.reach(Phase::Applied, Timestamp::now());
    let step = Step { phases: Some(phases), change: Some(Change::of(Event::CreateStarted)) };
    assert!(matches!(store.advance(&hold(&zombie), step).await, Err(StoreError::Fenced)));
    let removed = End { left: Left::Nothing, ..end(&zombie, OperationState::Succeeded) };
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

pub async fn whoever_takes_an_operation_knows_the_trace_of_its_request(store: &Store) {
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let create = NewOperation { traceparent: traceparent.clone(), ..new(OperationKind::Create) };
    let row = workspace("a");
    store.insert_workspace(&row, &create).await.unwrap();
    assert_eq!(claim(store, "one").await.unwrap().traceparent, traceparent);
    store.release("one").await.unwrap();
    let taken = claim(store, "other").await.unwrap();
    assert_eq!((taken.inherited, &taken.traceparent), (true, &traceparent));
    succeeds(store, &taken).await;
    request(store, &row, OperationKind::Stop).await.unwrap();
    assert_eq!(claim(store, "one").await.unwrap().traceparent, None, "nobody has said one");
}

pub async fn a_claimer_that_gives_its_word_keeps_what_it_has_and_hears_what_is_asked_of_it(store: &Store) {
    created(store, "a").await;
    let claimed = store.claim("one", SHORT, &[], &[]).await.unwrap().unwrap();
    let id = claimed.operation.id.clone();
    let held = [id.clone()];
    assert_eq!(store.renew("one", LEASE, &held).await.unwrap(), [(id.clone(), 1, false)]);
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(claim(store, "two").await, None);
    assert_eq!(store.cancel(&id).await.unwrap().unwrap().state, OperationState::Running);
    assert_eq!(store.renew("one", LEASE, &held).await.unwrap(), [(id, 1, true)]);
    succeeds(store, &claimed).await;
    assert_eq!(store.renew("one", LEASE, &held).await.unwrap(), []);
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
        turns.push(claim(store, "one").await.unwrap().operation.subject());
    }
    assert_eq!(turns, ["a1", "b1", "a2", "b2", "a3"]);
}

pub async fn a_provider_without_room_keeps_no_other_waiting(store: &Store) {
    created(store, "a").await;
    let other = WorkspaceRow { provider: "docker".parse().unwrap(), ..workspace("b") };
    store.insert_workspace(&other, &new(OperationKind::Create)).await.unwrap();
    let full = ["fake".to_owned(), "fly".to_owned()];
    let claimed = store.claim("one", LEASE, &full, &[]).await.unwrap().unwrap();
    assert_eq!(claimed.operation.subject(), "b");
    assert_eq!(store.claim("one", LEASE, &full, &[]).await.unwrap(), None);
    assert_eq!(claim(store, "one").await.unwrap().operation.subject(), "a");
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

pub async fn a_claim_whose_answer_was_lost_is_claimed_again_by_the_same(store: &Store) {
    // It has something else in hand, and gives its word for that alone.
    created(store, "b").await;
    let other = claim(store, "one").await.unwrap();
    created(store, "a").await;
    let lost = store.claim("one", SHORT, &[], &[]).await.unwrap().unwrap();
    let held = [other.operation.id.clone()];
    assert_eq!(store.renew("one", LEASE, &held).await.unwrap().len(), 1);
    tokio::time::sleep(2 * SHORT).await;
    let again = store.claim("one", LEASE, &[], &held).await.unwrap().unwrap();
    assert_eq!((&again.operation.id, again.fence, again.inherited), (&lost.operation.id, 2, true));
}

pub async fn what_was_asked_to_end_is_nobodys_answer(store: &Store) {
    let (row, create) = created(store, "a").await;
    succeeds(store, &claim(store, "one").await.unwrap()).await;
    let start = request(store, &row, OperationKind::Start).await.unwrap();
    let running = claim(store, "one").await.unwrap();
    store.cancel(&start.id).await.unwrap();
    let again = request(store, &row, OperationKind::Start).await.unwrap();
    assert_ne!(again.id, start.id);
    assert_eq!(now(store, &row).await.desired, Desired::Running);
    store.finish(&hold(&running), end(&running, OperationState::Canceled)).await.unwrap();
    assert_eq!(claim(store, "one").await.unwrap().operation.id, again.id);
    assert_ne!(create.id, again.id);
}

pub async fn a_key_of_who_was_answered_with_what_was_on_its_way_stands_for_that(store: &Store) {
    let (row, _) = created(store, "a").await;
    succeeds(store, &claim(store, "one").await.unwrap()).await;
    let start = request(store, &row, OperationKind::Start).await.unwrap();
    let new =
        NewOperation { idempotency: Some(("k".to_owned(), "d".to_owned())), ..new(OperationKind::Start) };
    let same = store.request(&row.id, Some(Desired::Running), &new).await.unwrap().operation;
    assert_eq!(same.id, start.id);
    succeeds(store, &claim(store, "one").await.unwrap()).await;
    let (operation, digest) = store.operation_of_key("admin", "k").await.unwrap().unwrap();
    assert_eq!((operation.id, digest.as_str()), (start.id, "d"));
}

pub async fn a_home_is_begun_anew_for_a_person_who_was_told_and_asks_for_a_start_since(store: &Store) {
    let (row, create) = created(store, "a").await;
    store.cancel(&create.id).await.unwrap();
    let begins = async |kind, principal: &str| {
        let new = NewOperation::of(kind, principal, "req-1");
        let wanted = store.request(&row.id, Some(Desired::Running), &new).await.unwrap();
        let anew = store.begins_anew(&wanted.operation.id).await.unwrap();
        store.cancel(&wanted.operation.id).await.unwrap();
        anew
    };
    assert!(!begins(OperationKind::Start, "admin").await, "nobody was told");
    let told = Problem::new(ErrorCode::HomeGone, "it is gone");
    let change = Change { error: Some(told), ..Change::of(Event::FoundStopped) };
    let seen = now(store, &row).await;
    assert!(store.observe(&row.runtime_id, seen.revision, &change).await.unwrap());
    for (kind, principal, anew) in [
        (OperationKind::Start, "admin", true),
        (OperationKind::Restart, "admin", true),
        (OperationKind::Start, "reconciler", false),
        (OperationKind::Resume, "admin", false),
        (OperationKind::Apply, "admin", false),
        (OperationKind::Update, "rollout ro-1", false),
    ] {
        assert_eq!(begins(kind, principal).await, anew, "{kind:?} of {principal}");
    }
    assert!(!store.begins_anew(&OperationId::random()).await.unwrap());
}
