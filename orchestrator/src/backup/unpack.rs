//! Reads a backup to its end: every part is checked, and goes where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use contracts::Problem;

use super::archive::{CONTENTS, Contents, FORMAT, FileSum, MANIFEST, Manifest, Reader, Summing, unread};
use super::seal::{Key, damaged, newer};
use super::{CONFIG, PULUMI, REPLACED, Read, SECRETS, Tell};
use crate::data::{Layout, secrets_digest, unusable, write_private};
use crate::states::{States, check, stack};
use crate::store::copy::{Copier, Table, newest};

/// Where the parts go. What has no place is read and checked all the same.
#[derive(Default)]
pub struct Places<'a> {
    /// Secrets, and states where `store` is a file.
    pub layout: Option<&'a Layout>,
    /// Rows, and states where this is a PostgreSQL. In a transaction of the caller's.
    pub store: Option<&'a mut Copier>,
    pub states_are_rows: bool,
}

/// What was found on the way.
#[derive(Default)]
struct Found {
    manifest: Option<Manifest>,
    contents: Contents,
    told: Option<Contents>,
    secrets: BTreeMap<String, Vec<u8>>,
    stacks: BTreeSet<String>,
    runtimes: BTreeSet<String>,
    secrets_of_store: Option<String>,
    damaged: Vec<String>,
    tables: Vec<Table>,
}

pub async fn unpack(file: &Path, key: &Key, mut into: Places<'_>, tell: Tell<'_>) -> Result<Read, Problem> {
    let mut reader = Reader::open(file, key)?;
    let why = std::sync::Arc::clone(&reader.why);
    let unread = |error: std::io::Error| unread(&why, &error);
    let mut found = Found::default();
    if let Some(store) = &mut into.store {
        found.tables = store.tables().await?;
    }
    for entry in reader.tar.entries().map_err(unread)? {
        let mut entry = entry.map_err(unread)?;
        let name = entry.path().map_err(unread)?.to_string_lossy().into_owned();
        tell(&name);
        let table = name.strip_prefix("store/").and_then(|rest| rest.split('/').next());
        match (name.as_str(), table) {
            (MANIFEST, _) => found.manifest = Some(known(json(&mut entry, &name, &why)?)?),
            (CONTENTS, _) => found.told = Some(json(&mut entry, &name, &why)?),
            (_, Some(table)) => {
                let mut text = String::new();
                entry.read_to_string(&mut text).map_err(unread)?;
                found.rows(table, text, &mut into).await?;
            }
            _ => found
                .file(&name, entry, &mut into)
                .await
                .map_err(|problem| why.get().cloned().unwrap_or(problem))?,
        }
    }
    // Behind the last part there are bytes as well.
    std::io::copy(&mut reader.tar.into_inner(), &mut std::io::sink()).map_err(unread)?;
    found.end()
}

impl Found {
    async fn rows(&mut self, table: &str, text: String, into: &mut Places<'_>) -> Result<(), Problem> {
        let rows: Vec<String> = text.lines().map(str::to_owned).collect();
        let sum = self.contents.tables.entry(table.to_owned()).or_default();
        for row in &rows {
            sum.sum.add(row);
            let value = || serde_json::from_str::<BTreeMap<String, serde_json::Value>>(row).ok();
            let word = |row: &BTreeMap<String, serde_json::Value>, column: &str| {
                row.get(column).and_then(|value| value.as_str()).map(str::to_owned)
            };
            match table {
                "runtimes" => self.runtimes.extend(value().and_then(|row| word(&row, "id"))),
                "installation" => {
                    let row = value().filter(|row| word(row, "name").as_deref() == Some("secrets"));
                    self.secrets_of_store =
                        row.and_then(|row| word(&row, "value")).or(self.secrets_of_store.take());
                }
                _ => {}
            }
        }
        let Some(store) = &mut into.store else { return Ok(()) };
        let known = self.tables.iter().find(|one| one.name == table);
        let known = known
            .ok_or_else(|| damaged(format!("It has rows of a table {table}, which the store has not.")))?;
        Ok(store.insert(known, &rows).await?)
    }

