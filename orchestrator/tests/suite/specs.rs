//! What runtimes are made from, rollouts that change it, and homes that are kept.

use contracts::operation::{OperationKind, Update};
use contracts::rollout::{Counts, Member, MemberState, Rollout, RolloutState, SkipReason};
use contracts::workspace::Image;
use contracts::{ErrorCode, Problem, ProviderName, RolloutId};
use jiff::Timestamp;
use orchestrator::lifecycle::state::Event;
use orchestrator::store::{Change, NewOperation, Step, Store, StoreError, UsageQuery};
use provider_api::Site;

use super::*;

fn image(reference: &str) -> Update {
    Update { image: Some(Image::named(reference)), ..Update::default() }
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
    let begun = Update { before: Some(Image::named("a")), ..image("b") };
    for _ in 0..2 {
        store.respecify(&hold(&claimed), &updated, &begun).await.unwrap();
    }
    let seen = now(store, &row).await;
    assert_eq!((seen.generation, seen.image, seen.applied), (2, Some(Image::named("b")), 1));
    let kept = store.operation(&claimed.operation.id).await.unwrap().unwrap();
    assert_eq!(kept.update, Some(begun.clone()), "who takes it over knows what was before");
    assert_eq!(store.request(&row.id, None, &again).await.unwrap().operation.id, kept.id);
    store.applied(&hold(&claimed), 2).await.unwrap();
    store.applied(&hold(&claimed), 1).await.unwrap();
    assert_eq!(now(store, &row).await.applied, 2);
    let stale = Hold { fence: claimed.fence + 1, ..hold(&claimed) };
    let third = seen_with(store, &row, "d").await;
    assert!(matches!(store.respecify(&stale, &third, &begun).await, Err(StoreError::Fenced)));
    assert_eq!(now(store, &row).await.image, Some(Image::named("b")));
    assert_eq!(updated.updated(&image("b")), updated, "what it has already is no change");
}

async fn seen_with(store: &Store, row: &WorkspaceRow, reference: &str) -> WorkspaceRow {
    now(store, row).await.updated(&image(reference))
}

pub async fn an_image_that_was_not_known_is_learnt_once(store: &Store) {
    let (row, _) = created(store, "a").await;
    let known = WorkspaceRow { image: Some(Image::named("known")), ..workspace("b") };
    store.insert_workspace(&known, &new(OperationKind::Create)).await.unwrap();
    let unknown = async || {
        let rows = store.without_image().await.unwrap();
        rows.into_iter().map(|row| row.slug.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(unknown().await, ["a"]);
    for reference in ["first", "second"] {
        store.learn_image(&row.runtime_id, &Image::named(reference)).await.unwrap();
    }
    let seen = now(store, &row).await;
    assert_eq!((seen.image, seen.generation), (Some(Image::named("first")), 1));
    assert_eq!(unknown().await, Vec::<String>::new(), "what is known is not asked for any more");
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
            reason: None,
            before: None,
            target: Image::named("b"),
            operation: None,
        });
    }
    let first = rollout(members.clone());
    store.insert_rollout(&first, ("admin", "req-1"), None).await.unwrap();
    let second = store.insert_rollout(&rollout(members.clone()), ("admin", "req-2"), None).await;
    assert!(matches!(second, Err(StoreError::RolloutRuns)));
    assert_eq!(store.rollout(&first.id).await.unwrap().unwrap().members, members);

    let operation = OperationId::random();
    let begun = (operation.clone(), Some(Image::named("a")));
    store.mark_member(&first.id, 0, MemberState::Running, Some(&begun)).await.unwrap();
    store.mark_member(&first.id, 0, MemberState::Updated, None).await.unwrap();
    let waiting = store.rollout_members(&first.id, MemberState::Waiting, 1).await.unwrap();
    assert_eq!(waiting, [(1, members[1].clone())]);
    let seen = store.rollout(&first.id).await.unwrap().unwrap();
    assert_eq!(seen.members[0].operation, Some(operation), "it is kept");
    assert_eq!(seen.members[0].before, Some(Image::named("a")), "as it was when its turn came");
    assert_eq!((seen.counts.updated, seen.counts.waiting), (1, 2));

    let found = Image::named("c");
    store.skip_member(&first.id, 1, SkipReason::Changed, Some(&found)).await.unwrap();
    let skipped = &store.rollout(&first.id).await.unwrap().unwrap().members[1];
    assert_eq!((skipped.reason, &skipped.before), (Some(SkipReason::Changed), &Some(found)));

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
    assert_eq!((ended.counts.updated, ended.counts.waiting, ended.counts.skipped), (1, 0, 2));
    let reasons: Vec<_> = ended.members.iter().map(|member| member.reason).collect();
    assert_eq!(reasons, [None, Some(SkipReason::Changed), Some(SkipReason::Ended)]);
    assert!(ended.finished_at.is_some());
    let third = rollout(members);
    store.insert_rollout(&third, ("admin", "req-3"), None).await.unwrap();
    assert_eq!(store.rollouts(10).await.unwrap().len(), 2);
    // Deleted in the middle of its update: what it had before is what it goes back to once it is restored.
    let begun = (OperationId::random(), Some(Image::named("a")));
    store.mark_member(&third.id, 0, MemberState::Running, Some(&begun)).await.unwrap();
    store.skip_member(&third.id, 0, SkipReason::Deleted, Some(&Image::named("b"))).await.unwrap();
    let deleted = &store.rollout(&third.id).await.unwrap().unwrap().members[0];
    assert_eq!((deleted.reason, &deleted.before), (Some(SkipReason::Deleted), &Some(Image::named("a"))));
    let all =
        orchestrator::store::Kept { operations: Duration::ZERO, operations_most: 9, keys: Duration::ZERO };
    tokio::time::sleep(Duration::from_millis(5)).await;
    while store.prune(all).await.unwrap() {}
    assert_eq!(store.rollout(&first.id).await.unwrap(), None, "what has ended is not kept for ever");
    assert_eq!(store.rollout(&third.id).await.unwrap().unwrap().members.len(), 3);
}

