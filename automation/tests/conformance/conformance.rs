//! What every engine must do, whatever it is: the same cases run on the real CLI and on the fake.
//!
//! A test file names its subject: `conformance!(TheSubject);` makes one test of each case.

mod cases;
mod operations;
mod values;

use pulumi_auto::Workspace;

pub use cases::*;
pub use operations::*;
pub use values::*;

/// An engine under test with a world of its own.
#[async_trait::async_trait]
pub trait Subject: Send + Sync {
    async fn new() -> Self;

    /// A project without stacks, always the same one.
    fn workspace(&self) -> Workspace;

    /// The next create of a resource with this name and the input `fail` is refused with its text.
    fn refuse(&self, name: &str, why: &str);

    /// The next create of this name waits until it is released.
    fn hold(&self, name: &str);

    /// Until it does wait.
    async fn reached(&self, name: &str);

    fn release(&self, name: &str);
}

macro_rules! conformance {
    ($subject:ty) => {
        conformance!($subject:
            a_stack_exists_once_until_it_is_removed
            what_is_not_there_is_not_found
            a_renamed_stack_keeps_its_state_and_frees_its_name
            config_comes_back_as_it_was_set_and_secrets_are_told_apart
            tags_are_kept_and_removed
            a_state_that_was_exported_can_be_imported
            a_stack_with_resources_is_removed_by_force_only
            a_removal_leaves_stacks_whose_names_begin_the_same
            up_makes_what_the_program_says_and_then_finds_nothing_to_do
            what_the_program_no_longer_says_is_deleted
            a_preview_plans_and_changes_nothing
            outputs_keep_their_values_and_their_secrecy
            text_that_is_not_utf_8_comes_back_byte_for_byte
            deep_values_and_numbers_that_json_does_not_have_come_back
            a_program_that_fails_leaves_the_outputs_of_before
            changes_where_none_are_expected_are_an_error
            events_come_in_the_order_of_the_operation
            a_program_that_fails_or_panics_is_told_in_its_own_words
            a_refused_resource_names_itself_and_the_rest_stays
            a_conflict_in_a_providers_words_is_a_failed_update
            two_operations_on_one_stack_exclude_each_other
            a_cancelled_operation_frees_the_stack
            an_operation_that_takes_too_long_is_ended
            destroy_deletes_dependents_first_and_leaves_an_empty_stack
            a_protected_resource_is_not_destroyed
            components_are_parents_in_the_urn
            history_tells_what_was_done_the_newest_first
            many_stacks_at_once_do_not_see_each_other
        );
    };
    ($subject:ty: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                conformance::$case(<$subject as conformance::Subject>::new().await).await;
            }
        )*
    };
}
pub(crate) use conformance;
