//! Backups of an installation in a data folder.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contracts::ErrorCode;
use orchestrator::backup::{Installation, Key, create, restore, verify};
use orchestrator::data::{DataFolder, Layout};
use orchestrator::store::WorkspaceRow;
use proptest::prelude::*;
use sqlx::{Connection as _, Executor as _};

#[path = "suite/arbitrary.rs"]
mod arbitrary;
#[path = "suite/installation.rs"]
mod installation;

use installation::*;

struct World {
    folder: tempfile::TempDir,
    from: Installation,
    to: Installation,
    file: PathBuf,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| in_folder(&folder.path().join(name)));
    World { file: folder.path().join("pilot.backup"), folder, from, to }
}

fn quiet(_: &str) {}

#[tokio::test]
async fn every_table_every_state_and_every_secret_is_restored() {
    let world = world();
    let rows = inhabited(&world.from).await;
    std::fs::write(world.from.layout.opencode_config(), "{}").unwrap();
    std::fs::create_dir_all(world.from.layout.replaced()).unwrap();
    let replaced = |layout: &Layout| layout.replaced().join("rt-1.20261129T000000000000000Z.json");
    std::fs::write(replaced(&world.from.layout), "{\"of\": \"before\"}").unwrap();
    let before = dump(&world.from).await;
    for (table, rows) in &before {
        assert!(
            !rows.is_empty(),
            "the test has nothing in {table}, so that it does not see whether it is copied"
        );
    }
    let created = create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    assert_eq!((created.states, created.damaged.as_slice()), (2, [].as_slice()));
    assert_eq!(created.bytes, world.file.metadata().unwrap().len());
    let verified = verify(&world.file, &key(), &std::env::temp_dir(), &mut quiet).await.unwrap();
    assert_eq!((verified.workspaces, verified.states), (2, 2));
    let read = restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
    assert_eq!((read.workspaces, read.orphans.len(), read.without_state.len()), (2, 0, 0));
    assert_eq!(dump(&world.to).await, as_restored(before.clone()));
    assert_eq!(dump(&world.from).await, before, "nothing was changed where it was");
    assert_eq!(states(&world.to).await, states(&world.from).await);
    assert_eq!(secrets(&world.to), secrets(&world.from));
    assert_eq!(std::fs::read(world.to.layout.opencode_config()).unwrap(), b"{}");
    assert_eq!(std::fs::read(replaced(&world.to.layout)).unwrap(), b"{\"of\": \"before\"}");
    let data = DataFolder::open(&world.to.layout.root).unwrap();
    let store = open(&world.to).await;
    assert!(store.belongs_to(&data.secrets_digest()).await.unwrap());
    store.must_be_whole().await.unwrap();
    let restored = store.workspace(&rows[0].id.clone().into()).await.unwrap().unwrap();
    assert_eq!((&restored.slug, restored.generation), (&rows[0].slug, 1_001));
    store.close().await;
}

#[tokio::test]
async fn what_ran_when_the_backup_was_made_is_taken_over_under_a_fence_that_nobody_of_before_reaches() {
    let world = world();
    inhabited(&world.from).await;
    create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
    let store = open(&world.to).await;
    let lease = std::time::Duration::from_secs(60);
    let claimed = store.claim("another", lease, &[], &[]).await.unwrap().unwrap();
    assert!(claimed.inherited && claimed.fence > 1_000_000, "{claimed:?}");
    assert!(store.lease("reconciler", "another", lease).await.unwrap().unwrap().fence > 1_000_000);
    store.close().await;
}

