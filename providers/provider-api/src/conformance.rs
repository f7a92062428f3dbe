//! What every provider must do, as tests that a provider runs against itself.
//!
//! A provider's test file makes a [`Bench`] in a world of its own (own installation, own folder or own
//! labels) and calls [`conformance_tests!`](crate::conformance_tests), which turns each case into a
//! test. The witness of what exists outside is the test's own [`Hands`], never the provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod bench;
mod cases;
mod lifecycle;
mod stack;

pub use bench::{Bench, CanaryBoot, Hands, eventually, run};
pub use cases::*;
pub use lifecycle::*;
pub use stack::Stack;

/// Makes one test of each case. The argument is an `async fn() -> Bench`.
#[macro_export]
macro_rules! conformance_tests {
    ($bench:path) => {
        $crate::conformance_tests!(@each $bench;
            a_declaration_is_the_same_every_time_and_passes_its_own_check,
            create_twice_adopts,
            concurrent_creates_make_one,
            a_second_program_adopts_what_the_first_made,
            delete_twice_is_a_success,
            what_is_half_made_is_deleted,
            what_was_removed_by_hand_reads_as_none_and_is_made_again,
            the_objects_of_another_installation_are_never_touched,
            an_import_finds_the_inputs,
            a_new_generation_changes_in_place_and_keeps_the_instance,
            stop_and_start_keep_the_home,
            start_and_stop_may_be_repeated,
            a_deleted_runtime_is_absent_and_nothing_is_owned,
            delete_ends_what_runs,
            boot_files_arrive_and_are_never_shown,
            boot_files_are_delivered_anew_at_every_start,
        );
    };
    (@each $bench:path; $($case:ident,)*) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            $crate::conformance::run($bench().await, |bench| async move { $crate::conformance::$case(&bench).await }).await;
        }
    )* };
}
