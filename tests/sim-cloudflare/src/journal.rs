//! Every object that exists, one line for each change, on the disk before the change is answered.
//!
//! Nothing here interprets an object: it is a kind, an id and a JSON value. At a start the lines are
//! read again; a line that was cut off by a crash was never answered and is dropped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that exists in the account.
pub trait Object: Serialize + DeserializeOwned {
    const KIND: &'static str;

    fn id(&self) -> &str;
}

#[derive(Serialize, Deserialize)]
struct Line {
    at: jiff::Timestamp,
    kind: String,
    id: String,
    /// None: it is gone.
    object: Option<Value>,
}

type Kinds = BTreeMap<String, BTreeMap<String, Value>>;

struct Inner {
    kinds: Kinds,
    file: File,
}

/// All objects, and the file that remembers them.
pub struct Journal {
    inner: Mutex<Inner>,
}

impl Journal {
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut kinds = Kinds::new();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            apply(&mut kinds, serde_json::from_str(line)?);
        }
        let file = File::options().create(true).append(true).open(path)?;
        file.set_len(whole as u64)?;
        Ok(Self { inner: Mutex::new(Inner { kinds, file }) })
    }

    pub fn put<T: Object>(&self, object: &T) -> io::Result<()> {
        let value = serde_json::to_value(object)?;
        self.write(T::KIND, object.id(), Some(value))
    }

    pub fn remove<T: Object>(&self, id: &str) -> io::Result<()> {
        self.write(T::KIND, id, None)
    }

    pub fn get<T: Object>(&self, id: &str) -> Option<T> {
        let inner = self.lock();
        let value = inner.kinds.get(T::KIND)?.get(id)?.clone();
        serde_json::from_value(value).ok()
    }

    /// In the order of their ids.
    pub fn all<T: Object>(&self) -> Vec<T> {
        let inner = self.lock();
        let values = inner.kinds.get(T::KIND).into_iter().flat_map(BTreeMap::values);
        values.filter_map(|value| serde_json::from_value(value.clone()).ok()).collect()
    }

    /// Everything, by kind and id.
    pub fn everything(&self) -> Value {
        serde_json::to_value(&self.lock().kinds).unwrap_or_default()
    }

    fn write(&self, kind: &str, id: &str, object: Option<Value>) -> io::Result<()> {
        let line = Line { at: jiff::Timestamp::now(), kind: kind.to_owned(), id: id.to_owned(), object };
        let mut inner = self.lock();
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        inner.file.write_all(text.as_bytes())?;
        inner.file.sync_data()?;
        apply(&mut inner.kinds, line);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(kinds: &mut Kinds, line: Line) {
    let objects = kinds.entry(line.kind).or_default();
    match line.object {
        Some(object) => objects.insert(line.id, object),
        None => objects.remove(&line.id),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        name: String,
        size: u32,
    }

    impl Object for Thing {
        const KIND: &'static str = "thing";

        fn id(&self) -> &str {
            &self.name
        }
    }

    fn thing(name: &str, size: u32) -> Thing {
        Thing { name: name.to_owned(), size }
    }

    #[test]
    fn what_was_written_is_there_after_a_restart_and_a_torn_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.ndjson");
        let journal = Journal::open(&path).unwrap();
        journal.put(&thing("a", 1)).unwrap();
        journal.put(&thing("b", 1)).unwrap();
        journal.put(&thing("a", 2)).unwrap();
        journal.remove::<Thing>("b").unwrap();
        drop(journal);
        File::options().append(true).open(&path).unwrap().write_all(b"{\"at\":\"2026").unwrap();

        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.all::<Thing>(), [thing("a", 2)]);
        journal.put(&thing("c", 3)).unwrap();
        assert_eq!(Journal::open(&path).unwrap().all::<Thing>(), [thing("a", 2), thing("c", 3)]);
    }
}
