//! `pilot rollout`: many workspaces get another image.

use std::time::{Duration, Instant};

use contracts::rollout::{Member, MemberState, Rollout as Seen, RolloutState, SkipReason, StartRollout};
use contracts::workspace::Image;
use contracts::{ErrorCode, Problem, RolloutId};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Outcome;
use crate::args::{Folders, Rollout, RolloutCommand};
use crate::client::Client;
use crate::connection::connect;
use crate::ui::{Ui, duration};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a server may be away before its absence is the answer.
const TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run(rollout: Rollout, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&rollout.connection, folders).await?;
    match rollout.command {
        None => {
            let start = rollout.start;
            let wanted =
                StartRollout { image: start.image, provider: start.provider, at_once: start.at_once };
            let begun = client.start_rollout(&wanted).await?;
            follow_unless(start.no_wait, &client, begun, ui).await
        }
        Some(RolloutCommand::Ls) => list(&client, ui).await,
        Some(RolloutCommand::Show { id }) => {
            show(&client.rollout(&parse(&id)?).await?, ui);
            Ok(Outcome::Done)
        }
        Some(RolloutCommand::Watch { id }) => {
            let seen = client.rollout(&parse(&id)?).await?;
            follow_unless(false, &client, seen, ui).await
        }
        Some(RolloutCommand::Stop { id }) => {
            show(&client.change_rollout(&parse(&id)?, "cancel").await?, ui);
            Ok(Outcome::Done)
        }
        Some(RolloutCommand::Back { id, no_wait }) => {
            let begun = client.change_rollout(&parse(&id)?, "rollback").await?;
            follow_unless(no_wait, &client, begun, ui).await
        }
    }
}

fn parse(id: &str) -> Result<RolloutId, Problem> {
    id.parse().map_err(|error: contracts::ids::InvalidName| {
        Problem::new(ErrorCode::BadRequest, format!("{error}."))
            .with_action("`pilot rollout ls` lists rollouts.")
    })
}

async fn list(client: &Client, ui: &mut Ui) -> Result<Outcome, Problem> {
    let list = client.rollouts().await?;
    if ui.json {
        ui.document(&list);
        return Ok(Outcome::Done);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let row = |one: &Seen| {
        let counts = &one.counts;
        let all = counts.waiting + counts.running + counts.updated + counts.failed + counts.skipped;
        let age = duration(now - one.created_at.as_millisecond());
        let (id, provider, state) = (one.id.to_string(), one.provider.to_string(), one.state.as_str());
        vec![id, provider, what(one), state.to_owned(), format!("{}/{all}", counts.updated), age]
    };
    let rows: Vec<_> = list.rollouts.iter().map(row).collect();
    ui.table(&["ID", "PROVIDER", "IMAGE", "STATE", "UPDATED", "AGE"], &rows);
    Ok(Outcome::Done)
}

fn what(rollout: &Seen) -> String {
    match (&rollout.image, &rollout.rolls_back) {
        (Some(image), _) => image.reference.clone(),
        (None, Some(back)) => format!("back from {back}"),
        (None, None) => String::new(),
    }
}

fn show(rollout: &Seen, ui: &mut Ui) {
    if ui.json {
        ui.document(rollout);
        return;
    }
    ui.say(format!("{} {}: {}", rollout.id, what(rollout), words(rollout)));
    if let Some(problem) = &rollout.error {
        ui.say(format!("  {}", problem.to_string().replace('\n', "\n  ")));
    }
    let row = |member: &Member| {
        let operation = member.operation.as_ref().map(ToString::to_string).unwrap_or_default();
        let (before, target) = names(member);
        let reason = member.reason.map(reason).unwrap_or_default().to_owned();
        vec![member.slug.to_string(), member.state.as_str().to_owned(), reason, before, target, operation]
    };
    let rows: Vec<_> = rollout.members.iter().map(row).collect();
    ui.table(&["WORKSPACE", "STATE", "REASON", "BEFORE", "AFTER", "OPERATION"], &rows);
}

/// Why it was left as it is.
fn reason(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Had => "has it already",
        SkipReason::Changed => "was changed since",
        SkipReason::Deleted => "is deleted",
        SkipReason::Gone => "is gone",
        SkipReason::HomeGone => "its home is gone",
        SkipReason::Ended => "its turn did not come",
    }
}

/// What a member was and is to be made from: by digests where one name stood for two images. One that was skipped stays
/// what it is; a Pilot that gave no reason did not look what that was.
fn names(member: &Member) -> (String, String) {
    const NONE: &str = "-";
    if member.state == MemberState::Skipped {
        let found = member.before.as_ref().filter(|_| member.reason.is_some());
        return (found.map_or(NONE, |found| &found.reference).to_owned(), NONE.to_owned());
    }
    let Some(before) = &member.before else { return (NONE.to_owned(), member.target.reference.clone()) };
    let is_same = before.reference == member.target.reference;
    let name = |image: &Image| match &image.digest {
        Some(digest) if is_same => format!("{} ({})", image.reference, short(digest)),
        _ => image.reference.clone(),
    };
    (name(before), name(&member.target))
}

/// As many digits as people compare, behind the algorithm.
fn short(digest: &str) -> &str {
    let begin = digest.find(':').map_or(0, |colon| colon + 1);
    digest.get(..begin + 12).unwrap_or(digest)
}

