//! Backups of an installation in a PostgreSQL, from one kind of store to the other, and the move from a data folder.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use contracts::ErrorCode;
use orchestrator::backup::{Installation, create, restore, verify};
use orchestrator::data::DataFolder;
use orchestrator::migrate::{Behind, migrate, undo};
use orchestrator::store::{Store, StoreError, WorkspaceRow};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

#[path = "suite/arbitrary.rs"]
mod arbitrary;
#[path = "suite/installation.rs"]
mod installation;
#[path = "../../automation/tests/support/postgres.rs"]
mod postgres;

use installation::*;
use postgres::Postgres;

struct World {
    folder: tempfile::TempDir,
    server: Postgres,
}

fn world() -> World {
    World { folder: tempfile::tempdir().unwrap(), server: Postgres::start() }
}

impl World {
    fn local(&self, name: &str) -> Installation {
        in_folder(&self.folder.path().join(name))
    }

    /// With a database of its own.
    async fn shared(&self, name: &str) -> Installation {
        let any = Installation { database: Some(self.server.url()), ..self.local(name) };
        let mut connection = connect(&any).await;
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))))
            .await
            .unwrap();
        connection.close().await.unwrap();
        Installation { database: Some(self.server.url().replace("/postgres?", &format!("/{name}?"))), ..any }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn quiet(_: &str) {}

#[tokio::test]
async fn an_installation_in_a_database_is_restored_in_another_and_in_a_data_folder() {
    let world = world();
    let (from, file) = (world.shared("one").await, world.file("a.backup"));
    let rows = inhabited(&from).await;
    let before = dump(&from).await;
    for (table, rows) in &before {
        assert!(
            !rows.is_empty(),
            "the test has nothing in {table}, so that it does not see whether it is copied"
        );
    }
    create(&from, &file, &key(), &mut quiet).await.unwrap();
    assert_eq!(verify(&file, &key(), &std::env::temp_dir(), &mut quiet).await.unwrap().workspaces, 2);
    for to in [world.shared("two").await, world.local("three")] {
        let read = restore(&file, &key(), &to, &mut quiet).await.unwrap();
        assert_eq!((read.workspaces, read.states), (2, 2));
        assert_eq!(dump(&to).await, as_restored(before.clone()));
        assert_eq!(states(&to).await, states(&from).await);
        assert_eq!(secrets(&to), secrets(&from));
        let store = open(&to).await;
        store.must_be_whole().await.unwrap();
        let row = store.workspace(&rows[1].id.clone().into()).await.unwrap().unwrap();
        // The database goes on with its own numbers behind those that it was given.
        let another = WorkspaceRow::new("another".parse().unwrap(), row.provider.clone(), row.size.clone());
        store.insert_workspace(&another, &new(contracts::operation::OperationKind::Create)).await.unwrap();
        store.close().await;
    }
    assert_eq!(dump(&from).await, before);
}

/// A small file system of its own; unmounted with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).status();
        assert!(mount.unwrap().success(), "this test mounts a small tmpfs and needs to be root");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn what_verifies_names_the_folder_that_has_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let (from, file) = (in_folder(&folder.path().join("one")), folder.path().join("a.backup"));
    inhabited(&from).await;
    create(&from, &file, &key(), &mut quiet).await.unwrap();
    let disk = SmallDisk::mount(folder.path().join("small"), "64k");
    let problem = verify(&file, &key(), &disk.0, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::StoreFull);
    assert!(problem.detail.contains(&disk.0.display().to_string()), "{problem}");
    let action = problem.action.unwrap();
    assert!(action.contains("TMPDIR") && !action.contains("data folder"), "{action}");
    assert_eq!(std::fs::read_dir(&disk.0).unwrap().count(), 0, "nothing is left");
    let none = verify(&file, &key(), &disk.0.join("none"), &mut quiet).await.unwrap_err();
    assert!(none.action.unwrap().contains("TMPDIR"));
}

