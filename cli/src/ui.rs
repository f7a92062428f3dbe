//! Where text goes: results to stdout, everything else to stderr. The only file that prints.

mod input;

use std::io::{BufRead, BufReader, Error, ErrorKind, IsTerminal, Read, Write};

use console::{Alignment, Term, measure_text_width, pad_str};
use contracts::{Code, Problem};
use serde::Serialize;

use crate::{Outcome, exit};

type Sink = Box<dyn Write + Send>;

/// Between two columns of a table.
const GAP: &str = "  ";
/// A column that says less than this says nothing.
const NARROWEST: usize = 8;

/// What the user sees.
pub struct Ui {
    out: Sink,
    err: Sink,
    pub json: bool,
    /// True when a person watches: progress may move and questions may be asked.
    pub interactive: bool,
    /// False when whoever reads the results has gone, or there is no room for them.
    pub is_read: bool,
    /// Results are lost that somebody waits for: a full disk, and no reader that has gone.
    pub is_lost: bool,
    /// What a person or a pipe says.
    input: Box<dyn BufRead + Send>,
    /// It is the process's own, which can be looked at without a read.
    is_stdin: bool,
    /// How wide the terminal is that results go to; `None` when they go elsewhere.
    columns: Option<usize>,
}

impl Ui {
    pub fn standard(json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let interactive = !json && !dumb && std::io::stderr().is_terminal();
        let columns = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        let (out, err) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
        Self {
            out,
            err,
            json,
            interactive,
            is_read: true,
            is_lost: false,
            input: Box::new(BufReader::new(std::io::stdin())),
            is_stdin: true,
            columns,
        }
    }

    #[cfg(test)]
    pub fn captured(json: bool, out: Sink, err: Sink) -> Self {
        Self {
            out,
            err,
            json,
            interactive: false,
            is_read: true,
            is_lost: false,
            input: Box::new(std::io::empty()),
            is_stdin: false,
            columns: None,
        }
    }

    #[cfg(test)]
    pub fn hearing(mut self, input: &'static str) -> Self {
        self.input = Box::new(input.as_bytes());
        self
    }

    /// A line of the result. A reader that has gone (`| head`) is no error.
    pub fn say(&mut self, line: impl AsRef<str>) {
        self.text(&format!("{}\n", line.as_ref()));
    }

    /// A part of the result as it is. That it cannot be written is said once, at once: what the command has begun goes on.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// The same for what need not be text.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let Err(error) = self.out.write_all(bytes).and_then(|()| self.out.flush()) else { return };
        self.is_read = false;
        if error.kind() != ErrorKind::BrokenPipe && !std::mem::replace(&mut self.is_lost, true) {
            self.note(lost(&error));
        }
    }

    /// A line about the work, not part of the result.
    pub fn note(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.err, "{}", line.as_ref());
    }

    /// What another program complained, as it is.
    pub fn complaint(&mut self, bytes: &[u8]) {
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
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
        }
        // What went wrong is not lost with the results.
        if self.json && !self.is_lost {
            return;
        }
        self.note(format!("error: {} ({})", problem.title, problem.code));
        self.note(format!("  {}", problem.detail.replace('\n', "\n  ")));
        if let Some(action) = &problem.action {
            self.note(format!("  -> {}", action.replace('\n', "\n     ")));
        }
        let id = problem.request_id.as_ref().map(|id| format!("request {id}; ")).unwrap_or_default();
        self.note(match &problem.code {
            Code::Known(code) => format!("  {id}`pilot explain {code}` says more"),
            Code::Other(_) => {
                format!("  {id}this version of pilot does not know the code: the server is newer")
            }
        });
    }

    /// The problem of an operation that failed: the request itself was answered.
    pub fn failed(&mut self, problem: &Problem) -> Outcome {
        self.problem(problem);
        Outcome::Failed
    }

    /// Columns that are as wide as their widest cell. On a terminal a line fits its width: the cells of what
    /// is widest are cut. A pipe, and the first column, which names what is to be typed next, get all of it.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
        let width = |column: usize| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| measure_text_width(cell))
                .max()
                .unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..head.len()).map(width).collect();
        if let Some(columns) = self.columns {
            fit(&mut widths, columns);
        }
        for line in lines {
            let cells: Vec<_> = line
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| pad_str(cell, width, Alignment::Left, Some("…")))
                .collect();
            self.say(cells.join(GAP).trim_end());
        }
    }

    /// Asks a person; `false` where nobody can answer.
    pub fn confirm(&mut self, question: &str) -> bool {
        let _ = write!(self.err, "{question} [y/N] ").and_then(|()| self.err.flush());
        let mut answer = String::new();
        let read = self.input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// Asks a person for what the terminal must not show.
    pub fn secret(&mut self, question: &str) -> std::io::Result<String> {
        write!(self.err, "{question}: ").and_then(|()| self.err.flush())?;
        Term::stderr().read_secure_line()
    }

    /// Whether something waits at stdin, and nobody has read it.
    pub fn has_unread_input(&mut self) -> bool {
        if self.is_stdin {
            return input::waits(std::io::stdin());
        }
        self.input.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// What a pipe says, up to so many bytes: a file that was meant otherwise is not read to its end.
    pub fn piped(&mut self, most: u64) -> std::io::Result<String> {
        let mut text = String::new();
        self.input.by_ref().take(most).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// What clap has to say, wrong usage or the help that was asked for, and the exit code of it.
pub fn usage(error: &clap::Error) -> u8 {
    match error.print() {
        Err(unwritten) if unwritten.kind() != ErrorKind::BrokenPipe && !error.use_stderr() => {
            let _ = writeln!(std::io::stderr(), "{}", lost(&unwritten));
            exit::FAILED
        }
        _ => u8::try_from(error.exit_code()).unwrap_or(exit::FAILED),
    }
}

fn lost(error: &Error) -> String {
    format!("error: stdout cannot be written: {error}")
}

/// Takes from the widest column, never the first, until a line fits or nothing can be taken.
fn fit(widths: &mut [usize], columns: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns);
    while over > 0 {
        let widest = widths.iter_mut().skip(1).max().filter(|width| **width > NARROWEST);
        let Some(widest) = widest else { return };
        *widest -= 1;
        over -= 1;
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
    fn a_line_fits_the_terminal_and_the_first_column_stays_whole() {
        let mut widths = [12, 30, 10, 40];
        fit(&mut widths, 60);
        assert_eq!((widths, widths.iter().sum::<usize>() + 3 * GAP.len()), ([12, 16, 10, 16], 60));
        fit(&mut widths, 10);
        assert_eq!(widths, [12, NARROWEST, NARROWEST, NARROWEST]);
        let mut narrow = [4, 5];
        fit(&mut narrow, 80);
        assert_eq!(narrow, [4, 5]);
    }

    #[test]
    fn cells_are_cut_on_a_terminal_and_never_in_a_pipe() {
        let row = vec!["a".to_owned(), "a long long cell".to_owned(), "x".to_owned()];
        let shown = |columns| {
            let out = crate::tests::fake::Memory::default();
            let mut ui = Ui::captured(false, Box::new(out.clone()), Box::new(std::io::sink()));
            ui.columns = columns;
            ui.table(&["NAME", "TEXT", "Z"], std::slice::from_ref(&row));
            out.text()
        };
        assert_eq!(shown(Some(19)), "NAME  TEXT        Z\na     a long lo…  x\n");
        assert!(shown(None).contains("a long long cell"));
    }

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
