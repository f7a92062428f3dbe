//! What a check prints: a line for each promise and a sum, or the same as JSON. The only file that prints.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use contracts::Problem;
use indicatif::{ProgressBar, ProgressStyle};
use provider_api::conformance::{Checked, Verdict};
use serde::Serialize;
use serde_json::json;

/// A report under way.
pub struct Report<'a> {
    provider: &'a str,
    json: bool,
    /// Where a person watches.
    bar: Option<ProgressBar>,
}

impl<'a> Report<'a> {
    /// Says how many promises there are.
    pub fn begin(provider: &'a str, promises: usize, json: bool) -> Self {
        if !json {
            say(&format!("{promises} promises of the provider {provider}"));
        }
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let watched = !json && !dumb && std::io::stderr().is_terminal();
        Self { provider, json, bar: watched.then(|| bar(promises)) }
    }

    /// A promise begins to be checked.
    pub fn begins(&self, case: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(words(case));
        }
    }

    /// A promise was checked.
    pub fn shows(&self, checked: &Checked) {
        let Some(bar) = &self.bar else { return self.line(checked) };
        bar.suspend(|| self.line(checked));
        bar.inc(1);
    }

    /// The sum; whether every promise is kept.
    pub fn ends(self, report: &[Checked]) -> bool {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let count = |is: fn(&Verdict) -> bool| report.iter().filter(|checked| is(&checked.verdict)).count();
        let passed = count(|verdict| matches!(verdict, Verdict::Passed));
        let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let left_out = count(|verdict| matches!(verdict, Verdict::NotApplicable(_)));
        let took: Duration = report.iter().map(|checked| checked.took).sum();
        if self.json {
            document(&json!({ "provider": self.provider, "passed": passed, "failed": failed,
                "notApplicable": left_out, "millis": took.as_millis() as u64 }));
        } else {
            say(&format!("{passed} ok, {failed} failed, {left_out} not applicable, in {}", human(took)));
        }
        failed == 0
    }

    fn line(&self, checked: &Checked) {
        let (verdict, why) = match &checked.verdict {
            Verdict::Passed => ("ok", None),
            Verdict::Failed(why) => ("failed", Some(why)),
            Verdict::NotApplicable(why) => ("notApplicable", Some(why)),
        };
        if self.json {
            let millis = checked.took.as_millis() as u64;
            document(&json!({ "case": checked.name, "verdict": verdict, "why": why, "millis": millis }));
            return;
        }
        let (name, took) = (words(checked.name), human(checked.took));
        say(&match &checked.verdict {
            Verdict::Passed => format!("ok      {name} ({took})"),
            Verdict::Failed(why) => {
                format!("FAILED  {name} ({took}):\n        {}", why.trim().replace('\n', "\n        "))
            }
            Verdict::NotApplicable(why) => format!("-       {name}: not applicable: {why}"),
        });
    }
}

/// An error, for people or for programs.
pub fn problem(problem: &Problem, json: bool) {
    if json {
        return document(problem);
    }
    let mut text = format!("error: {} ({})\n  {}", problem.title, problem.code, problem.detail);
    if let Some(action) = &problem.action {
        text.push_str(&format!("\n  -> {}", action.replace('\n', "\n     ")));
    }
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A reader that has gone (`| head`) is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn document(value: &impl Serialize) {
    say(&serde_json::to_string(value).unwrap_or_default());
}

fn words(case: &str) -> String {
    case.replace('_', " ")
}

fn human(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds @ 1..60 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn bar(cases: usize) -> ProgressBar {
    let bar = ProgressBar::new(cases as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