pub async fn a_deleted_workspace_is_brought_back_while_its_home_is_kept_and_its_name_is_free(store: &Store) {
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    let kept = End { left: Left::Home(Duration::from_secs(60)), ..end(&claimed, OperationState::Succeeded) };
    store.finish(&hold(&claimed), kept).await.unwrap();
    assert_eq!(store.workspaces().await.unwrap(), []);
    let by_id = now(store, &row).await;
    assert!(by_id.home_until.is_some(), "it is known by its id");
    assert_eq!(store.kept(Some(&row.slug.clone().into())).await.unwrap(), vec![by_id]);
    assert_eq!(store.kept(None).await.unwrap().len(), 1);
    assert_eq!(store.homes_over().await.unwrap(), [], "its time is not over");
    for kind in [OperationKind::Start, OperationKind::Stop, OperationKind::Delete] {
        let refused = request(store, &row, kind).await;
        assert!(matches!(refused, Err(StoreError::Gone)), "{kind:?}");
    }
    // Another takes the name; then it needs a new one.
    let (other, _) = created(store, "a").await;
    let restore = |slug: Option<&str>| NewOperation {
        slug: slug.map(|slug| slug.parse().unwrap()),
        ..new(OperationKind::Restore)
    };
    let taken = store.request(&row.id, Some(Desired::Running), &restore(None)).await;
    assert!(matches!(taken, Err(StoreError::SlugTaken)));
    assert!(now(store, &row).await.home_until.is_some(), "what is refused changes nothing");
    let wanted = store.request(&row.id, Some(Desired::Running), &restore(Some("b"))).await.unwrap();
    assert_eq!((wanted.operation.subject().as_str(), wanted.operation.kind), ("b", OperationKind::Restore));
    let back = now(store, &row).await;
    assert_eq!((back.slug.as_str(), back.desired, back.home_until), ("b", Desired::Running, None));
    let twice = store.request(&other.id, None, &restore(None)).await;
    assert!(matches!(twice, Err(StoreError::Gone)), "it was not deleted");
}

pub async fn what_is_to_be_deleted_is_not_wanted_otherwise_when_its_delete_has_failed(store: &Store) {
    let (row, _) = created(store, "demo").await;
    succeeds(store, &claim(store, "one").await.unwrap()).await;
    request(store, &row, OperationKind::Delete).await.unwrap();
    let delete = claim(store, "one").await.unwrap();
    let running = request(store, &row, OperationKind::Start).await;
    assert!(matches!(running, Err(StoreError::Busy(_))), "{running:?}");
    store.finish(&hold(&delete), end(&delete, OperationState::Failed)).await.unwrap();
    for kind in [OperationKind::Start, OperationKind::Suspend, OperationKind::Apply, OperationKind::Update] {
        let refused = request(store, &row, kind).await;
        assert!(matches!(refused, Err(StoreError::Deleted(_))), "{kind:?}: {refused:?}");
    }
    assert_eq!(now(store, &row).await.desired, Desired::Deleted);
    request(store, &row, OperationKind::Delete).await.unwrap();
}

