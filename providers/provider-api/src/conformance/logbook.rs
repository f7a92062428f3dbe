//! What this program logs while cases run, so that they can look for secrets in it.

use std::io;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to keep everything that is logged, at any level down to debug. Fails the case in a program
/// that logs elsewhere already, because then nothing could be said about its logs.
pub fn open() {
    static OPENED: Once = Once::new();
    OPENED.call_once(|| {
        let keep = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(Keep);
        keep.try_init().expect("a program that logs nowhere else");
    });
}

/// All that was logged since it was opened.
pub fn read() -> String {
    String::from_utf8_lossy(&written()).into_owned()
}

fn written() -> MutexGuard<'static, Vec<u8>> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keep;

impl io::Write for Keep {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        written().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Keep {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Keep
    }
}
