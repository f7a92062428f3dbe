//! Running other programs: quietly, captured, or with their output in a log whose end is shown when they
//! fail. Nothing here knows what the programs are for.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// How many lines of a failed program's output are worth showing.
const TAIL_LINES: usize = 25;

/// Runs with our own stdin, stdout and stderr.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs and returns what it wrote to stdout.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        // Programs that were asked for JSON tell their error on stdout.
        let said = [&output.stdout, &output.stderr].map(|text| tail(&String::from_utf8_lossy(text)));
        bail!("`{}` failed: {}\n{}", shown(command), output.status, said.join("\n").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs with each line of stderr given to `line` as it comes; stdout is ours.
pub fn followed(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| cannot_start(command))?;
    if let Some(stderr) = child.stderr.take() {
        for text in std::io::BufReader::new(stderr).split(b'\n') {
            line(&String::from_utf8_lossy(&text.with_context(|| shown(command))?));
        }
    }
    let status = child.wait().with_context(|| shown(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Does both at once, each in a thread, and waits for both even when one fails: half of what another program
/// writes is of no use. The first error counts.
pub fn both<A: Send, B: Send>(
    one: impl FnOnce() -> Result<A> + Send,
    other: impl FnOnce() -> Result<B> + Send,
) -> Result<(A, B)> {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        let one = one.join().map_err(|_| anyhow!("a thread of xtask ended in a panic"))?;
        Ok((one?, other?))
    })
}

/// Runs without a trace and tells whether it succeeded; a missing program is a failure.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs with all output in `log`; a failure carries the log's end.
pub fn logged(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let file = File::create(log).with_context(|| log.display().to_string())?;
    let twin = file.try_clone().with_context(|| log.display().to_string())?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(twin)
        .status()
        .with_context(|| cannot_start(command))?;
    if !status.success() {
        let said = std::fs::read(log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        bail!("`{}` failed: {status}\n{}\n(all of it: {})", shown(command), tail(&said), log.display());
    }
    Ok(())
}

/// The last lines of a text.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// The command as a person would type it, without its environment.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`; is it installed and on PATH?", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_shows_the_end_of_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("deep/run.log");
        let error =
            logged(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), &log).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("one\ntwo") && text.contains("run.log"), "{text}");
    }

    #[test]
    fn a_captured_program_that_fails_tells_why_on_whichever_stream() {
        let error =
            capture(Command::new("sh").args(["-c", "echo json; echo words >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("json\nwords"), "{error}");
    }

    #[test]
    fn a_followed_program_gives_every_line_and_its_failure() {
        let mut lines = Vec::new();
        let mut program = Command::new("sh");
        let failed = followed(program.args(["-c", "echo one >&2; echo two >&2; exit 3"]), |line| {
            lines.push(line.to_owned());
        });
        assert!(failed.is_err());
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn of_two_things_at_once_both_end_and_an_error_of_either_is_told() {
        assert_eq!(both(|| Ok(1), || Ok("two")).unwrap(), (1, "two"));
        let mut ended = false;
        let failed = both(
            || bail!("first"),
            || {
                ended = true;
                Ok(())
            },
        );
        assert!(failed.map(|((), ())| ()).unwrap_err().to_string().contains("first") && ended);
        assert!(both(|| Ok(()), || -> Result<()> { bail!("second") }).is_err());
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = capture(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"));
        assert!(!succeeds(&mut Command::new("no-such-program-here")));
    }
}
