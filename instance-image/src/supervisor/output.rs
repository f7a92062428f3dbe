//! What OpenCode prints: passed on to our standard error, with its end kept for the error message.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio_util::task::TaskTracker;

/// Enough for a message and the top of a stack trace.
const TAIL_BYTES: usize = 2000;

/// A tool that outlives OpenCode may hold the pipe open, so its end is not waited for for long.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(300);

/// The output of one run.
#[derive(Debug)]
pub(super) struct Output {
    tail: Tail,
    readers: TaskTracker,
}

type Tail = Arc<Mutex<Vec<u8>>>;

impl Output {
    /// Takes both pipes of the child.
    pub(super) fn of(child: &mut Child) -> Self {
        let (tail, readers) = (Tail::default(), TaskTracker::new());
        if let Some(out) = child.stdout.take() {
            readers.spawn(pass_on(out, tail.clone()));
        }
        if let Some(err) = child.stderr.take() {
            readers.spawn(pass_on(err, tail.clone()));
        }
        readers.close();
        Self { tail, readers }
    }

    /// What was said last, as the end of a sentence. To be asked when the process has ended.
    pub(super) async fn last_words(&self) -> String {
        // Out of time: what is there by now will do.
        let _ = tokio::time::timeout(LAST_WORDS_WITHIN, self.readers.wait()).await;
        match String::from_utf8_lossy(&lock(&self.tail)).trim() {
            "" => String::new(),
            words => format!("; it said: {words}"),
        }
    }
}

async fn pass_on(mut from: impl AsyncRead + Unpin, tail: Tail) {
    let mut chunk = [0; 2048];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let chunk = &chunk[..count];
        // There is nowhere to report that the log is gone.
        let _ = std::io::stderr().write_all(chunk);
        let mut tail = lock(&tail);
        tail.extend_from_slice(chunk);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
}

fn lock(tail: &Tail) -> MutexGuard<'_, Vec<u8>> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}