    async fn file(
        &mut self,
        name: &str,
        entry: impl std::io::Read,
        into: &mut Places<'_>,
    ) -> Result<(), Problem> {
        let mut entry = Summing::new(entry);
        let failed = |error: std::io::Error| damaged(format!("{name} cannot be read: {error}."));
        if let Some(key) = name.strip_prefix(PULUMI) {
            self.stacks.extend(stack(key).map(str::to_owned));
            match (&mut into.store, into.layout) {
                (Some(store), _) if into.states_are_rows => {
                    States::Table(&mut store.connection).put(key, &mut entry).await?;
                }
                (_, Some(layout)) => States::Folder(layout.state()).put(key, &mut entry).await?,
                _ => self.damaged.extend(check(key, &mut entry).err().map(|_| key.to_owned())),
            }
        } else {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(failed)?;
            let of = |folder: &str| {
                name.strip_prefix(folder).filter(|file| !file.contains('/') && !file.starts_with('.'))
            };
            let path = match (of(SECRETS), of(REPLACED)) {
                (Some(secret), _) => {
                    self.secrets.insert(secret.to_owned(), content.clone());
                    into.layout.map(|layout| layout.secret(secret))
                }
                (_, Some(state)) => into.layout.map(|layout| layout.replaced().join(state)),
                _ if name == CONFIG => into.layout.map(Layout::opencode_config),
                _ => return Err(newer(format!("It has a part {name}, which this version does not know."))),
            };
            if let Some(path) = path {
                write_private(&path, &content).map_err(|error| unusable(&path, &error))?;
            }
        }
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(failed)?;
        let sum: FileSum = entry.sum();
        self.contents.files.insert(name.to_owned(), sum);
        Ok(())
    }

    /// What was said of the parts is what they were.
    fn end(mut self) -> Result<Read, Problem> {
        let (Some(manifest), Some(told)) = (self.manifest, self.told) else {
            return Err(damaged("It has no manifest, or no list of what is in it.".to_owned()));
        };
        for (name, table) in &told.tables {
            self.contents.tables.entry(name.clone()).or_default().columns.clone_from(&table.columns);
        }
        if self.contents != told {
            let differs = told.files.iter().find(|(name, sum)| self.contents.files.get(*name) != Some(sum));
            let differs = differs.map(|(name, _)| name).or_else(|| {
                told.tables
                    .iter()
                    .find(|(name, sum)| self.contents.tables.get(*name) != Some(sum))
                    .map(|(name, _)| name)
            });
            let what = differs.map_or("a part that is not in its list", String::as_str);
            return Err(damaged(format!("{what} is not what was written.")));
        }
        let secret =
            |name: &str| self.secrets.get(name).map(|text| String::from_utf8_lossy(text).trim().to_owned());
        let digest = secrets_digest([secret("installation"), secret("pulumi-passphrase")]);
        if self.secrets_of_store.is_some_and(|told| told != digest) {
            return Err(damaged("Its store was made with other secrets than those in it.".to_owned()));
        }
        let orphans =
            self.stacks.iter().filter(|stack| stack.starts_with("rt-") && !self.runtimes.contains(*stack));
        Ok(Read {
            orphans: orphans.cloned().collect(),
            without_state: self.runtimes.difference(&self.stacks).cloned().collect(),
            states: self.stacks.len() as u64,
            rows: told.tables.iter().map(|(name, table)| (name.clone(), table.sum.rows)).collect(),
            workspaces: 0,
            damaged: self.damaged,
            tables: told.tables,
            manifest,
        })
    }
}

/// One that this version can use.
fn known(manifest: Manifest) -> Result<Manifest, Problem> {
    if manifest.format <= FORMAT && manifest.schema <= newest() {
        return Ok(manifest);
    }
    let detail = format!(
        "Pilot {} made the backup, with the store's version {}; this is Pilot {} and knows {}.",
        manifest.pilot,
        manifest.schema,
        env!("CARGO_PKG_VERSION"),
        newest()
    );
    Err(newer(detail))
}

fn json<T: serde::de::DeserializeOwned>(
    entry: &mut impl std::io::Read,
    name: &str,
    why: &std::sync::OnceLock<Problem>,
) -> Result<T, Problem> {
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(|error| unread(why, &error))?;
    serde_json::from_slice(&text).map_err(|error| damaged(format!("{name} cannot be read: {error}.")))
}