pub async fn a_cancel_takes_no_delete_back_that_has_begun_to_remove_the_home(store: &Store) {
    let (row, _) = created(store, "demo").await;
    succeeds(store, &claim(store, "one").await.unwrap()).await;
    for (begins, desired) in [(false, Desired::Running), (true, Desired::Deleted)] {
        let asked = request(store, &row, OperationKind::Delete).await.unwrap();
        let delete = claim(store, "one").await.unwrap();
        assert_eq!(delete.operation.id, asked.id);
        if begins {
            store.end_grace(&hold(&delete)).await.unwrap();
        }
        store.cancel(&asked.id).await.unwrap();
        assert_eq!(now(store, &row).await.desired, desired);
        store.finish(&hold(&delete), end(&delete, OperationState::Canceled)).await.unwrap();
    }
}

pub async fn a_purge_goes_further_than_a_delete_and_nothing_is_brought_back_from_it(store: &Store) {
    let (row, create) = created(store, "a").await;
    store.cancel(&create.id).await.unwrap();
    let delete = request(store, &row, OperationKind::Delete).await.unwrap();
    let running = claim(store, "one").await.unwrap();
    assert_eq!(running.operation.id, delete.id);
    let purge = request(store, &row, OperationKind::Purge).await.unwrap();
    let again = request(store, &row, OperationKind::Delete).await;
    assert!(matches!(again, Err(StoreError::Busy(_))), "what keeps less counts");
    let kept = End { left: Left::Home(Duration::from_secs(60)), ..end(&running, OperationState::Succeeded) };
    store.finish(&hold(&running), kept).await.unwrap();
    let running = claim(store, "one").await.unwrap();
    assert_eq!(running.operation.id, purge.id);
    let restore = store.request(&row.id, Some(Desired::Running), &new(OperationKind::Restore)).await;
    assert!(matches!(restore, Err(StoreError::Busy(_))), "it is being cleared away");
    store
        .finish(&hold(&running), End { left: Left::Nothing, ..end(&running, OperationState::Succeeded) })
        .await
        .unwrap();
    assert_eq!(store.kept(None).await.unwrap(), []);
    assert_eq!(store.workspace(&row.id.clone().into()).await.unwrap(), None);
}

pub async fn a_purge_of_what_is_kept_ends_its_time_and_stays_wanted(store: &Store) {
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    let kept = End { left: Left::Home(Duration::from_secs(60)), ..end(&claimed, OperationState::Succeeded) };
    store.finish(&hold(&claimed), kept).await.unwrap();
    let purge = request(store, &row, OperationKind::Purge).await.unwrap();
    store.cancel(&purge.id).await.unwrap();
    assert_eq!(store.homes_over().await.unwrap(), [], "it had not begun, so the home is kept as it was");
    request(store, &row, OperationKind::Purge).await.unwrap();
    let running = claim(store, "one").await.unwrap();
    store.end_grace(&hold(&running)).await.unwrap();
    store.finish(&hold(&running), end(&running, OperationState::Failed)).await.unwrap();
    assert_eq!(store.homes_over().await.unwrap().len(), 1, "the next round tries again");
    // Its record outlives the others as long as there is something of it outside.
    let all =
        orchestrator::store::Kept { operations: Duration::ZERO, operations_most: 0, keys: Duration::ZERO };
    while store.prune(all).await.unwrap() {}
    assert_eq!(store.kept(None).await.unwrap().len(), 1);
}

pub async fn what_waits_behind_a_delete_that_came_to_its_end_has_ended_with_it(store: &Store) {
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    succeeds(store, &claimed).await;
    let delete = request(store, &row, OperationKind::Delete).await.unwrap();
    let running = claim(store, "one").await.unwrap();
    store.cancel(&delete.id).await.unwrap();
    let start = request(store, &row, OperationKind::Start).await.unwrap();
    // It was too late for the cancel.
    let kept = End { left: Left::Home(Duration::from_secs(60)), ..end(&running, OperationState::Succeeded) };
    store.finish(&hold(&running), kept).await.unwrap();
    assert_eq!(state(store, &start.id).await, OperationState::Canceled);
    assert_eq!(claim(store, "one").await, None, "nothing makes again what is deleted");
}

