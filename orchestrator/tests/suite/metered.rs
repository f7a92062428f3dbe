//! What counts as having run, and what does not.

use contracts::RuntimeId;
use contracts::operation::OperationKind;
use orchestrator::lifecycle::state::Event;
use orchestrator::store::{Change, Step, Store, UsageQuery};

use super::*;

/// Longer than any clock's step and any write.
const WHILE: Duration = Duration::from_millis(400);

async fn advance(store: &Store, claimed: &Claimed, events: &[Event]) {
    for event in events {
        let step = Step { phases: None, change: Some(Change::of(*event)) };
        store.advance(&hold(claimed), step).await.unwrap();
    }
}

/// Nothing is under way, and it is ready.
async fn ready(store: &Store) -> WorkspaceRow {
    let (row, _) = created(store, "a").await;
    let claimed = claim(store, "one").await.unwrap();
    advance(store, &claimed, &[Event::CreateStarted, Event::Applied, Event::BecameReady]).await;
    succeeds(store, &claimed).await;
    row
}

async fn found(store: &Store, row: &WorkspaceRow, event: Event) {
    let revision = now(store, row).await.revision;
    assert!(store.observe(&row.runtime_id, revision, &Change::of(event)).await.unwrap());
}

async fn ran(store: &Store) -> Duration {
    let all = UsageQuery { most: 10, ..UsageQuery::default() };
    store.usage(&all).await.unwrap().rows.iter().map(|row| row.ran).sum()
}

/// It counts no more, however long one waits.
async fn stands_still(store: &Store) -> Duration {
    let before = ran(store).await;
    tokio::time::sleep(WHILE / 4).await;
    assert_eq!(ran(store).await, before);
    before
}

pub async fn what_was_found_dead_ran_until_it_was_last_seen(store: &Store) {
    let row = ready(store).await;
    tokio::time::sleep(WHILE).await;
    let others = [RuntimeId::random(), row.runtime_id.clone()];
    store.seen_running(&others, Duration::ZERO).await.unwrap();
    // What somebody has seen earlier takes nothing back.
    store.seen_running(&others, WHILE * 4).await.unwrap();
    store.seen_running(&[], Duration::ZERO).await.unwrap();
    tokio::time::sleep(WHILE * 2).await;
    let counted = ran(store).await;
    assert!(counted >= WHILE * 3, "what is thought to run counts: {counted:?}");
    found(store, &row, Event::FoundDown).await;
    let first = stands_still(store).await;
    assert!(first >= WHILE && first + WHILE * 2 <= counted, "{first:?} of {counted:?}");

    // It is back by itself, and its end is found at once, so often as it ends.
    found(store, &row, Event::FoundUnwell).await;
    tokio::time::sleep(WHILE).await;
    let counted = ran(store).await;
    assert!(counted >= first + WHILE, "what does not answer runs: {counted:?}");
    found(store, &row, Event::ContactLost).await;
    found(store, &row, Event::FoundStopped).await;
    let second = stands_still(store).await;
    assert!(second >= first && second + WHILE <= counted, "{second:?} of {counted:?}");
}

pub async fn what_pilot_stops_itself_ran_until_then(store: &Store) {
    let row = ready(store).await;
    tokio::time::sleep(WHILE).await;
    request(store, &row, OperationKind::Stop).await.unwrap();
    let claimed = claim(store, "one").await.unwrap();
    advance(store, &claimed, &[Event::StopStarted, Event::StopFinished]).await;
    assert!(stands_still(store).await >= WHILE);
}

pub async fn a_start_of_what_was_thought_to_run_counts_nothing_that_nobody_saw(store: &Store) {
    let row = ready(store).await;
    tokio::time::sleep(WHILE).await;
    request(store, &row, OperationKind::Start).await.unwrap();
    let claimed = claim(store, "one").await.unwrap();
    advance(store, &claimed, &[Event::StartStarted]).await;
    let counted = ran(store).await;
    assert!(counted < WHILE, "{counted:?}");
    // Whoever takes the start over begins it again: it boots since the first time.
    tokio::time::sleep(WHILE).await;
    advance(store, &claimed, &[Event::StartStarted, Event::BecameReady]).await;
    assert!(ran(store).await >= counted + WHILE);
}
