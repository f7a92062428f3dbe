//! The list of cases. Tests and [`check`](super::check) are both made from it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::changes::*;
use super::extras::*;
use super::faults::*;
use super::fences::*;
use super::images::*;
use super::lifecycle::*;
use super::offers::*;
use super::owners::*;
use super::resources::*;
use super::secrets::*;
use super::shared::*;
use super::snapshots::*;
use super::unwell::*;
use super::{Fixture, run};

/// One promise of a provider, and the code that proves it.
#[derive(Clone, Copy)]
pub struct Case {
    /// The promise as a sentence, with underscores.
    pub name: &'static str,
    /// What a provider must have for this promise to mean anything.
    pub requires: Requires,
    /// Panics when the promise is broken.
    pub run: fn(Arc<Fixture>) -> Running,
}

/// A case under way.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a case is about, beyond what every provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requires {
    /// Every provider has it.
    Nothing,
    /// [`Fixture::faults`]
    Faults,
    /// [`Faults::can_fill`](super::Faults::can_fill)
    Filling,
    /// [`Description::suspend`](crate::Description::suspend)
    Suspend,
    /// [`Description::persistent_home`](crate::Description::persistent_home)
    PersistentHome,
    /// [`Provider::shared`](crate::Provider::shared)
    Shared,
    /// [`Provider::images`](crate::Provider::images)
    Images,
    /// [`Provider::egress`](crate::Provider::egress)
    Egress,
    /// [`Provider::refuses`](crate::Provider::refuses)
    Refuses,
    /// [`Fixture::registry`]
    Registry,
    /// [`Fixture::pushable`]
    Push,
    /// [`Provider::logs`](crate::Provider::logs)
    Logs,
    /// [`Provider::exec`](crate::Provider::exec)
    Exec,
    /// [`Provider::snapshots`](crate::Provider::snapshots)
    Snapshots,
    /// [`Lifecycle::watch`](crate::Lifecycle::watch)
    Watch,
    /// [`Snapshots::restores`](crate::Snapshots::restores)
    Rewind,
    /// [`Snapshots::forks`](crate::Snapshots::forks)
    Fork,
    /// [`Provider::sites`](crate::Provider::sites)
    Sites,
    /// [`Fixture::credential`]
    Credential,
    /// [`Fixture::fewer`]
    Fewer,
    /// [`Backdoor::can_fail`](super::Backdoor::can_fail)
    Failing,
}

impl Requires {
    /// Why a case with this need does not apply; `None` when it does.
    pub fn missing(self, fixture: &Fixture) -> Option<&'static str> {
        let (has, reason) = match self {
            Requires::Nothing => (true, ""),
            Requires::Faults => {
                (fixture.faults.is_some(), "nothing lies between the provider and its objects")
            }
            Requires::Filling => (
                fixture.faults.as_ref().is_some_and(|faults| faults.can_fill()),
                "what is accepted runs at once, or nobody can tell",
            ),
            Requires::Suspend => (fixture.provider.describe().suspend, "the provider cannot suspend"),
            Requires::PersistentHome => {
                (fixture.provider.describe().persistent_home, "a home ends with its instance")
            }
            Requires::Shared => (!fixture.shared().names().is_empty(), "runtimes share nothing"),
            Requires::Images => (fixture.provider.images().is_some(), "runtimes have no images of their own"),
            Requires::Egress => {
                (fixture.provider.egress().is_some(), "no runtime has a list of destinations")
            }
            Requires::Refuses => (fixture.provider.refuses().is_some(), "nobody remembers what was refused"),
            Requires::Registry => (fixture.registry.is_some(), "it pulls from no registry of the test"),
            // Who says that it can is held to it.
            Requires::Push => (
                fixture.pushable.is_some()
                    || (fixture.provider.image_store().is_some() && fixture.provider.images().is_some()),
                "images are not pushed to it, or no runtime has one of its own",
            ),
            Requires::Logs => (fixture.provider.logs().is_some(), "the provider gives no logs"),
            Requires::Exec => (fixture.provider.exec().is_some(), "the provider runs no commands"),
            Requires::Snapshots => {
                (fixture.provider.snapshots().is_some(), "the provider takes no snapshots")
            }
            Requires::Watch => (
                fixture.provider.lifecycle().watch(fixture.installation.clone()).is_some(),
                "what happens is not told",
            ),
            Requires::Rewind => (fixture.provider.capabilities().rewind, "no files are brought back"),
            Requires::Fork => (fixture.provider.capabilities().fork, "no runtime begins with a snapshot"),
            Requires::Sites => (fixture.provider.sites().is_some(), "it can reach one place alone"),
            Requires::Credential => (fixture.credential.is_some(), "the provider needs no credential"),
            Requires::Fewer => (fixture.fewer.is_some(), "no setting decides what is offered"),
            Requires::Failing => (
                fixture.backdoor.can_fail(),
                "an instance that ended by itself is not told from one that was stopped",
            ),
        };
        (!has).then_some(reason)
    }
}

