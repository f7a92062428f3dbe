//! The suite that every provider passes, against a simulated account whose Workers and containers run.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::fixture, without [Push, Registry, Egress, Refuses, Filling, Watch, Suspend, PersistentHome, Images, Logs, Exec, Snapshots, Rewind, Fork, Failing]);

/// A new host name and the first containers of an account are there after a while only. Each case has an account of its own, so these are
/// the ones in which something begins, breaks or ends; what comes after that is no other than above.
mod at_a_fresh_account {
    use provider_api::conformance::run_case;

    use super::world;

    macro_rules! cases {
        ($($name:ident;)*) => {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    run_case(world::fresh_fixture().await, stringify!($name)).await;
                }
            )*
        };
    }

    cases! {
        it_says_that_it_is_ready;
        create_twice_adopts;
        concurrent_creates_make_one;
        a_second_program_adopts_what_the_first_made;
        start_and_stop_may_be_repeated;
        a_deleted_runtime_is_absent_and_nothing_is_owned;
        what_is_half_made_is_deleted;
        what_is_shared_is_made_once_and_found_again;
        a_create_whose_answer_was_lost_is_adopted;
    }
}

/// With the scheduling policy `durable_object`.
mod at_an_account_that_keeps_file_systems {
    use super::world;

    provider_api::conformance_tests!(world::keeping_fixture, without [Registry, Egress, Refuses, Filling, Watch, Suspend, Logs, Exec, Fork, Fewer, Failing]);
}
