//! Where text goes: results to stdout, everything else to stderr. The only file that prints.

use std::io::{IsTerminal, Write};

use contracts::Problem;
use serde::Serialize;

type Sink = Box<dyn Write + Send>;

/// What the user sees.
pub struct Ui {
    out: Sink,
    err: Sink,
    pub json: bool,
    /// True when a person watches: progress may move and questions may be asked.
    pub interactive: bool,
}

impl Ui {
    pub fn standard(json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let interactive = !json && !dumb && std::io::stderr().is_terminal();
        Self { out: Box::new(std::io::stdout()), err: Box::new(std::io::stderr()), json, interactive }
    }

    #[cfg(test)]
    pub fn captured(json: bool, out: Sink, err: Sink) -> Self {
        Self { out, err, json, interactive: false }
    }

    /// A line of the result. A reader that has gone (`| head`) is no error.
    pub fn say(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.out, "{}", line.as_ref()).and_then(|()| self.out.flush());
    }

    /// A line about the work, not part of the result.
    pub fn note(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.err, "{}", line.as_ref());
    }

    /// One JSON document on one line.
    pub fn document(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.say(text),
            Err(error) => self.note(format!("error: an answer cannot be written as JSON: {error}")),
        }
    }

    /// An error, for people or for programs.
    pub fn problem(&mut self, problem: &Problem) {
        if self.json {
            self.document(problem);
            return;
        }
        self.note(format!("error: {} ({})", problem.title, problem.code));
        self.note(format!("  {}", problem.detail.replace('\n', "\n  ")));
        if let Some(action) = &problem.action {
            self.note(format!("  -> {}", action.replace('\n', "\n     ")));
        }
        let id = problem.request_id.as_ref().map(|id| format!("request {id}; ")).unwrap_or_default();
        self.note(format!("  {id}`pilot explain {}` says more", problem.code));
    }

    /// Columns that are as wide as their widest cell.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
        let width = |column: usize| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for line in lines {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            self.say(cells.join("  ").trim_end());
        }
    }

    /// Asks a person; `false` where nobody can answer.
    pub fn confirm(&mut self, question: &str) -> bool {
        let _ = write!(self.err, "{question} [y/N] ").and_then(|()| self.err.flush());
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

/// `3.2 s`, `450 ms`, `4 min 5 s`, `3 h`, `2 d`.
pub fn duration(millis: i64) -> String {
    let millis = millis.max(0);
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
        3_600_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_person_says_them() {
        for (millis, text) in [
            (-5, "0 ms"),
            (450, "450 ms"),
            (3_249, "3.2 s"),
            (245_000, "4 min 5 s"),
            (7_300_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }
}
