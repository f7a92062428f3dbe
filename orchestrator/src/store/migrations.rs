//! The changes of the tables, in their order. Named here and not with sqlx's macro: its crate compiles SQLite and
//! its driver a second time, for the compiler.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyPool, SqlStr};

use super::{Result, StoreError};

/// One constant for each file; sqlx keeps the number, the words and a digest of the text in the database.
macro_rules! migration {
    ($database:literal, $number:literal, $words:literal) => {
        (
            $number,
            $words,
            include_str!(concat!("../../migrations/", $database, "/", $number, "_", $words, ".sql")),
        )
    };
}

type Named = (&'static str, &'static str, &'static str);

const SQLITE: [Named; 18] = [
    migration!("sqlite", "0001", "initial"),
    migration!("sqlite", "0002", "regions"),
    migration!("sqlite", "0003", "installation"),
    migration!("sqlite", "0004", "events"),
    migration!("sqlite", "0005", "runtimes"),
    migration!("sqlite", "0006", "claims"),
    migration!("sqlite", "0007", "labels"),
    migration!("sqlite", "0008", "times"),
    migration!("sqlite", "0009", "images"),
    migration!("sqlite", "0010", "homes"),
    migration!("sqlite", "0011", "traces"),
    migration!("sqlite", "0012", "strays"),
    migration!("sqlite", "0013", "seen"),
    migration!("sqlite", "0014", "sites"),
    migration!("sqlite", "0015", "reasons"),
    migration!("sqlite", "0016", "anew"),
    migration!("sqlite", "0017", "snapshots"),
    migration!("sqlite", "0018", "egress"),
];

const POSTGRES: [Named; 13] = [
    migration!("postgres", "0006", "initial"),
    migration!("postgres", "0007", "labels"),
    migration!("postgres", "0008", "times"),
    migration!("postgres", "0009", "images"),
    migration!("postgres", "0010", "homes"),
    migration!("postgres", "0011", "traces"),
    migration!("postgres", "0012", "strays"),
    migration!("postgres", "0013", "seen"),
    migration!("postgres", "0014", "sites"),
    migration!("postgres", "0015", "reasons"),
    migration!("postgres", "0016", "anew"),
    migration!("postgres", "0017", "snapshots"),
    migration!("postgres", "0018", "egress"),
];

pub fn sqlite() -> Migrator {
    migrator(&SQLITE)
}

pub fn postgres() -> Migrator {
    migrator(&POSTGRES)
}

/// Those up to a version, for the rows of a store that had no more.
pub fn until(migrator: Migrator, version: i64) -> Migrator {
    Migrator::with_migrations(migrator.iter().filter(|one| one.version <= version).cloned().collect())
}

/// Brings the tables up to date; one process after the other, where several do.
pub async fn run(migrator: Migrator, pool: &AnyPool) -> Result<()> {
    migrator.run(pool).await.map_err(|error| match error {
        MigrateError::Execute(error) => StoreError::from(error),
        MigrateError::VersionMissing(_) => StoreError::Newer,
        other => StoreError::Damaged(other.to_string()),
    })
}

fn migrator(named: &[Named]) -> Migrator {
    let migrations = named.iter().filter_map(|(number, words, text)| {
        let sql = SqlStr::from_static(text);
        Some(Migration::new(
            number.parse().ok()?,
            Cow::from(words.replace('_', " ")),
            MigrationType::Simple,
            sql,
            false,
        ))
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_migration() {
        for (database, named) in [("sqlite", SQLITE.as_slice()), ("postgres", POSTGRES.as_slice())] {
            let folder = format!("{}/migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let names: Vec<String> =
                named.iter().map(|(number, words, _)| format!("{number}_{words}.sql")).collect();
            assert_eq!(names, files);
            assert_eq!(migrator(named).iter().count(), files.len());
        }
    }

    #[test]
    fn what_databases_remember_of_a_migration_never_changes() {
        let known: Vec<(i64, String, String)> = sqlite()
            .iter()
            .chain(postgres().iter())
            .map(|one| {
                let digest = one.checksum.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
                (one.version, one.description.to_string(), digest)
            })
            .collect();
        let is = |version, words: &str, digest: &str| (version, words.to_owned(), digest.to_owned());
        assert_eq!(
            known,
            [
                is(1, "initial", "3b4feb9b"),
                is(2, "regions", "61aef746"),
                is(3, "installation", "82c31cad"),
                is(4, "events", "3349ddca"),
                is(5, "runtimes", "06762483"),
                is(6, "claims", "461f4a79"),
                is(7, "labels", "4695f179"),
                is(8, "times", "6f14ed2a"),
                is(9, "images", "8f29b8c1"),
                is(10, "homes", "3a274d3e"),
                is(11, "traces", "434576ed"),
                is(12, "strays", "25f44dce"),
                is(13, "seen", "b217c447"),
                is(14, "sites", "0054b6e8"),
                is(15, "reasons", "7746e997"),
                is(16, "anew", "ce9022c0"),
                is(17, "snapshots", "c87fb79f"),
                is(18, "egress", "16fdb5ff"),
                is(6, "initial", "3575131e"),
                is(7, "labels", "4695f179"),
                is(8, "times", "94a9f50b"),
                is(9, "images", "2a4e87da"),
                is(10, "homes", "39edd320"),
                is(11, "traces", "434576ed"),
                is(12, "strays", "041df9da"),
                is(13, "seen", "ce12026f"),
                is(14, "sites", "0054b6e8"),
                is(15, "reasons", "7746e997"),
                is(16, "anew", "ec09a1be"),
                is(17, "snapshots", "c87fb79f"),
                is(18, "egress", "16fdb5ff"),
            ]
        );
    }
}
