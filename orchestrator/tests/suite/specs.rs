//! What runtimes are made from, and rollouts that change it.

use contracts::operation::Update;
use contracts::rollout::{Counts, Member, MemberState, Rollout, RolloutState};
use contracts::workspace::Image;
use contracts::{ErrorCode, Problem, ProviderName, RolloutId};
use orchestrator::store::{NewOperation, Store, StoreError};

use super::*;

fn image(reference: &str) -> Update {
    Update { image: Some(Image::named(reference)), size: None }
}

pub async fn a_spec_is_changed_once_by_whoever_holds_its_update(store: &Store) {
    let (row, create) = created(store, "a").await;
    store.cancel(&create.id).await.unwrap();
    let update = NewOperation { update: Some(image("b")), ..new(OperationKind::Update) };
    let wanted = store.request(&row.id, None, &update).await.unwrap();
    assert_eq!(wanted.operation.update, update.update);
    let other = NewOperation { update: Some(image("c")), ..new(OperationKind::Update) };
    let refused = store.request(&row.id, None, &other).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "it is not what was asked for before");
    let again = NewOperation { update: update.update.clone(), ..new(OperationKind::Update) };
    assert_eq!(store.request(&row.id, None, &again).await.unwrap().operation, wanted.operation);

    let claimed = claim(store, "one").await.unwrap();
    assert_eq!(claimed.operation.update, update.update);
    let updated = row.updated(&image("b"));
    for _ in 0..2 {
        store.respecify(&hold(&claimed), &updated).await.unwrap();
    }
    let seen = now(store, &row).await;
    assert_eq!((seen.generation, seen.image), (2, Some(Image::named("b"))));
    let stale = Hold { fence: claimed.fence + 1, ..hold(&claimed) };
    let third = seen_with(store, &row, "d").await;
    assert!(matches!(store.respecify(&stale, &third).await, Err(StoreError::Fenced)));
    assert_eq!(now(store, &row).await.image, Some(Image::named("b")));
    assert_eq!(updated.updated(&image("b")), updated, "what it has already is no change");
}

async fn seen_with(store: &Store, row: &WorkspaceRow, reference: &str) -> WorkspaceRow {
    now(store, row).await.updated(&image(reference))
}

pub async fn an_image_that_was_not_known_is_learnt_once(store: &Store) {
    let (row, _) = created(store, "a").await;
    for reference in ["first", "second"] {
        store.learn_image(&row.runtime_id, &Image::named(reference)).await.unwrap();
    }
    let seen = now(store, &row).await;
    assert_eq!((seen.image, seen.generation), (Some(Image::named("first")), 1));
}

fn provider() -> ProviderName {
    "fake".parse().unwrap()
}

fn rollout(members: Vec<Member>) -> Rollout {
    Rollout {
        id: RolloutId::random(),
        provider: provider(),
        state: RolloutState::Running,
        image: Some(Image::named("b")),
        rolls_back: None,
        at_once: 1,
        counts: Counts::default(),
        error: None,
        created_at: jiff::Timestamp::now(),
        finished_at: None,
        members,
    }
}

pub async fn of_a_provider_one_rollout_runs_and_its_members_keep_their_order_and_state(store: &Store) {
    let mut members = Vec::new();
    for slug in ["a", "b", "c"] {
        let (row, _) = created(store, slug).await;
        members.push(Member {
            workspace_id: row.id,
            slug: row.slug,
            state: MemberState::Waiting,
            before: None,
            target: Image::named("b"),
            operation: None,
        });
    }
    let first = rollout(members.clone());
    store.insert_rollout(&first, ("admin", "req-1")).await.unwrap();
    let second = store.insert_rollout(&rollout(members.clone()), ("admin", "req-2")).await;
    assert!(matches!(second, Err(StoreError::RolloutRuns)));
    assert_eq!(store.rollout(&first.id).await.unwrap().unwrap().members, members);

    let operation = OperationId::random();
    store.mark_member(&first.id, 0, MemberState::Running, Some(&operation)).await.unwrap();
    store.mark_member(&first.id, 0, MemberState::Updated, None).await.unwrap();
    let waiting = store.rollout_members(&first.id, MemberState::Waiting, 1).await.unwrap();
    assert_eq!(waiting, [(1, members[1].clone())]);
    let seen = store.rollout(&first.id).await.unwrap().unwrap();
    assert_eq!(seen.members[0].operation, Some(operation), "it is kept");
    assert_eq!((seen.counts.updated, seen.counts.waiting), (1, 2));

    assert!(store.cancel_rollout(&first.id).await.unwrap());
    assert!(!store.cancel_rollout(&RolloutId::random()).await.unwrap());
    let running = store.running_rollouts().await.unwrap();
    assert_eq!(
        running.iter().map(|one| (&one.rollout.id, one.cancel)).collect::<Vec<_>>(),
        [(&first.id, true)]
    );
    let problem = Problem::new(ErrorCode::RolloutFailed, "so");
    store.finish_rollout(&first.id, RolloutState::Failed, Some(&problem)).await.unwrap();
    store.finish_rollout(&first.id, RolloutState::Succeeded, None).await.unwrap();
    let ended = store.rollout(&first.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.error), (RolloutState::Failed, Some(problem)), "the first word counts");
    assert!(ended.finished_at.is_some());
    store.insert_rollout(&rollout(members), ("admin", "req-3")).await.unwrap();
    assert_eq!(store.rollouts(10).await.unwrap().len(), 2);
}
