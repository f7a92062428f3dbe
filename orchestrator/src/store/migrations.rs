//! The changes of the tables, in their order. Named here and not with sqlx's macro: its crate compiles SQLite and
//! its driver a second time, for the compiler.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One constant for each file; sqlx keeps the number, the words and a digest of the text in the database.
macro_rules! migration {
    ($number:literal, $words:literal) => {
        ($number, $words, include_str!(concat!("../../migrations/", $number, "_", $words, ".sql")))
    };
}

const MIGRATIONS: [(&str, &str, &str); 5] = [
    migration!("0001", "initial"),
    migration!("0002", "regions"),
    migration!("0003", "installation"),
    migration!("0004", "events"),
    migration!("0005", "runtimes"),
];

/// All of them.
pub fn all() -> Migrator {
    let migrations = MIGRATIONS.iter().filter_map(|(number, words, text)| {
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
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let named: Vec<String> =
            MIGRATIONS.iter().map(|(number, words, _)| format!("{number}_{words}.sql")).collect();
        assert_eq!(named, files);
        assert_eq!(all().iter().count(), files.len());
    }

    #[test]
    fn what_databases_remember_of_a_migration_never_changes() {
        let known: Vec<(i64, String, String)> = all()
            .iter()
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
                is(5, "runtimes", "06762483")
            ]
        );
    }
}
