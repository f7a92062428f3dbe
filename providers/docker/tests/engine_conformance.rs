//! The suite that every provider passes, against the Docker engine of this machine. Without an engine
//! these tests fail; they are never skipped.

provider_api::conformance_tests!(provider_docker::conformance::fixture, without [Filling, Shared, Credential, Fewer]);
