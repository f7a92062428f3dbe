//! The last of what the host's process writes to its standard error, for messages about its end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// So much is kept: enough for the panic of a Go program with the goroutine that it is about.
const KEPT: usize = 16 << 10;

/// A line that is longer than this goes to the log in pieces.
const LINE: usize = 8 << 10;

#[derive(Debug, Clone, Default)]
pub(super) struct Said(Arc<Mutex<VecDeque<u8>>>);

impl Said {
    /// Reads until the end, whatever comes and however much it is.
    pub async fn listen(self, mut from: impl AsyncRead + Unpin, pid: u32) {
        let (mut buffer, mut line) = (vec![0; LINE], Vec::new());
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let piece = &buffer[..read];
            self.keep(piece);
            for byte in piece {
                match byte {
                    b'\n' => tell(&mut line, pid),
                    byte => line.push(*byte),
                }
                if line.len() >= LINE {
                    tell(&mut line, pid);
                }
            }
        }
        tell(&mut line, pid);
    }

    fn keep(&self, piece: &[u8]) {
        let Ok(mut kept) = self.0.lock() else { return };
        kept.extend(piece);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }

    /// The last lines, for an error.
    pub fn tail(&self) -> String {
        const LINES: usize = 10;
        let text = self.all();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// Everything that is kept.
    pub fn all(&self) -> String {
        let bytes: Vec<u8> = self.0.lock().map(|kept| kept.iter().copied().collect()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn tell(line: &mut Vec<u8>, pid: u32) {
    if !line.is_empty() {
        tracing::debug!(pid, "engine host: {}", String::from_utf8_lossy(line));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_of_what_was_written_is_kept() {
        let said = Said::default();
        let text = format!("first\n{}\nlast words\n", "x".repeat(10 * KEPT));
        said.clone().listen(text.as_bytes(), 1).await;
        assert_eq!(said.all().len(), KEPT);
        assert!(said.tail().ends_with("\nlast words"));
        assert!(!said.tail().contains("first"));
    }
}
