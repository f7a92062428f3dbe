//! The suite that every provider passes, against a cloud of its own for each case: in memory, and over HTTP.

use provider_fake::conformance::bench;

provider_api::conformance_tests!(bench, without[Sites]);

mod served {
    provider_api::conformance_tests!(provider_fake::conformance::served_bench, without[Sites]);
}