#[tokio::test]
async fn tables_of_other_programs_in_the_database_are_left_alone() {
    let world = world();
    let (from, to, file) = (world.shared("one").await, world.shared("two").await, world.file("a.backup"));
    inhabited(&from).await;
    for at in [&from, &to] {
        let mut connection = connect(at).await;
        connection.execute("CREATE TABLE theirs (id BIGINT)").await.unwrap();
        connection.execute("INSERT INTO theirs VALUES (1)").await.unwrap();
        connection.close().await.unwrap();
    }
    let created = create(&from, &file, &key(), &mut quiet).await.unwrap();
    assert!(!created.rows.contains_key("theirs"), "{created:?}");
    restore(&file, &key(), &to, &mut quiet).await.unwrap();
    assert_eq!(dump(&to).await["theirs"].len(), 1);
}

#[tokio::test]
async fn a_database_that_holds_an_installation_is_not_written_over() {
    let world = world();
    let (from, taken, file) = (world.local("one"), world.shared("two").await, world.file("a.backup"));
    inhabited(&from).await;
    inhabited(&taken).await;
    let before = dump(&taken).await;
    create(&from, &file, &key(), &mut quiet).await.unwrap();
    let to = Installation { layout: world.local("three").layout, ..taken.clone() };
    let problem = restore(&file, &key(), &to, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::InstallationExists);
    let problem = migrate(&from.layout, taken.database.as_ref().unwrap(), &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::InstallationExists);
    assert_eq!(dump(&taken).await, before);
    let store = open(&from).await;
    store.must_be_whole().await.unwrap();
}

#[tokio::test]
async fn an_installation_that_moved_is_there_row_by_row_and_is_not_served_where_it_was() {
    let world = world();
    let (from, to) = (world.local("one"), world.shared("two").await);
    inhabited(&from).await;
    let history = from.layout.state().join(".pulumi/history/pilot/rt-1/rt-1-1.history.json");
    std::fs::create_dir_all(history.parent().unwrap()).unwrap();
    std::fs::write(history, "{}").unwrap();
    let (rows, all) = (dump(&from).await, states(&from).await);
    let url = to.database.clone().unwrap();
    let moved = migrate(&from.layout, &url, &mut quiet).await.unwrap();
    assert_eq!((moved.states, moved.rows["workspaces"]), (2, 2));
    assert_eq!((dump(&to).await, states(&to).await), (rows.clone(), all.clone()));
    let there = Installation { layout: from.layout.clone(), ..to.clone() };
    let store = open(&there).await;
    store.must_be_whole().await.unwrap();
    store.close().await;
    let store = open(&from).await;
    let problem = store.must_be_whole().await.unwrap_err();
    assert!(problem.code == ErrorCode::StoreMoved && problem.detail.contains("/two"), "{problem}");
    store.close().await;
    let problem = create(&from, &world.file("a.backup"), &key(), &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::StoreMoved);
    create(&there, &world.file("a.backup"), &key(), &mut quiet).await.unwrap();
    // Asked again it is the same, and elsewhere it does not go.
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    let elsewhere = world.shared("three").await.database.unwrap();
    assert_eq!(migrate(&from.layout, &elsewhere, &mut quiet).await.unwrap_err().code, ErrorCode::StoreMoved);
    assert!(undo(&from.layout, Behind::Marked(&url)).await.unwrap().unwrap().contains("/two"));
    assert_eq!(dump(&from).await, as_restored(rows));
    let store = open(&from).await;
    store.must_be_whole().await.unwrap();
    store.close().await;
    assert_eq!(undo(&from.layout, Behind::Unsaid).await.unwrap(), None);
}