#[tokio::test]
async fn a_backup_that_is_made_while_others_write_is_of_one_moment() {
    let world = world();
    let store = found(&world.from).await;
    let (goes_on, writer) = (Arc::new(AtomicBool::new(true)), store.clone());
    let writes = tokio::spawn({
        let goes_on = Arc::clone(&goes_on);
        async move {
            let mut count = 0;
            while goes_on.load(Ordering::Relaxed) {
                let slug = format!("ws-{count}").parse().unwrap();
                let row = WorkspaceRow::new(slug, "fake".parse().unwrap(), "small".to_owned());
                let operation = new(contracts::operation::OperationKind::Create);
                writer.insert_workspace(&row, &operation).await.unwrap();
                count += 1;
            }
            count
        }
    });
    for number in 0..5 {
        let file = world.folder.path().join(format!("{number}.backup"));
        create(&world.from, &file, &key(), &mut quiet).await.unwrap();
        let read = verify(&file, &key(), &std::env::temp_dir(), &mut quiet).await.unwrap();
        let rows = |table: &str| read.rows[table];
        assert_eq!(rows("workspaces"), rows("runtimes"));
        assert_eq!((rows("workspaces"), rows("workspaces")), (rows("operations"), rows("audit")));
        assert_eq!(read.without_state.len() as u64, read.workspaces);
    }
    goes_on.store(false, Ordering::Relaxed);
    assert!(writes.await.unwrap() > 5, "nobody wrote meanwhile, so nothing was tested");
    store.close().await;
}

#[tokio::test]
async fn a_stack_without_a_workspace_is_kept_and_told() {
    let world = world();
    inhabited(&world.from).await;
    let mut connection = connect(&world.from).await;
    put_state(&world.from, &mut connection, "rt-lost", &checkpoint("rt-lost")).await;
    connection.close().await.unwrap();
    create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    let read = restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
    assert_eq!(read.orphans, ["rt-lost"]);
    assert!(states(&world.to).await.contains_key(".pulumi/stacks/pilot/rt-lost.json"));
}

#[tokio::test]
async fn a_damaged_state_is_told_when_the_backup_is_made_verified_and_restored() {
    let world = world();
    let rows = inhabited(&world.from).await;
    let key_of = format!(".pulumi/stacks/pilot/{}.json", rows[0].runtime_id);
    std::fs::write(world.from.layout.state().join(&key_of), "{\"version\": 3, \"check").unwrap();
    let created = create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    assert_eq!(created.damaged, std::slice::from_ref(&key_of));
    let problem = verify(&world.file, &key(), &std::env::temp_dir(), &mut quiet).await.unwrap_err();
    assert!(problem.code == ErrorCode::BackupDamaged && problem.detail.contains(&key_of), "{problem}");
    let read = restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
    assert_eq!(read.damaged, [key_of]);
    assert_eq!(states(&world.to).await, states(&world.from).await, "as it was, for whoever mends it");
}

#[tokio::test]
async fn what_is_there_is_never_written_over() {
    let world = world();
    inhabited(&world.from).await;
    std::fs::write(&world.file, "mine").unwrap();
    let problem = create(&world.from, &world.file, &key(), &mut quiet).await.unwrap_err();
    assert!(
        problem.code == ErrorCode::BackupUnusable && problem.detail.contains("there already"),
        "{problem}"
    );
    assert_eq!(std::fs::read(&world.file).unwrap(), b"mine");
    let file = world.folder.path().join("another.backup");
    create(&world.from, &file, &key(), &mut quiet).await.unwrap();
    let (rows, all) = (dump(&world.from).await, states(&world.from).await);
    let problem = restore(&file, &key(), &world.from, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::InstallationExists);
    assert_eq!((dump(&world.from).await, states(&world.from).await), (rows, all));
    std::fs::create_dir_all(&world.to.layout.root).unwrap();
    std::fs::write(world.to.layout.root.join("notes.txt"), "x").unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions();
    let before = mode(&world.to.layout.root);
    let problem = restore(&file, &key(), &world.to, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::InstallationExists);
    assert_eq!(mode(&world.to.layout.root), before);
    assert_eq!(std::fs::read_dir(&world.to.layout.root).unwrap().count(), 1, "not even a lock");
}

#[tokio::test]
async fn a_folder_that_a_server_uses_is_not_restored_to() {
    let world = world();
    inhabited(&world.from).await;
    create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    let _server = DataFolder::open(&world.to.layout.root).unwrap();
    let problem = restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::AlreadyRunning);
}

