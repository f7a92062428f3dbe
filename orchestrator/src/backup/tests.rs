//! Files that are whole and encrypted as they should be, and hold what they should not.

use std::io::Read as _;
use std::path::PathBuf;

use jiff::Timestamp;

use super::archive::{Contents, FORMAT, Reader, Writer};
use super::seal::Sealer;
use super::*;
use crate::data::DataFolder;
use crate::store::copy::newest;

struct World {
    folder: tempfile::TempDir,
    file: PathBuf,
}

fn key() -> Key {
    Key::new(&[b'k'; 40]).unwrap()
}

fn quiet(_: &str) {}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    World { file: folder.path().join("a.backup"), folder }
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        pilot: "9.9.9".to_owned(),
        schema: newest(),
        created: Timestamp::now(),
        installation: "inst".to_owned(),
        store: "sqlite".to_owned(),
    }
}

impl World {
    fn begin(&self, manifest: &Manifest) -> Writer {
        let file = std::fs::File::create(&self.file).unwrap();
        Writer::new(Sealer::new(file, &key()).unwrap(), manifest).unwrap()
    }

    /// That neither verifies nor restores it, and that no folder was made.
    async fn refused(&self) -> Problem {
        let to = Installation { layout: Layout { root: self.folder.path().join("to") }, database: None };
        let problem = restore(&self.file, &key(), &to, &mut quiet).await.unwrap_err();
        assert_eq!(
            verify(&self.file, &key(), &std::env::temp_dir(), &mut quiet).await.unwrap_err().code,
            problem.code
        );
        assert!(!to.layout.root.exists());
        problem
    }
}

#[tokio::test]
async fn a_backup_of_a_newer_version_names_both_versions() {
    for newer in
        [Manifest { format: FORMAT + 1, ..manifest() }, Manifest { schema: newest() + 1, ..manifest() }]
    {
        let world = world();
        world.begin(&newer).finish().unwrap();
        let problem = world.refused().await;
        assert_eq!(problem.code, ErrorCode::BackupNewer);
        assert!(
            problem.detail.contains("9.9.9") && problem.detail.contains(env!("CARGO_PKG_VERSION")),
            "{problem}"
        );
    }
    let world = world();
    let mut writer = world.begin(&manifest());
    writer.file("tomorrow/x", 1, b"x".as_slice()).unwrap();
    writer.finish().unwrap();
    let problem = world.refused().await;
    assert!(problem.code == ErrorCode::BackupNewer && problem.detail.contains("tomorrow/x"), "{problem}");
}

#[tokio::test]
async fn parts_that_lead_out_of_their_folder_are_refused() {
    for name in
        ["pulumi/.pulumi/../../../evil", "pulumi//etc/evil", "secrets/a/b", "secrets/.hidden", "replaced/a/b"]
    {
        let world = world();
        let mut writer = world.begin(&manifest());
        // The library that packs refuses such names of its own accord, or takes them apart.
        if writer.file(name, 1, b"x".as_slice()).is_err() {
            continue;
        }
        writer.finish().unwrap();
        let to = Installation { layout: Layout { root: world.folder.path().join("to") }, database: None };
        assert!(restore(&world.file, &key(), &to, &mut quiet).await.is_err(), "{name}");
        assert!(!to.layout.root.join("evil").exists() && !world.folder.path().join("evil").exists());
    }
}

#[tokio::test]
async fn a_state_is_never_written_out_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut states = crate::states::States::Folder(folder.path().join("state"));
    for key in [".pulumi/../../evil", ".pulumi//evil", "evil", "/evil", ".pulumi/stacks/../../../evil"] {
        let problem = states.put(key, &mut b"x".as_slice()).await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::BackupDamaged, "{key}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_list_that_does_not_fit_its_parts_is_seen() {
    let world = world();
    let mut writer = world.begin(&manifest());
    writer.rows("audit", 0, &["{\"sequence\":1}".to_owned()]).unwrap();
    writer.forget_what_was_written();
    writer.finish().unwrap();
    let problem = world.refused().await;
    assert!(problem.code == ErrorCode::BackupDamaged, "{problem}");
}

#[tokio::test]
async fn a_store_of_other_secrets_than_those_beside_it_is_seen() {
    let world = world();
    let mut writer = world.begin(&manifest());
    for name in ["secrets/installation", "secrets/pulumi-passphrase"] {
        writer.file(name, 1, b"x".as_slice()).unwrap();
    }
    let table = crate::store::copy::Table {
        name: "installation".to_owned(),
        columns: vec!["name".to_owned(), "value".to_owned()],
    };
    writer.table(&table);
    writer.rows("installation", 0, &["{\"name\":\"secrets\",\"value\":\"another\"}".to_owned()]).unwrap();
    writer.finish().unwrap();
    let problem = world.refused().await;
    assert!(problem.detail.contains("other secrets"), "{problem}");
}

#[tokio::test]
async fn what_is_in_a_backup_are_plain_files_that_any_tar_reads() {
    let world = world();
    let from = Installation { layout: Layout { root: world.folder.path().join("from") }, database: None };
    let data = DataFolder::open(&from.layout.root).unwrap();
    let store = Store::open(&from.layout.database()).await.unwrap();
    assert!(store.belongs_to(&data.secrets_digest()).await.unwrap());
    store.close().await;
    create(&from, &world.file, &key(), &mut quiet).await.unwrap();
    let mut reader = Reader::open(&world.file, &key()).unwrap();
    let mut names = Vec::new();
    let mut contents = None;
    for entry in reader.tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        names.push(entry.path().unwrap().display().to_string());
        if names.last().unwrap() == "contents.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            contents = Some(serde_json::from_str::<Contents>(&text).unwrap());
        }
    }
    assert_eq!(
        (names.first().unwrap().as_str(), names.last().unwrap().as_str()),
        ("manifest.json", "contents.json")
    );
    for name in [
        "secrets/installation",
        "secrets/pulumi-passphrase",
        "secrets/session-key",
        "store/installation/000000.jsonl",
    ] {
        assert!(names.iter().any(|one| one == name), "{name} in {names:?}");
    }
    assert!(contents.unwrap().tables.contains_key("workspaces"), "also what has no rows");
}