pub async fn another_size_is_metered_from_when_it_is(store: &Store) {
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    for event in [Event::CreateStarted, Event::Applied, Event::BecameReady] {
        store.advance(&hold(&claimed), Step { phases: None, change: Some(Change::of(event)) }).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let update = Update { size: Some("large".to_owned()), ..Update::default() };
    store.respecify(&hold(&claimed), &row.updated(&update), &update).await.unwrap();
    assert_eq!(
        store.metered(&row.runtime_id).await.unwrap(),
        [("small".to_owned(), false), ("large".to_owned(), true)]
    );
}

pub async fn what_ran_is_added_up_within_an_interval_and_told_in_pages(store: &Store) {
    let runs = async |slug: &str, owner: &str| {
        let row = WorkspaceRow { owner: owner.to_owned(), ..super::workspace(slug) };
        store.insert_workspace(&row, &super::new(OperationKind::Create)).await.unwrap();
        let claimed = claim(store, "one").await.unwrap();
        for event in [Event::CreateStarted, Event::Applied, Event::BecameReady] {
            store
                .advance(&hold(&claimed), Step { phases: None, change: Some(Change::of(event)) })
                .await
                .unwrap();
        }
        (row, claimed)
    };
    let all = UsageQuery { most: 10, ..UsageQuery::default() };
    assert_eq!(store.usage(&all).await.unwrap().rows, []);
    let (a, first) = runs("a", "ada").await;
    let (b, _) = runs("b", "").await;
    // Until there is a middle on both sides of which it ran.
    let began = store.usage(&all).await.unwrap().to;
    let after = async |than: Timestamp| loop {
        let page = store.usage(&all).await.unwrap();
        if page.to > than {
            break page.to;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let middle = after(began).await;
    after(middle).await;
    let update = Update { size: Some("large".to_owned()), ..Update::default() };
    store.respecify(&hold(&first), &a.updated(&update), &update).await.unwrap();
    let end = after(after(middle).await).await;

    let ran = async |query: UsageQuery| {
        let rows = store.usage(&query).await.unwrap().rows;
        rows.into_iter().map(|row| (row.slug.unwrap().to_string(), row.size, row.ran)).collect::<Vec<_>>()
    };
    let until = |to| UsageQuery { to: Some(to), ..all.clone() };
    let total = ran(until(end)).await;
    assert_eq!(total.len(), 3, "{total:?}");
    let before = ran(until(middle)).await;
    assert_eq!(before.len(), 2, "the larger size came later: {before:?}");
    let rest = ran(UsageQuery { from: Some(middle), ..until(end) }).await;
    // An interval and the one behind it are both together, to the millisecond.
    for (slug, size, whole) in &total {
        let of = |rows: &[(String, String, Duration)]| {
            rows.iter().filter(|row| (&row.0, &row.1) == (slug, size)).map(|row| row.2).sum::<Duration>()
        };
        assert_eq!(of(&before) + of(&rest), *whole, "{slug} {size}: {before:?} {rest:?}");
        assert!(*whole > Duration::ZERO);
    }
    assert_eq!(ran(until(Timestamp::from_millisecond(1).unwrap())).await, []);
    let adas = ran(UsageQuery { owner: Some("ada".to_owned()), ..all.clone() }).await;
    assert!(adas.len() == 2 && adas.iter().all(|row| row.0 == "a"), "{adas:?}");
    let of_b = ran(UsageQuery { workspace: Some(b.id), ..all.clone() }).await;
    assert!(of_b.len() == 1 && of_b[0].0 == "b", "{of_b:?}");

    let (mut paged, mut query) = (Vec::new(), UsageQuery { most: 1, ..until(end) });
    loop {
        let page = store.usage(&query).await.unwrap();
        assert_eq!(page.rows.len(), 1);
        paged.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(paged, store.usage(&until(end)).await.unwrap().rows);
    let foreign = UsageQuery { after: Some("x".to_owned()), ..all };
    assert!(matches!(store.usage(&foreign).await, Err(StoreError::Cursor)));
}

pub async fn where_a_runtime_is_is_said_by_whoever_holds_it_and_learnt_by_nobody_who_is_late(store: &Store) {
    let site = |id: &str| Site { id: id.to_owned(), via: "unix:///x.sock".to_owned() };
    let (row, _) = created(store, "a").await;
    assert_eq!(now(store, &row).await.sites, []);
    let claimed = claim(store, "one").await.unwrap();
    let (tag, both) = (now(store, &row).await.tag(), [site("a"), site("b")]);
    let unknown = async || -> Vec<_> {
        store.without_sites().await.unwrap().into_iter().map(|row| row.runtime_id).collect()
    };
    assert_eq!(unknown().await, std::slice::from_ref(&row.runtime_id));
    store.settle(&hold(&claimed), &both).await.unwrap();
    assert_eq!(unknown().await, [], "it is known from here on");
    assert_eq!(now(store, &row).await.sites, both);
    let stale = Hold { fence: claimed.fence + 1, ..hold(&claimed) };
    assert!(matches!(store.settle(&stale, &[site("c")]).await, Err(StoreError::Fenced)));
    // Of somebody who looked before that was said.
    store.learn_sites(&row.runtime_id, &[], &[site("c")]).await.unwrap();
    assert_eq!(now(store, &row).await.sites, both);
    store.learn_sites(&row.runtime_id, &both, &[site("b")]).await.unwrap();
    let seen = now(store, &row).await;
    assert_eq!(seen.sites, [site("b")]);
    assert_eq!(seen.tag(), tag, "nothing that is shown has changed");
}