/// Calls the macro `$then` with `$with` and every case as `need name;`. The only list of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_conformance_case {
    ([$($then:tt)*] $with:tt) => { $($then)*! { $with
        Nothing what_it_offers_can_be_chosen;
        Nothing what_it_does_not_offer_is_refused;
        Fewer what_was_made_before_is_declared_still;
        Nothing it_says_that_it_is_ready;
        Nothing a_declaration_is_the_same_every_time_and_passes_its_own_check;
        Nothing create_twice_adopts;
        Nothing concurrent_creates_make_one;
        Nothing a_second_program_adopts_what_the_first_made;
        Nothing delete_twice_is_a_success;
        Nothing what_is_half_made_is_deleted;
        Nothing what_no_state_knows_is_deleted_by_whose_it_is;
        Nothing what_was_removed_by_hand_reads_as_none_and_is_made_again;
        Nothing what_is_gone_cannot_be_updated;
        Nothing an_import_finds_the_inputs;
        Nothing a_new_generation_changes_in_place_and_keeps_the_instance;
        PersistentHome the_home_is_declared_as_protected_and_nothing_that_runs_is;
        PersistentHome a_home_that_was_removed_is_not_listed_as_one;
        PersistentHome another_git_source_keeps_the_home;
        Nothing another_git_source_starts_nothing_that_is_stopped;
        PersistentHome another_size_keeps_the_home;
        Images what_an_image_is_called_is_looked_up_and_declared;
        Images another_image_keeps_the_home_and_what_runs_runs;
        Images another_image_starts_nothing_that_is_stopped;
        Egress a_list_of_destinations_is_kept_and_another_one_keeps_instance_and_home;
        Egress a_first_list_of_destinations_and_no_more_one_keep_the_home;
        Refuses what_was_refused_is_told_of_whom_it_was_refused_to;
        Registry an_image_of_another_architecture_is_refused;
        Registry a_private_image_is_pulled_with_its_login;
        Push an_image_that_is_pushed_can_be_run;
        Push an_image_that_nothing_there_can_run_is_not_pushed;
        Shared what_is_shared_is_made_once_and_found_again;
        Shared what_is_shared_is_deleted_once_and_can_be_made_anew;
        Nothing the_objects_of_another_installation_are_never_touched;
        Nothing what_one_runtime_owns_is_what_the_installation_owns_of_it;
        Nothing a_stale_generation_is_fenced_and_leaves_the_object_as_it_is;
        Nothing a_generation_that_an_update_made_stale_is_fenced;
        Nothing a_write_with_a_lower_fence_is_refused_and_changes_nothing;
        Nothing what_a_successor_has_finished_is_refused_to_who_began_it;
        Nothing every_write_keeps_a_higher_fence;
        Suspend a_suspend_and_a_resume_keep_a_higher_fence;
        Nothing what_an_update_has_left_that_no_stack_knows_of_is_removed_by_who_has_the_fence;
        Nothing a_take_over_alone_changes_no_resource;
        Nothing who_has_no_fence_is_never_refused_for_it;
        Failing an_instance_that_ended_by_itself_is_told_by_a_read_and_started_by_an_update;
        Failing what_was_stopped_is_told_as_well_and_no_update_starts_it;
        Nothing only_a_persistent_home_outlives_a_stop;
        Nothing start_and_stop_may_be_repeated;
        Nothing what_is_said_of_many_is_what_is_said_of_each;
        Watch what_happens_to_an_instance_is_told;
        Filling what_cannot_run_yet_says_why_and_runs_when_it_can;
        Nothing a_deleted_runtime_is_absent_and_nothing_is_owned;
        Nothing delete_ends_what_runs;
        PersistentHome a_hibernated_instance_boots_with_its_files;
        Suspend a_suspended_instance_goes_on_with_its_files_and_memory;
        Suspend suspend_and_resume_may_be_repeated;
        Suspend each_size_is_suspended_or_refused_and_goes_on;
        Nothing boot_files_arrive_and_are_never_shown;
        Nothing boot_files_are_delivered_anew_at_every_start;
        Credential the_credential_is_never_shown;
        Logs a_log_is_cut_to_its_end;
        Exec a_command_tells_its_output_and_exit_code;
        Exec a_command_runs_as_the_user_whose_home_it_is;
        Exec a_program_that_is_not_there_is_named_and_nothing_else_is;
        Exec a_command_that_does_not_end_is_ended_and_what_it_wrote_is_told;
        Snapshots snapshots_are_listed_the_newest_first;
        Snapshots a_snapshot_that_is_taken_again_under_its_key_is_found;
        Snapshots what_runs_goes_on_after_a_snapshot_and_what_does_not_stays_so;
        Snapshots a_snapshot_with_a_lower_fence_is_refused;
        Rewind a_snapshot_is_removed_once_and_for_all_and_goes_with_its_home;
        Rewind a_restore_brings_back_the_files_of_then_and_no_others;
        Rewind what_is_no_snapshot_of_this_runtime_is_not_brought_back;
        Fork a_fork_begins_with_the_files_and_without_the_secrets;
        Fork a_fork_and_its_original_are_deleted_without_harm_to_the_other;
        Fork a_fork_of_what_is_no_snapshot_makes_no_home;
        Sites a_place_says_the_same_of_itself_to_everybody_and_has_what_is_made;
        Faults a_create_whose_answer_was_lost_is_adopted;
        Faults a_delete_whose_answer_was_lost_is_finished;
        Faults a_timeout_is_never_read_as_gone;
        Faults what_cannot_be_reached_is_never_read_as_gone;
    } };
}

