//! Follows what a process writes to a file, without moving the file's position.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use tokio::sync::mpsc::Sender;

use crate::options::Printed;

pub(super) struct Tail<'a> {
    file: &'a File,
    wrap: fn(String) -> Printed,
    offset: u64,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
}

impl<'a> Tail<'a> {
    pub fn new(file: &'a File, wrap: fn(String) -> Printed) -> Self {
        Self { file, wrap, offset: 0, rest: Vec::new() }
    }

    /// Sends the lines that are complete since the last look; at the end, what is left as well.
    pub fn send(&mut self, listener: &Sender<Printed>, end: bool) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = self.file.read_at(&mut buffer, self.offset) {
            self.offset += read as u64;
            self.rest.extend_from_slice(&buffer[..read]);
        }
        let complete = match end {
            true => self.rest.len(),
            false => self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        };
        if complete > 0 {
            let lines: Vec<u8> = self.rest.drain(..complete).collect();
            // A listener that went away or is behind does not matter to the process.
            let _ = listener.try_send((self.wrap)(String::from_utf8_lossy(&lines).into_owned()));
        }
    }
}
