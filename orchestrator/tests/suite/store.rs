//! What every store promises, whatever keeps it: the same cases run on each.

use std::time::Duration;

use contracts::OperationId;
use contracts::operation::{Operation, OperationKind, OperationState};
use contracts::workspace::Desired;
use orchestrator::store::{Claimed, End, Hold, Left, NewOperation, Store, StoreError, WorkspaceRow};

#[path = "kept.rs"]
mod kept;
#[path = "lists.rs"]
mod lists;
#[path = "metered.rs"]
mod metered;
#[path = "specs.rs"]
mod specs;
#[path = "strays.rs"]
mod strays;
#[path = "turns.rs"]
mod turns;

pub use kept::*;
pub use lists::*;
pub use metered::*;
pub use specs::*;
pub use strays::*;
pub use turns::*;

const LEASE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);
/// Over soon, and not before the next question, however busy the machine is.
const NOTED: Duration = Duration::from_secs(2);

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
            whoever_takes_an_operation_knows_the_trace_of_its_request
            a_claimer_that_gives_its_word_keeps_what_it_has_and_hears_what_is_asked_of_it
            a_claimer_that_ends_keeps_nobody_waiting
            a_claim_whose_answer_was_lost_is_claimed_again_by_the_same
            what_was_asked_to_end_is_nobodys_answer
            a_key_of_who_was_answered_with_what_was_on_its_way_stands_for_that
            the_owner_for_whom_the_fewest_run_has_the_next_turn
            a_provider_without_room_keeps_no_other_waiting
            many_claimers_at_once_share_what_there_is_and_run_nothing_twice
            many_requests_at_once_for_one_workspace_are_one_running_and_one_waiting
            a_cancel_gives_back_what_was_desired_before
            a_home_is_begun_anew_for_a_person_who_was_told_and_asks_for_a_start_since
            a_change_of_a_version_that_is_not_there_any_more_is_refused
            a_key_stands_for_one_request_of_one_principal
            a_step_that_a_state_does_not_allow_changes_nothing
            what_was_seen_of_a_runtime_that_has_changed_since_is_dropped
            a_removed_workspace_leaves_its_slug_its_id_and_its_words
            operations_are_listed_newest_first_and_by_what_is_asked
            workspaces_are_paged_sorted_and_found_by_what_is_known_of_them
            it_is_known_what_is_to_be_done_and_who_asked_for_it
            a_renamed_workspace_is_the_same_under_another_name
            whoever_watches_is_told_of_which_runtime_something_else_is_known
            events_are_told_in_their_order_and_a_number_is_given_once
            a_lease_has_one_holder_and_its_fence_rises_with_each
            a_spec_is_changed_once_by_whoever_holds_its_update
            a_list_of_destinations_is_kept_and_changed_by_an_update_alone
            an_image_that_was_not_known_is_learnt_once
            where_a_runtime_is_is_said_by_whoever_holds_it_and_learnt_by_nobody_who_is_late
            of_a_provider_one_rollout_runs_and_its_members_keep_their_order_and_state
            a_deleted_workspace_is_brought_back_while_its_home_is_kept_and_its_name_is_free
            what_is_to_be_deleted_is_not_wanted_otherwise_when_its_delete_has_failed
            a_cancel_takes_no_delete_back_that_has_begun_to_remove_the_home
            a_purge_goes_further_than_a_delete_and_nothing_is_brought_back_from_it
            a_purge_of_what_is_kept_ends_its_time_and_stays_wanted
            what_waits_behind_a_delete_that_came_to_its_end_has_ended_with_it
            another_size_is_metered_from_when_it_is
            what_workspaces_share_is_removed_once_and_not_while_one_needs_it
            what_was_found_dead_ran_until_it_was_last_seen
            what_pilot_stops_itself_ran_until_then
            a_start_of_what_was_thought_to_run_counts_nothing_that_nobody_saw
            what_ran_is_added_up_within_an_interval_and_told_in_pages
            what_is_old_or_too_much_is_pruned_and_what_counts_stays
            what_is_of_no_runtime_that_is_known_is_kept_until_it_is_gone_or_known
            a_home_that_is_kept_and_a_runtime_with_work_are_known
        }
    };
}
pub(crate) use {all_cases, cases};

fn workspace(slug: &str) -> WorkspaceRow {
    WorkspaceRow::new(slug.parse().unwrap(), "fake".parse().unwrap(), "small".to_owned())
}

fn new(kind: OperationKind) -> NewOperation {
    NewOperation::of(kind, "admin", "req-1")
}

async fn created(store: &Store, slug: &str) -> (WorkspaceRow, Operation) {
    let row = workspace(slug);
    let operation = store.insert_workspace(&row, &new(OperationKind::Create)).await.unwrap();
    (row, operation)
}

async fn claim(store: &Store, claimer: &str) -> Option<Claimed> {
    store.claim(claimer, LEASE, &[], &[]).await.unwrap()
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
    End { state, phases, error: None, change: None, left: Left::All }
}

async fn succeeds(store: &Store, claimed: &Claimed) {
    store.finish(&hold(claimed), end(claimed, OperationState::Succeeded)).await.unwrap();
}

async fn request(store: &Store, row: &WorkspaceRow, kind: OperationKind) -> Result<Operation, StoreError> {
    let desired = match kind {
        OperationKind::Stop => Desired::Stopped,
        OperationKind::Delete | OperationKind::Purge => Desired::Deleted,
        _ => Desired::Running,
    };
    store.request(&row.id, Some(desired), &new(kind)).await.map(|wanted| wanted.operation)
}

async fn state(store: &Store, id: &OperationId) -> OperationState {
    store.operation(id).await.unwrap().unwrap().state
}

async fn now(store: &Store, row: &WorkspaceRow) -> WorkspaceRow {
    store.workspace(&row.id.clone().into()).await.unwrap().unwrap()
}
