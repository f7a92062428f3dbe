//! The inside of a backup: a tar of parts. First `manifest.json`, last `contents.json`, which says what every part before it
//! holds; between them `secrets/`, `config/`, `replaced/`, `pulumi/` and `store/TABLE/NUMBER.jsonl`.

use std::collections::BTreeMap;
use std::io::{Read, Result as IoResult};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use contracts::{ErrorCode, Problem};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::seal::{Key, Opener, Sealer, damaged};
use crate::store::copy::{Sum, Table, hex};

pub const MANIFEST: &str = "manifest.json";
pub const CONTENTS: &str = "contents.json";

/// The order and the meaning of the parts.
pub const FORMAT: u32 = 1;

/// Where a backup comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    /// The version of Pilot that made it.
    pub pilot: String,
    /// The last migration of the store.
    pub schema: i64,
    pub created: Timestamp,
    pub installation: String,
    /// `sqlite` or `postgres`.
    pub store: String,
}

/// What all parts hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub tables: BTreeMap<String, TableSum>,
    pub files: BTreeMap<String, FileSum>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    pub columns: Vec<String>,
    #[serde(flatten)]
    pub sum: Sum,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    pub bytes: u64,
    /// SHA-256.
    #[serde(with = "hex")]
    pub digest: [u8; 32],
}

/// Sums what goes through it.
pub struct Summing<R> {
    inner: R,
    context: Context,
    bytes: u64,
}

impl<R: Read> Summing<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    pub fn sum(self) -> FileSum {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.context.finish().as_ref());
        FileSum { bytes: self.bytes, digest }
    }
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        let read = self.inner.read(into)?;
        self.context.update(&into[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

pub struct Writer {
    tar: tar::Builder<Sealer>,
    contents: Contents,
}

impl Writer {
    pub fn new(sealer: Sealer, manifest: &Manifest) -> Result<Self, Problem> {
        let mut writer = Self { tar: tar::Builder::new(sealer), contents: Contents::default() };
        writer.json(MANIFEST, manifest)?;
        Ok(writer)
    }

    /// A part whose length is known.
    pub fn file(&mut self, name: &str, bytes: u64, content: impl Read) -> Result<(), Problem> {
        let mut content = Summing::new(content.take(bytes));
        self.append(name, bytes, &mut content)?;
        let sum = content.sum();
        if sum.bytes != bytes {
            return Err(unwritten(&format!("{name} has become shorter while it was read")));
        }
        self.contents.files.insert(name.to_owned(), sum);
        Ok(())
    }

    /// A table that there is, also without rows.
    pub fn table(&mut self, table: &Table) {
        let mut columns = table.columns.clone();
        columns.sort_unstable();
        self.contents.tables.insert(table.name.clone(), TableSum { columns, sum: Sum::default() });
    }

    pub fn rows(&mut self, table: &str, number: u32, rows: &[String]) -> Result<(), Problem> {
        let sum = self.contents.tables.entry(table.to_owned()).or_default();
        rows.iter().for_each(|row| sum.sum.add(row));
        let text = rows.join("\n");
        self.append(&format!("store/{table}/{number:06}.jsonl"), text.len() as u64, text.as_bytes())
    }

    #[cfg(test)]
    pub fn forget_what_was_written(&mut self) {
        self.contents = Contents::default();
    }

    /// Gives the length of the file, and what is in it.
    pub fn finish(mut self) -> Result<(u64, Contents), Problem> {
        let contents = std::mem::take(&mut self.contents);
        self.json(CONTENTS, &contents)?;
        let sealer = self.tar.into_inner().map_err(|error| unwritten(&error.to_string()))?;
        let bytes = sealer.finish().map_err(|error| failed(&error))?;
        Ok((bytes, contents))
    }

    fn json(&mut self, name: &str, value: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_vec(value).map_err(|error| unwritten(&error.to_string()))?;
        self.append(name, text.len() as u64, text.as_slice())
    }

    fn append(&mut self, name: &str, bytes: u64, content: impl Read) -> Result<(), Problem> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        self.tar.append_data(&mut header, name, content).map_err(|error| failed(&error))
    }
}

/// A backup that is read from its beginning to its end.
pub struct Reader {
    pub tar: tar::Archive<Opener>,
    pub why: Arc<OnceLock<Problem>>,
}

impl Reader {
    pub fn open(path: &Path, key: &Key) -> Result<Self, Problem> {
        let opener = Opener::new(path, key)?;
        let why = Arc::clone(&opener.why);
        Ok(Self { tar: tar::Archive::new(opener), why })
    }
}

/// What an error of reading is about: the encryption knows better than the library in between.
pub fn unread(why: &OnceLock<Problem>, error: &std::io::Error) -> Problem {
    why.get().cloned().unwrap_or_else(|| damaged(format!("The backup cannot be read: {error}.")))
}

pub fn failed(error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::StorageFull => unwritten("there is no space left for it"),
        _ => unwritten(&error.to_string()),
    }
}

fn unwritten(why: &str) -> Problem {
    Problem::new(ErrorCode::BackupUnusable, format!("The backup could not be written: {why}."))
        .with_action("Nothing is left of it. Mend that, or name another place.")
}
