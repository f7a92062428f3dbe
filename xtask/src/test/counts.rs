//! Counting what test programs print, line by line: Rust's libtest and `go test -v`.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{process, ui};

/// Runs a test command; its output is passed on as it comes, and each line is read by `read`.
pub fn counted(command: &mut Command, read: fn(&mut Counts, &str)) -> Result<Counts> {
    let shown = process::shown(command);
    ui::note(format!("$ {shown}"));
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot start `{shown}`"))?;
    let Some(output) = child.stdout.take() else { bail!("`{shown}` has no output") };
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        read(&mut counts, &line);
        ui::say(&line);
    }
    let status = child.wait()?;
    // A test binary that dies, or code that does not compile, leaves no count of its own.
    if !status.success() && counts.failed == 0 {
        counts.failed = 1;
        counts.failures.push(format!("`{shown}` ended with {status}, see above"));
    }
    Ok(counts)
}

/// The sum of some test binaries.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Names of failed tests.
    pub failures: Vec<String>,
    /// Skipped tests, with the reason where one is given.
    pub reasons: Vec<String>,
}

impl Counts {
    /// Reads one line of a test binary's output.
    pub fn read(&mut self, line: &str) {
        if let Some(summary) = line.strip_prefix("test result: ") {
            self.passed += number_before(summary, " passed");
            self.failed += number_before(summary, " failed");
            self.skipped += number_before(summary, " ignored");
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            if outcome == "FAILED" {
                self.failures.push(name.to_owned());
            } else if let Some(reason) = outcome.strip_prefix("ignored") {
                let reason = reason.trim_start_matches([',', ' ']);
                self.reasons
                    .push(format!("{name} ({})", if reason.is_empty() { "no reason given" } else { reason }));
            }
        }
    }

    /// Reads one line of `go test -v`. Subtests are indented, and part of the test above them.
    pub fn read_go(&mut self, line: &str) {
        let Some((outcome, name)) = line.strip_prefix("--- ").and_then(|rest| rest.split_once(": ")) else {
            return;
        };
        let name = name.split(' ').next().unwrap_or(name).to_owned();
        match outcome {
            "PASS" => self.passed += 1,
            "FAIL" => {
                self.failed += 1;
                self.failures.push(name);
            }
            _ => {
                self.skipped += 1;
                self.reasons.push(name);
            }
        }
    }

    /// Adds another sum to this one.
    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.reasons.extend(other.reasons);
    }

    /// How many tests really ran.
    pub fn ran(&self) -> u64 {
        self.passed + self.failed
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().filter(|before| before.len() < text.len());
    before.and_then(|before| before.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_are_summed() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a::works ... ok",
            "test a::breaks ... FAILED",
            "test a::later ... ignored, needs an account",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.1s",
        ] {
            counts.read(line);
        }
        assert_eq!(counts.to_string(), "41 passed, 1 failed, 1 skipped");
        assert_eq!(counts.failures, ["a::breaks"]);
        assert_eq!(counts.reasons, ["a::later (needs an account)"]);
        assert_eq!(counts.ran(), 42);
    }

    #[test]
    fn what_go_prints_is_counted_without_subtests() {
        let mut counts = Counts::default();
        for line in [
            "=== RUN   TestATornTailIsDropped",
            "--- PASS: TestATornTailIsDropped (0.02s)",
            "    --- PASS: TestATornTailIsDropped/byte_1 (0.00s)",
            "--- FAIL: TestB (1.00s)",
            "--- SKIP: TestC (0.00s)",
            "FAIL",
            "ok  \tpilot/engine/host/state\t1.2s",
        ] {
            counts.read_go(line);
        }
        assert_eq!(counts.to_string(), "1 passed, 1 failed, 1 skipped");
        assert_eq!((counts.failures, counts.reasons), (vec!["TestB".to_owned()], vec!["TestC".to_owned()]));
    }
}
