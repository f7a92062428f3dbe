//! The suite that every provider passes, against a cloud of its own for each case.

use provider_fake::conformance::bench;

provider_api::conformance_tests!(bench);