#[tokio::test]
async fn a_wrong_key_a_cut_file_and_a_changed_byte_are_told_apart_and_leave_nothing() {
    let world = world();
    inhabited(&world.from).await;
    create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    let good = std::fs::read(&world.file).unwrap();
    let other = Key::new(&[b'x'; 40]).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    for (bytes, key, code) in [
        (good.clone(), other, ErrorCode::BackupKeyRejected),
        (good[..good.len() - 100].to_vec(), key(), ErrorCode::BackupIncomplete),
        (changed, key(), ErrorCode::BackupDamaged),
    ] {
        std::fs::write(&world.file, bytes).unwrap();
        assert_eq!(
            verify(&world.file, &key, &std::env::temp_dir(), &mut quiet).await.unwrap_err().code,
            code
        );
        assert_eq!(restore(&world.file, &key, &world.to, &mut quiet).await.unwrap_err().code, code);
        assert!(!world.to.layout.root.exists(), "{code}");
    }
    std::fs::write(&world.file, good).unwrap();
    restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_leaves_no_file() {
    let world = world();
    inhabited(&world.from).await;
    std::fs::remove_file(world.from.layout.secret("pulumi-passphrase")).unwrap();
    let problem = create(&world.from, &world.file, &key(), &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::SecretsMissing);
    let names = std::fs::read_dir(world.folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["from"]);
    std::fs::write(world.from.layout.secret("pulumi-passphrase"), "another").unwrap();
    let problem = create(&world.from, &world.file, &key(), &mut quiet).await.unwrap_err();
    assert!(problem.code == ErrorCode::SecretsMissing && problem.detail.contains("another"), "{problem}");
    let nowhere = in_folder(&world.folder.path().join("nowhere"));
    let problem = create(&nowhere, &world.file, &key(), &mut quiet).await.unwrap_err();
    assert!(
        problem.code == ErrorCode::DataFolderUnusable && problem.detail.contains("no store"),
        "{problem}"
    );
    assert!(!nowhere.layout.root.exists());
}

#[tokio::test]
async fn a_restore_that_was_ended_is_not_served_and_begins_anew() {
    let world = world();
    inhabited(&world.from).await;
    create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
    // As a process leaves it that was killed: the mark, some parts, and tables without rows.
    let half = &world.to.layout;
    std::fs::create_dir_all(half.state().join(".pulumi/stacks/pilot")).unwrap();
    std::fs::write(half.state().join(".pulumi/stacks/pilot/rt-half.json"), "{").unwrap();
    std::fs::write(half.root.join("restoring"), "pilot.backup").unwrap();
    open(&world.to).await.close().await;
    let problem = DataFolder::open(&half.root).err().unwrap();
    assert_eq!(problem.code, ErrorCode::StoreIncomplete);
    assert!(problem.action.unwrap().contains("`pilot backup restore pilot.backup`"));
    let again = world.folder.path().join("again.backup");
    assert_eq!(
        create(&world.to, &again, &key(), &mut quiet).await.unwrap_err().code,
        ErrorCode::StoreIncomplete
    );
    restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
    assert_eq!(dump(&world.to).await, as_restored(dump(&world.from).await));
    assert_eq!(states(&world.to).await, states(&world.from).await);
    assert!(DataFolder::open(&half.root).is_ok());
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_not_backed_up_by_an_older_one() {
    let world = world();
    inhabited(&world.from).await;
    let mut connection = connect(&world.from).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', TRUE, x'00', 0)";
    connection.execute(newer).await.unwrap();
    connection.close().await.unwrap();
    let problem = create(&world.from, &world.file, &key(), &mut quiet).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::StoreNewer);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn arbitrary_rows_and_states_are_restored_as_they_were(given in arbitrary::given()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world();
            found(&world.from).await.close().await;
            given.put(&world.from).await;
            create(&world.from, &world.file, &key(), &mut quiet).await.unwrap();
            restore(&world.file, &key(), &world.to, &mut quiet).await.unwrap();
            assert_eq!(dump(&world.to).await, as_restored(dump(&world.from).await));
            assert_eq!(states(&world.to).await, states(&world.from).await);
        });
    }
}
