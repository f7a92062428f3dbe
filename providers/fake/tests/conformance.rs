//! The suite that every provider passes, against a cloud of its own for each case: in memory, over HTTP, and with
//! something that all runtimes share.

use provider_fake::conformance::bench;

provider_api::conformance_tests!(bench, without[Shared, Sites, Fewer]);

mod served {
    provider_api::conformance_tests!(provider_fake::conformance::served_bench, without[Shared, Sites, Fewer, Watch]);
}

mod networked {
    provider_api::conformance_tests!(provider_fake::conformance::networked_bench, without[Sites, Fewer]);
}
