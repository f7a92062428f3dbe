//! Everything that xtask prints. Results go to stdout, progress to stderr, so that `--json` output can be
//! piped. On a terminal a running step is one moving line; elsewhere it is a line at its start, one every
//! half minute while it runs, and one at its end: no command is silent for long.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const HEARTBEAT: Duration = Duration::from_secs(30);

/// The lines of the steps that run at the same time.
static MOVING: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A line of result.
pub fn say(line: impl AsRef<str>) {
    // A closed pipe is the reader's choice, not an error of ours.
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// A line of progress, above whatever moves.
pub fn note(line: impl AsRef<str>) {
    MOVING.suspend(|| {
        let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
    });
}

/// An error with its causes, once.
pub fn error(error: &anyhow::Error) {
    note(format!("error: {error}"));
    for cause in error.chain().skip(1) {
        note(format!("  because: {cause}"));
    }
}

/// True when a person can answer a question.
pub fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a yes-or-no question; anything but yes is no.
pub fn confirm(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(_) => matches!(answer.trim(), "y" | "Y" | "yes"),
        Err(_) => false,
    }
}

/// A duration as people read it.
pub fn human(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds @ 1..=9 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        seconds @ 10..=119 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// One step under way. Dropping it without `done` marks it as failed.
pub struct Step {
    title: String,
    /// The newest of what it is at.
    at: Arc<Mutex<String>>,
    began: Instant,
    bar: Option<ProgressBar>,
    heartbeat: Option<(Sender<()>, JoinHandle<()>)>,
    finished: bool,
}

impl Step {
    /// Begins a step; `expectation` tells how long it usually takes, where that is long.
    pub fn begin(title: impl Into<String>, expectation: Option<&str>) -> Step {
        let title = title.into();
        let line = match expectation {
            Some(text) => format!("{title} ({text})"),
            None => title.clone(),
        };
        let (mut bar, mut heartbeat) = (None, None);
        let at = Arc::new(Mutex::new(String::new()));
        if std::io::stderr().is_terminal() {
            let spinner = MOVING.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                spinner.set_style(style);
            }
            spinner.set_message(line);
            spinner.enable_steady_tick(Duration::from_millis(120));
            bar = Some(spinner);
        } else {
            note(format!(".. {line}"));
            let (stop, stopped) = channel();
            let (title, at) = (title.clone(), Arc::clone(&at));
            heartbeat = Some((stop, std::thread::spawn(move || beat(&title, &at, &stopped))));
        }
        Step { title, at, began: Instant::now(), bar, heartbeat, finished: false }
    }

    /// Tells what it is at now: shown on a terminal at once, elsewhere every half minute.
    pub fn at(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {text}", self.title)),
            None => text.clone_into(&mut self.at.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Ends the step; `result` is what a person wants to know of it.
    pub fn done(mut self, result: &str) {
        self.finish("ok", result);
    }

    fn finish(&mut self, mark: &str, result: &str) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            MOVING.remove(&bar);
        }
        if let Some((stop, thread)) = self.heartbeat.take() {
            drop(stop);
            let _ = thread.join();
        }
        let separator = if result.is_empty() { "" } else { ": " };
        note(format!("{mark} {}{separator}{result} [{}]", self.title, human(self.began.elapsed())));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.finish("!!", "did not finish");
    }
}

fn beat(title: &str, at: &Mutex<String>, stopped: &Receiver<()>) {
    let began = Instant::now();
    while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
        let at = at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at = if at.is_empty() { "still working" } else { at.as_str() };
        note(format!(".. {title}: {at} [{}]", human(began.elapsed())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_readable() {
        let texts = [40, 1_234, 42_000, 150_000].map(|ms| human(Duration::from_millis(ms)));
        assert_eq!(texts, ["40 ms", "1.2 s", "42 s", "2 min 30 s"]);
    }
}