#[tokio::test]
async fn a_database_that_is_gone_back_from_is_told_and_takes_nothing_from_those_who_run_on_it() {
    let world = world();
    let (from, to) = (world.local("one"), world.shared("two").await);
    inhabited(&from).await;
    let url = to.database.clone().unwrap();
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    let runs_on_it = open(&to).await;
    let second = Duration::from_secs(1);
    runs_on_it.lease("sweeper", "me", second).await.unwrap().unwrap();
    runs_on_it.ping().await.unwrap();
    // Without a word on the database, and where it cannot be reached, nothing changes.
    let elsewhere = world.shared("three").await.database.unwrap();
    let nobody = "postgres://pilot@127.0.0.1:1/two";
    for behind in [Behind::Unsaid, Behind::Marked(nobody), Behind::Marked(&elsewhere)] {
        let problem = undo(&from.layout, behind).await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::StoreMoved, "{behind:?}: {problem}");
        runs_on_it.ping().await.unwrap();
        let store = open(&from).await;
        assert_eq!(store.must_be_whole().await.unwrap_err().code, ErrorCode::StoreMoved);
        store.close().await;
    }
    let action = undo(&from.layout, Behind::Marked(nobody)).await.unwrap_err().action.unwrap();
    assert!(action.contains("--leave-database") && action.contains("end every orchestrator"), "{action}");
    undo(&from.layout, Behind::Marked(&url)).await.unwrap().unwrap();
    let is_left = |error: StoreError| matches!(error, StoreError::Left(_));
    assert!(is_left(runs_on_it.lease("sweeper", "me", second).await.unwrap_err()));
    assert!(is_left(runs_on_it.claim("me", second, &[], &[]).await.unwrap_err()));
    assert!(is_left(runs_on_it.ping().await.unwrap_err()));
    runs_on_it.close().await;
    let store = open(&to).await;
    let problem = store.must_be_whole().await.unwrap_err();
    assert!(problem.code == ErrorCode::StoreMoved && problem.detail.contains("taken back"), "{problem}");
    store.close().await;
    // It is not filled a second time by mistake, and its own words say what it is.
    let problem = migrate(&from.layout, &url, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::InstallationExists);
    assert!(problem.detail.contains("left there at") && problem.action.unwrap().contains("DROP SCHEMA"));
    let store = open(&from).await;
    store.must_be_whole().await.unwrap();
    store.close().await;
    // One that cannot be reached is left as it is, if that is wanted.
    migrate(&from.layout, &elsewhere, &mut quiet).await.unwrap();
    undo(&from.layout, Behind::AsItIs).await.unwrap().unwrap();
    let there = Installation { database: Some(elsewhere), ..to };
    let store = open(&there).await;
    store.must_be_whole().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_way_back_that_was_ended_in_the_middle_is_served_nowhere_and_goes_on_either_way() {
    let world = world();
    let (from, to) = (world.local("one"), world.shared("two").await);
    inhabited(&from).await;
    let url = to.database.clone().unwrap();
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    for again in [false, true] {
        let mut connection = connect(&to).await;
        let mark = "INSERT INTO installation (name, value) VALUES ('left', '2026-11-29T12:00:00Z')";
        sqlx::query(mark).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        for at in [&from, &to] {
            let store = open(at).await;
            assert_eq!(store.must_be_whole().await.unwrap_err().code, ErrorCode::StoreMoved);
            store.close().await;
        }
        let whole = match again {
            false => migrate(&from.layout, &url, &mut quiet).await.map(|_| &to).unwrap(),
            true => undo(&from.layout, Behind::Marked(&url)).await.map(|_| &from).unwrap(),
        };
        let store = open(whole).await;
        store.must_be_whole().await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_move_that_was_ended_between_its_last_two_steps_is_served_nowhere_and_ends_when_asked_again() {
    let world = world();
    let (from, to) = (world.local("one"), world.shared("two").await);
    inhabited(&from).await;
    let rows = dump(&from).await;
    let url = to.database.clone().unwrap();
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    let installation = std::fs::read_to_string(from.layout.secret("installation")).unwrap();
    let mut connection = connect(&to).await;
    let mark = sqlx::query("INSERT INTO installation (name, value) VALUES ('filling', $1)");
    mark.bind(format!("move of {}", installation.trim())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for (at, code) in [(&from, ErrorCode::StoreMoved), (&to, ErrorCode::StoreIncomplete)] {
        let store = open(at).await;
        let problem = store.must_be_whole().await.unwrap_err();
        assert_eq!(problem.code, code);
        assert!(problem.action.unwrap().contains("`pilot store migrate"));
        store.close().await;
    }
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    let store = open(&to).await;
    store.must_be_whole().await.unwrap();
    store.close().await;
    assert_eq!(dump(&to).await, rows);
}

#[tokio::test]
async fn what_an_ended_move_has_left_is_replaced_by_what_is_true_now() {
    let world = world();
    let (from, to) = (world.local("one"), world.shared("two").await);
    inhabited(&from).await;
    let url = to.database.clone().unwrap();
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    undo(&from.layout, Behind::AsItIs).await.unwrap();
    // The state of before and rows of before are there, and it counts as not ended.
    let installation = std::fs::read_to_string(from.layout.secret("installation")).unwrap();
    let mut connection = connect(&to).await;
    let mark = sqlx::query("INSERT INTO installation (name, value) VALUES ('filling', $1)");
    mark.bind(format!("move of {}", installation.trim())).execute(&mut connection).await.unwrap();
    connection.execute("DELETE FROM audit").await.unwrap();
    put_state(&to, &mut connection, "rt-gone", "{}").await;
    connection
        .execute("UPDATE pulumi_state SET data = '{\"data\": \"\"}' WHERE key LIKE '%json'")
        .await
        .unwrap();
    connection.close().await.unwrap();
    migrate(&from.layout, &url, &mut quiet).await.unwrap();
    assert_eq!(dump(&to).await["audit"], dump(&from).await["audit"]);
    assert_eq!(states(&to).await, states(&from).await);
}

#[tokio::test]
async fn a_folder_whose_server_runs_or_whose_state_is_damaged_is_not_moved() {
    let world = world();
    let (from, to) = (world.local("one"), world.shared("two").await);
    let rows = inhabited(&from).await;
    let url = to.database.clone().unwrap();
    let server = DataFolder::open(&from.layout.root).unwrap();
    assert_eq!(migrate(&from.layout, &url, &mut quiet).await.unwrap_err().code, ErrorCode::AlreadyRunning);
    drop(server);
    let state = from.layout.state().join(format!(".pulumi/stacks/pilot/{}.json", rows[0].runtime_id));
    std::fs::write(&state, "{").unwrap();
    let problem = migrate(&from.layout, &url, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::StateCorrupt);
    let nowhere = world.local("nowhere");
    assert_eq!(
        migrate(&nowhere.layout, &url, &mut quiet).await.unwrap_err().code,
        ErrorCode::DataFolderUnusable
    );
    assert!(!nowhere.layout.root.exists());
    let away = url.replace("127.0.0.1", "127.0.0.2");
    std::fs::write(&state, checkpoint("rt")).unwrap();
    assert_eq!(migrate(&from.layout, &away, &mut quiet).await.unwrap_err().code, ErrorCode::StoreUnavailable);
    let store = Store::open(&from.layout.database()).await.unwrap();
    store.must_be_whole().await.unwrap();
}

#[test]
fn arbitrary_rows_and_states_go_from_a_folder_to_a_database_and_back_as_they_were() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = world();
    let number = std::cell::Cell::new(0);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&arbitrary::given(), |given| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let name = |what: &str| format!("{what}{}", number.get());
            let (from, back) = (world.local(&name("from")), world.local(&name("back")));
            let there = world.shared(&name("there")).await;
            found(&from).await.close().await;
            given.put(&from).await;
            create(&from, &world.file(&name("a")), &key(), &mut quiet).await.unwrap();
            restore(&world.file(&name("a")), &key(), &there, &mut quiet).await.unwrap();
            let restored = as_restored(dump(&from).await);
            assert_eq!(dump(&there).await, restored);
            create(&there, &world.file(&name("b")), &key(), &mut quiet).await.unwrap();
            restore(&world.file(&name("b")), &key(), &back, &mut quiet).await.unwrap();
            assert_eq!(dump(&back).await, as_restored(restored));
            assert_eq!(states(&there).await, states(&from).await);
            assert_eq!(states(&back).await, states(&from).await);
        });
        Ok(())
    });
    result.unwrap();
}
