//! The cases as a report, for a program that runs them without a test harness.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{CASES, Case, NewFixture, run};

/// What became of one case.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The case's name.
    pub name: &'static str,
    /// How long it took with its world.
    pub took: Duration,
    /// Whether the promise is kept.
    pub verdict: Verdict,
}

/// Whether a promise is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Passed,
    /// It is not, and why.
    Failed(String),
    /// It means nothing for this provider, and why.
    NotApplicable(String),
}

/// Runs the cases whose names contain `pattern`, one after the other. `begin` and `end` are told of each.
/// Until it returns, no panic of this program is printed: they are the failures that it reports.
pub async fn check(
    fixture: NewFixture,
    pattern: &str,
    mut begin: impl FnMut(&'static str),
    mut end: impl FnMut(&Checked),
) -> Vec<Checked> {
    let watch = PanicWatch::begin();
    let mut report = Vec::new();
    for case in CASES.iter().filter(|case| case.name.contains(pattern)) {
        begin(case.name);
        let started = Instant::now();
        let verdict = one(fixture.clone(), *case).await.unwrap_or_else(|panic| {
            Verdict::Failed(format!("{}{}", said(panic.as_ref()), watch.take_place()))
        });
        let checked = Checked { name: case.name, took: started.elapsed(), verdict };
        end(&checked);
        report.push(checked);
    }
    report
}

async fn one(fixture: NewFixture, case: Case) -> Result<Verdict, Box<dyn Any + Send>> {
    let proof = tokio::spawn(async move {
        let fixture = fixture().await;
        if let Some(reason) = case.requires.missing(&fixture) {
            fixture.backdoor.sweep(&fixture.installation).await;
            return Verdict::NotApplicable(reason.to_owned());
        }
        run(fixture, case.run).await;
        Verdict::Passed
    });
    proof.await.map_err(|failed| failed.into_panic())
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

/// Keeps the place of the first panic instead of printing it, and gives the old hook back in the end.
struct PanicWatch {
    place: Arc<Mutex<Option<String>>>,
    before: Option<Hook>,
}

impl PanicWatch {
    fn begin() -> Self {
        let before = std::panic::take_hook();
        let place: Arc<Mutex<Option<String>>> = Arc::default();
        let kept = place.clone();
        std::panic::set_hook(Box::new(move |info| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let (None, Some(location)) = (kept.as_ref(), info.location()) {
                *kept = Some(format!("\n(at {}:{})", location.file(), location.line()));
            }
        }));
        Self { place, before: Some(before) }
    }

    fn take_place(&self) -> String {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if let (Some(before), false) = (self.before.take(), std::thread::panicking()) {
            std::panic::set_hook(before);
        }
    }
}
