//! The suite that every provider passes, against a cloud of its own for each case: in memory, over HTTP, and with
//! something that all runtimes share.

use provider_fake::conformance::fixture;

provider_api::conformance_tests!(fixture, without[Registry, Shared, Sites, Fewer]);

mod served {
    provider_api::conformance_tests!(provider_fake::conformance::served_fixture, without[Registry, Shared, Sites, Fewer, Watch]);
}

mod networked {
    provider_api::conformance_tests!(provider_fake::conformance::networked_fixture, without[Registry, Sites, Fewer]);
}