fn words(rollout: &Seen) -> String {
    let counts = &rollout.counts;
    let has_it = |member: &&Member| member.reason == Some(SkipReason::Had);
    let had = u32::try_from(rollout.members.iter().filter(has_it).count()).unwrap_or(u32::MAX);
    let counted = [
        (counts.updated, "updated"),
        (had, "had it already"),
        (counts.running, "under way"),
        (counts.waiting, "waiting"),
        (counts.failed, "failed"),
        (counts.skipped.saturating_sub(had), "left as they are"),
    ];
    let counted =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    [rollout.state.as_str().to_owned()].into_iter().chain(counted).collect::<Vec<_>>().join(", ")
}

async fn follow_unless(no_wait: bool, client: &Client, begun: Seen, ui: &mut Ui) -> Result<Outcome, Problem> {
    let id = begun.id.clone();
    if no_wait {
        match ui.json {
            true => ui.document(&begun),
            false => ui.say(format!("Accepted as {id}; `pilot rollout watch {id}` follows it.")),
        }
        return Ok(Outcome::Done);
    }
    let bar = ui.interactive.then(bar);
    let followed = tokio::select! {
        followed = follow(client, begun, bar.as_ref(), ui) => Some(followed),
        _ = tokio::signal::ctrl_c() => None,
    };
    bar.iter().for_each(ProgressBar::finish_and_clear);
    let Some(followed) = followed else {
        ui.note(format!(
            "The rollout goes on; `pilot rollout watch {id}` shows it again, `pilot rollout stop {id}` ends it."
        ));
        return Ok(Outcome::Interrupted);
    };
    let seen = followed?;
    match (ui.json, &seen.error) {
        (true, _) => ui.document(&seen),
        (false, Some(problem)) => return Ok(ui.failed(problem)),
        (false, None) => ui.say(format!("{id}: {}.", words(&seen))),
    }
    Ok(if seen.state == RolloutState::Failed { Outcome::Failed } else { Outcome::Done })
}

/// Tells of each workspace once, when its turn is over.
async fn follow(
    client: &Client,
    begun: Seen,
    bar: Option<&ProgressBar>,
    ui: &mut Ui,
) -> Result<Seen, Problem> {
    let mut told = vec![MemberState::Waiting; begun.members.len()];
    let (mut seen, mut heard) = (begun, Instant::now());
    loop {
        for (member, told) in seen.members.iter().zip(&mut told) {
            // Of one that has ended, the rest is counted in its last line.
            let is_rest = seen.state != RolloutState::Running && member.state == MemberState::Skipped;
            let is_over = !matches!(member.state, MemberState::Waiting | MemberState::Running) && !is_rest;
            if is_over && *told != member.state && !ui.json {
                let line = format!("  {:<10} {}", member.state.as_str(), member.slug);
                match bar {
                    Some(bar) => bar.suspend(|| ui.say(line)),
                    None => ui.say(line),
                }
            }
            *told = member.state;
        }
        if let Some(bar) = bar {
            let counts = &seen.counts;
            bar.set_length(seen.members.len() as u64);
            bar.set_position(u64::from(counts.updated + counts.failed + counts.skipped));
        }
        if seen.state != RolloutState::Running {
            return Ok(seen);
        }
        tokio::time::sleep(PAUSE).await;
        match client.rollout(&seen.id).await {
            Ok(newer) => (seen, heard) = (newer, Instant::now()),
            Err(problem)
                if problem.code == ErrorCode::OrchestratorUnreachable && heard.elapsed() < TIMEOUT => {}
            Err(problem) => return Err(problem),
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // The template is a constant; should it ever be wrong, the default one is shown.
    if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(before: (&str, Option<&str>), target: (&str, Option<&str>)) -> Member {
        let image = |(reference, digest): (&str, Option<&str>)| Image {
            digest: digest.map(str::to_owned),
            ..Image::named(reference)
        };
        Member {
            workspace_id: contracts::WorkspaceId::random(),
            slug: "demo".parse().unwrap(),
            state: MemberState::Updated,
            reason: None,
            before: Some(image(before)),
            target: image(target),
            operation: None,
        }
    }

    #[test]
    fn two_images_of_one_name_are_told_apart_by_short_digests() {
        let (one, two) = ("sha256:1b18f1cd0aa0ffff", "sha256:2b18f1cd0aa0ffff");
        let shown = names(&member(("x:1", Some(one)), ("x:1", Some(two))));
        assert_eq!(shown, ("x:1 (sha256:1b18f1cd0aa0)".to_owned(), "x:1 (sha256:2b18f1cd0aa0)".to_owned()));
        let shown = names(&member(("x:1", Some(one)), ("x:2", Some(two))));
        assert_eq!(shown, ("x:1".to_owned(), "x:2".to_owned()));
        let shown = names(&member(("x:1", None), ("x:1", Some("odd"))));
        assert_eq!(shown, ("x:1".to_owned(), "x:1 (odd)".to_owned()));
    }

    #[test]
    fn one_that_was_skipped_shows_what_it_is_and_nothing_that_comes() {
        let skipped =
            |reason| Member { state: MemberState::Skipped, reason, ..member(("x:3", None), ("x:1", None)) };
        let shown = |member: &Member| names(member);
        assert_eq!(shown(&skipped(Some(SkipReason::Changed))), ("x:3".to_owned(), "-".to_owned()));
        let gone = Member { before: None, ..skipped(Some(SkipReason::Gone)) };
        assert_eq!(shown(&gone), ("-".to_owned(), "-".to_owned()));
        assert_eq!(shown(&skipped(None)), ("-".to_owned(), "-".to_owned()), "an older one did not look");
    }
}
