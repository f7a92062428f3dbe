//! The promises of the store, kept by a file of SQLite.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use orchestrator::store::Store;

#[path = "suite/store.rs"]
mod suite;

use suite::{all_cases, cases};

async fn file() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Store::open(&folder.path().join("pilot.db")).await.unwrap(), folder)
}

all_cases!(file());
