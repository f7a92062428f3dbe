//! `pilot ws logs`: the end of an instance's log, and with `-f` what comes after it. The server gives ends only, so what
//! is new is found by where the end that was seen stands in the next one.

use std::time::Duration;

use contracts::stack::LogTail;
use contracts::{ErrorCode, Problem, WorkspaceRef};
use tokio::time::{Instant, sleep};

use crate::Outcome;
use crate::args::Logs;
use crate::client::Client;
use crate::ui::Ui;

const PAUSE: Duration = Duration::from_secs(1);
/// How long a server may be away before its absence is the answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How much is asked for at a time while following: what comes within a pause should fit.
const WINDOW: u64 = 64 * 1024;
/// As much as the server gives.
const MOST: u64 = 1024 * 1024;
/// What is common to two ends and shorter than this may be chance: an empty line, a word that is often there.
const CHANCE: usize = 32;

pub async fn run(client: &Client, logs: &Logs, ui: &mut Ui) -> Result<Outcome, Problem> {
    let name = super::parse(&logs.slug)?;
    if logs.follow {
        return tokio::select! {
            ended = follow(client, &name, logs.bytes, ui) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Outcome::Interrupted),
        };
    }
    let tail = client.logs(&name, logs.bytes).await?;
    if ui.json {
        ui.document(&tail);
        return Ok(Outcome::Done);
    }
    match tail.text.trim_end_matches('\n') {
        "" if tail.ended.is_none() => {
            ui.note(format!(
                "There is nothing in the log of {name}: its instance has not run, or was made anew."
            ));
        }
        "" => {}
        text => ui.say(text),
    }
    tail.ended.iter().for_each(|how| note_end(how, ui));
    Ok(Outcome::Done)
}

async fn follow(client: &Client, name: &WorkspaceRef, bytes: u64, ui: &mut Ui) -> Result<Outcome, Problem> {
    let workspace = client.workspace(name).await?;
    // A successor of the name has another log.
    let name = WorkspaceRef::Id(workspace.id);
    let window = bytes.clamp(WINDOW, MOST);
    let first = client.logs(&name, window).await?;
    let (mut seen, mut ended) = (whole(first.text), first.ended);
    let mut is_read = show(last(&seen, bytes), &ended, ui);
    let mut heard = Instant::now();
    // Whoever has read enough (`| head`) has gone.
    while is_read {
        sleep(PAUSE).await;
        let now = match client.logs(&name, window).await {
            Ok(tail) => tail,
            Err(problem) if problem.code == ErrorCode::WorkspaceNotFound => {
                ui.note(format!("{} is deleted.", workspace.slug));
                break;
            }
            Err(problem) if problem.retryable && heard.elapsed() < TIMEOUT => continue,
            Err(problem) => return Err(problem),
        };
        heard = Instant::now();
        // Said once, when it ends.
        let news = now.ended.clone().filter(|_| now.ended != ended);
        ended = now.ended;
        let now = whole(now.text);
        // An instance that is being made anew, as by an update, has no log for a moment: nothing is new yet.
        if now.is_empty() && !seen.is_empty() {
            continue;
        }
        let start = match since(&seen, &now) {
            Since::At(start) => start,
            Since::Unknown if now.len() < window as usize / 2 => {
                ui.note("... the log begins anew");
                0
            }
            Since::Unknown => {
                ui.note("... some lines were not seen");
                0
            }
        };
        is_read = show(now.get(start..).unwrap_or_default(), &news, ui);
        seen = now;
    }
    Ok(Outcome::Done)
}

/// Without a character at its end of which only a part was written yet.
fn whole(text: String) -> String {
    text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned()
}

/// False when nobody reads any more.
fn show(text: &str, ended: &Option<String>, ui: &mut Ui) -> bool {
    match ui.json {
        _ if text.is_empty() && ended.is_none() => {}
        true => ui.document(&LogTail { text: text.to_owned(), ended: ended.clone() }),
        false => {
            ui.text(text);
            ended.iter().for_each(|how| note_end(how, ui));
        }
    }
    ui.is_read
}

/// Not a line of the log, and so not among them.
fn note_end(how: &str, ui: &mut Ui) {
    ui.note(format!("... {how}"));
}

/// The last lines that fit.
fn last(text: &str, bytes: u64) -> &str {
    let fits = |start: usize| (text.len() - start) as u64 <= bytes;
    let start = line_starts(text).find(|&start| fits(start));
    start.and_then(|start| text.get(start..)).unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum Since {
    /// What is new begins here.
    At(usize),
    /// Nothing of what was seen is there: another log, or too much has come.
    Unknown,
}

/// Where in the new end that begins which was not in the old one.
fn since(old: &str, new: &str) -> Since {
    if new.starts_with(old) {
        return Since::At(old.len());
    }
    // An end begins with a whole line, so the old one is cut where a line begins: the longest rest counts.
    let rests = line_starts(old).filter_map(|start| old.get(start..));
    let known = rests.take_while(|rest| rest.len() >= CHANCE).find(|rest| new.starts_with(rest));
    known.map_or(Since::Unknown, |rest| Since::At(rest.len()))
}

fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(range: std::ops::Range<u32>) -> String {
        range.map(|number| format!("line {number} of the log\n")).collect()
    }

    #[test]
    fn what_is_new_begins_where_the_old_end_stops() {
        let old = lines(0..100);
        assert_eq!(since("", &old), Since::At(0));
        assert_eq!(since(&old, &old), Since::At(old.len()));
        assert_eq!(since(&old, &lines(0..120)), Since::At(old.len()), "it was all of the log");
        let known = lines(40..100).len();
        assert_eq!(since(&old, &lines(40..130)), Since::At(known), "the new end begins later");
    }

    #[test]
    fn a_line_that_was_not_whole_yet_goes_on() {
        let old = lines(0..10) + "half of ";
        let new = lines(5..10) + "half of a line: ü\n";
        let Since::At(start) = since(&old, &new) else { panic!() };
        assert_eq!(&new[start..], "a line: ü\n");
        assert_eq!(whole("a \u{fffd}".to_owned()), "a ");
    }

    #[test]
    fn repeated_lines_are_counted_and_not_taken_for_seen() {
        let beat = "the same line again and again\n";
        assert_eq!(since(&beat.repeat(3), &beat.repeat(5)), Since::At(beat.len() * 3));
        let old = "first\n".to_owned() + &beat.repeat(4);
        assert_eq!(since(&old, &(beat.repeat(4) + "new\n")), Since::At(beat.len() * 4));
    }

    #[test]
    fn another_log_is_not_joined_by_chance() {
        assert_eq!(since(&(lines(0..50) + "\n"), &("\n".to_owned() + &lines(900..950))), Since::Unknown);
        assert_eq!(since(&lines(0..50), "booting\n"), Since::Unknown);
    }

    #[test]
    fn the_first_look_shows_as_much_as_was_asked_for() {
        assert_eq!(
            (last("one\ntwo\n", 5), last("one\ntwo\n", 100), last("one\ntwo\n", 0)),
            ("two\n", "one\ntwo\n", "")
        );
    }
}
