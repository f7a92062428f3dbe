//! What one stream of a command wrote. Its beginning is kept, and the rest is counted: a command that writes for ever takes
//! no memory, and whoever asked is told that something is missing.

use std::fmt;
use std::ops::Deref;

/// Of bytes, where it is shown to people.
const SHOWN: usize = 200;

/// The beginning of what was written. Read it like a slice of bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Captured {
    kept: Vec<u8>,
    dropped: u64,
}

impl Captured {
    /// So many bytes are kept.
    pub const MOST: usize = contracts::exec::MOST_OUTPUT;

    /// What was written next.
    pub fn add(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(Self::MOST - self.kept.len());
        self.kept.extend_from_slice(&bytes[..fits]);
        self.dropped += (bytes.len() - fits) as u64;
    }

    /// How many bytes came after those that are kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// As text, and no more of it than a person reads.
impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.kept[..self.kept.len().min(SHOWN)]);
        f.debug_struct("Captured")
            .field("begins", &text)
            .field("bytes", &self.kept.len())
            .field("dropped", &self.dropped)
            .finish()
    }
}

impl Deref for Captured {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.kept
    }
}

impl<T: AsRef<[u8]>> From<T> for Captured {
    fn from(bytes: T) -> Self {
        let mut captured = Self::default();
        captured.add(bytes.as_ref());
        captured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_and_what_is_lost_is_counted() {
        let mut captured = Captured::from("ab");
        captured.add(&vec![b'c'; Captured::MOST]);
        captured.add(b"more");
        assert_eq!((captured.len(), captured.dropped()), (Captured::MOST, 6));
        assert!(captured.starts_with(b"abc") && captured.ends_with(b"c"));
        assert!(format!("{captured:?}").len() < 400, "it is shown in short");
    }
}
