//! The promises of the store, kept by a PostgreSQL.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use orchestrator::reconcile::Repair;
use orchestrator::store::{Store, StoreError};
use orchestrator::sweep::Sweeper;
use orchestrator::wiring::Providers;

#[path = "../../automation/tests/support/postgres.rs"]
mod postgres;
#[path = "suite/store.rs"]
mod suite;

use postgres::Postgres;
use suite::{all_cases, cases};

async fn server() -> (Store, Postgres) {
    let server = Postgres::start();
    (Store::join(&server.url()).await.unwrap(), server)
}

all_cases!(server());

#[tokio::test]
async fn what_one_process_writes_wakes_another() {
    let server = Postgres::start();
    let (one, other) = (Store::join(&server.url()).await.unwrap(), Store::join(&server.url()).await.unwrap());
    let (mut work, mut told) = (other.work(), other.told());
    // It listens by now or a moment later; then it says so itself.
    tokio::time::timeout(Duration::from_secs(10), work.changed()).await.unwrap().unwrap();
    work.borrow_and_update();
    let row = orchestrator::store::WorkspaceRow::new(
        "demo".parse().unwrap(),
        "fake".parse().unwrap(),
        "small".to_owned(),
    );
    let kind = contracts::operation::OperationKind::Create;
    let new = orchestrator::store::NewOperation::of(kind, "admin", "req-1");
    one.insert_workspace(&row, &new).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), work.changed()).await.unwrap().unwrap();
    one.cancel(&new.id).await.unwrap();
    let about = tokio::time::timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    assert_eq!(about, new.id.as_str());
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let server = Postgres::start();
    let store = Store::join(&server.url()).await.unwrap();
    server.restart();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.ping().await {
        assert!(std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    store.close().await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_told_from_any_other_failure_and_is_not_ready() {
    let server = Postgres::start();
    let store = Store::join(&server.url()).await.unwrap();
    let write = async || store.lease("any", "me", Duration::from_secs(1)).await;
    server.read_only(true);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let refused = loop {
        match store.ping().await {
            Err(error) => break error,
            Ok(()) => assert!(std::time::Instant::now() < deadline, "it is ready"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(matches!(refused, StoreError::ReadOnly), "{refused}");
    let refused = write().await.unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly) && refused.passes(), "{refused}");
    server.read_only(false);
    while store.ping().await.is_err() || write().await.is_err() {
        assert!(std::time::Instant::now() < deadline, "it is not ready again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await;
}

#[tokio::test]
async fn a_database_that_cannot_keep_every_text_is_refused() {
    let server = Postgres::start();
    let store = Store::join(&server.url()).await.unwrap();
    store.close().await;
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&server.url()).await.unwrap();
    let plain = "CREATE DATABASE plain ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    sqlx::query(plain).execute(&pool).await.unwrap();
    let make = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    sqlx::query(make).execute(&pool).await.unwrap();
    pool.close().await;
    let plain = Store::join(&server.url().replace("/postgres?", "/plain?")).await.unwrap();
    plain.close().await;
    let refused = Store::join(&server.url().replace("/postgres?", "/latin?")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Encoding(found) if found == "LATIN1"), "{refused}");
    let problem = contracts::Problem::from(refused);
    assert!(problem.action.unwrap().contains("ENCODING 'UTF8'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_only_who_holds_the_lease_removes_what_nobody_knows() {
    let server = Postgres::start();
    let (one, other) = (Store::join(&server.url()).await.unwrap(), Store::join(&server.url()).await.unwrap());
    let fixture = provider_fake::conformance::fixture().await;
    let mut orphan = fixture.stack();
    orphan.up().await;
    let lease = one.lease("sweeper", "one", Duration::from_secs(60)).await.unwrap().unwrap();
    let sweeper = Arc::new(Sweeper {
        store: other.clone(),
        providers: Providers::of([fixture.provider.clone()]),
        installation: fixture.installation.clone(),
        repair: Repair::Auto,
        grace: Duration::ZERO,
        hurry: 1,
        name: "other".to_owned(),
    });
    sweeper.turn().await.unwrap();
    assert!(fixture.backdoor.runs(&orphan.runtime()).await);
    assert_eq!(one.strays().await.unwrap(), []);
    one.give_back(&lease).await.unwrap();
    sweeper.turn().await.unwrap();
    assert!(!fixture.backdoor.runs(&orphan.runtime()).await);
    assert_eq!(one.strays().await.unwrap().len(), 1, "its home");
    one.close().await;
    other.close().await;
}