macro_rules! table {
    ([] $($requires:ident $name:ident;)*) => {
        /// Every promise of a provider.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            requires: Requires::$requires,
            run: |fixture| Box::pin(async move { $name(&fixture).await }),
        }),*];
    };
}
crate::__for_each_conformance_case!([table] []);

/// Makes a test of each case. The first argument is an `async fn() -> Fixture`. What the provider does not
/// have is named, and its cases are no tests: `without [Suspend, Exec]`. A test proves that this is true.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:path) => { $crate::conformance_tests!($fixture, without []); };
    ($fixture:path, without [$($lacks:ident),* $(,)?]) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn what_is_left_out_is_not_there() {
            let lacks = [$($crate::conformance::Requires::$lacks),*];
            $crate::conformance::assert_lacks($fixture().await, &lacks).await;
        }
        $crate::__for_each_conformance_case!([$crate::__conformance_tests] [($) $fixture; $($lacks)*]);
    };
}

/// Defines `unless_lacking!`, which drops the cases of some needs, and gives it each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([($d:tt) $fixture:path; $($lacks:ident)*] $($requires:ident $name:ident;)*) => {
        macro_rules! unless_lacking {
            $(($lacks $d($d case:tt)*) => {};)*
            ($d requires:ident $d case:ident) => {
                #[tokio::test(flavor = "multi_thread")]
                async fn $d case() {
                    $crate::conformance::run_case($fixture().await, stringify!($d case)).await;
                }
            };
        }
        $(unless_lacking!($requires $name);)*
    };
}

/// Runs the case of this name as a test does: it must apply, and it must pass.
pub async fn run_case(fixture: Fixture, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of the list");
    let missing = case.requires.missing(&fixture);
    assert_eq!(
        missing, None,
        "not applicable; say so: conformance_tests!(..., without [{:?}])",
        case.requires
    );
    run(fixture, case.run).await;
}

/// Proves that a provider really lacks what its tests leave out.
pub async fn assert_lacks(fixture: Fixture, lacks: &[Requires]) {
    for need in lacks {
        assert!(need.missing(&fixture).is_some(), "the provider has {need:?}, so its cases are for it too");
    }
    fixture.backdoor.sweep(&fixture.installation).await;
}
