//! The witness: an append-only file with one line of JSON for each object that comes to exist, changes
//! or goes. A line is on the disk before the request that caused it is answered. It may be read while
//! the simulator runs, and is replayed when it starts again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::world::Object;

/// The journal's name in the simulator's folder.
pub const FILE: &str = "journal.ndjson";

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Rises by one.
    pub number: u64,
    pub at: Timestamp,
    pub event: Event,
    pub id: String,
    /// The object after the event; what is gone is shown as it was.
    #[serde(flatten)]
    pub object: Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Created,
    Changed,
    Gone,
}

impl Entry {
    pub fn kind(&self) -> &'static str {
        match self.object {
            Object::App(_) => "app",
            Object::Machine(_) => "machine",
            Object::Volume(_) => "volume",
        }
    }
}

/// Reads a journal, also one that is being written: a line without its end is left out.
///
/// # Errors
/// When the file cannot be read, or a whole line is not a journal's.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file);
    let (mut entries, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 0 {
        if !line.ends_with('\n') {
            break;
        }
        entries.push(serde_json::from_str(&line)?);
        line.clear();
    }
    Ok(entries)
}

/// The objects that exist after these entries, by id.
pub fn living(entries: &[Entry]) -> BTreeMap<&str, &Object> {
    let mut living = BTreeMap::new();
    for entry in entries {
        match entry.event {
            Event::Gone => living.remove(entry.id.as_str()),
            _ => living.insert(entry.id.as_str(), &entry.object),
        };
    }
    living
}

/// Writes entries in the order in which they are given, many with one flush to the disk.
#[derive(Debug)]
pub struct Journal {
    queue: mpsc::Sender<Entry>,
    next: u64,
    on_disk: watch::Receiver<u64>,
}

impl Journal {
    /// Opens the file for appending, behind the last whole line.
    ///
    /// # Errors
    /// When the file cannot be opened or cut.
    pub fn open(path: &Path, last: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        cut_half_line(&file, path)?;
        let (queue, entries) = mpsc::channel();
        let (flushed, on_disk) = watch::channel(last);
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(file, &entries, &flushed))?;
        Ok(Self { queue, next: last + 1, on_disk })
    }

    /// Queues an entry; [`OnDisk::wait`] tells when it is safe.
    pub fn append(&mut self, event: Event, object: Object) -> u64 {
        let number = self.next;
        self.next += 1;
        let (at, id) = (crate::clock::now(), object.id().to_owned());
        // Without its writer the journal stands still, and with it every answer that waits for it.
        let _ = self.queue.send(Entry { number, at, event, id, object });
        number
    }

    /// The number of the last entry; 0 when there is none.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    pub fn on_disk(&self) -> OnDisk {
        OnDisk(self.on_disk.clone())
    }
}

/// What of the journal is safe.
#[derive(Debug, Clone)]
pub struct OnDisk(watch::Receiver<u64>);

impl OnDisk {
    /// Waits until the entry of this number is on the disk. False when the writer has failed.
    pub async fn wait(mut self, number: u64) -> bool {
        self.0.wait_for(|flushed| *flushed >= number).await.is_ok()
    }
}

fn write(mut file: File, entries: &mpsc::Receiver<Entry>, flushed: &watch::Sender<u64>) {
    while let Ok(first) = entries.recv() {
        let mut last = first.number;
        let mut lines = Vec::new();
        for entry in std::iter::once(first).chain(entries.try_iter()) {
            last = entry.number;
            if serde_json::to_writer(&mut lines, &entry).is_err() {
                return;
            }
            lines.push(b'\n');
        }
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "the journal cannot be written; nothing is answered any more");
            return;
        }
        flushed.send_replace(last);
    }
}

/// A simulator that was killed may have left half a line.
fn cut_half_line(file: &File, path: &Path) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    if whole < bytes.len() {
        file.set_len(whole as u64)?;
    }
    Ok(())
}
