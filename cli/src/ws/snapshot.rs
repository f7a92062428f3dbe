//! `pilot ws snapshot` and `pilot ws fork`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use contracts::snapshot::{ForkWorkspace, Snapshot, TakeSnapshot, in_words};
use contracts::workspace::Accepted;
use contracts::{ErrorCode, Problem, WorkspaceRef};

use super::{ended, finish, parse, show};
use crate::Outcome;
use crate::args::{Fork, Named, SnapshotCommand};
use crate::client::Client;
use crate::ui::Ui;

pub async fn run(client: &Client, command: SnapshotCommand, ui: &mut Ui) -> Result<Outcome, Problem> {
    match command {
        SnapshotCommand::Create { slug, name, no_wait } => {
            let workspace = parse(&slug)?;
            let accepted = client.take_snapshot(&workspace, &TakeSnapshot { name }).await?;
            take(client, &accepted, no_wait, ui).await
        }
        SnapshotCommand::Ls { slug } => list(client, &parse(&slug)?, ui).await,
        SnapshotCommand::Restore(it) => {
            let question = format!(
                "Bring the files of {} back into {}? What is there now is kept as a snapshot.",
                it.id, it.slug
            );
            if !may(&it, &question, ui)? {
                ui.note("Nothing was changed.");
                return Ok(Outcome::Negative);
            }
            let accepted = client.restore_snapshot(&parse(&it.slug)?, &it.id).await?;
            let safety = accepted.operation.snapshot.as_ref().and_then(|work| work.safety.clone());
            let outcome = finish(client, &accepted, it.no_wait, ui).await?;
            if let Some(safety) = safety.filter(|_| !ui.json && outcome == Outcome::Done) {
                ui.note(format!(
                    "Its files of before are in the snapshot {safety}: `pilot ws snapshot restore {} {safety}` brings them back.",
                    it.slug
                ));
            }
            Ok(outcome)
        }
        SnapshotCommand::Rm(it) => {
            if !may(&it, &format!("Remove the snapshot {} of {}, for good?", it.id, it.slug), ui)? {
                ui.note("Nothing was removed.");
                return Ok(Outcome::Negative);
            }
            let accepted = client.remove_snapshot(&parse(&it.slug)?, &it.id).await?;
            if let ControlFlow::Break(outcome) = ended(client, &accepted, it.no_wait, ui).await? {
                return Ok(outcome);
            }
            if !ui.json {
                ui.say(format!("The snapshot {} of {} is removed.", it.id, it.slug));
            }
            Ok(Outcome::Done)
        }
    }
}

pub async fn fork(client: &Client, fork: Fork, ui: &mut Ui) -> Result<Outcome, Problem> {
    let labels: BTreeMap<_, _> = fork.labels.into_iter().collect();
    let wanted = ForkWorkspace {
        slug: fork.new,
        snapshot: fork.snapshot,
        size: fork.size,
        image: fork.image,
        owner: fork.owner,
        labels: Some(labels).filter(|labels| !labels.is_empty()),
    };
    let accepted = client.fork(&parse(&fork.slug)?, &wanted).await?;
    let taken = accepted.operation.snapshot.as_ref().filter(|work| work.after.is_some());
    if let Some(work) = taken.filter(|_| !ui.json) {
        ui.note(format!(
            "A snapshot of {slug} is taken first and kept: `pilot ws snapshot rm {slug} {id}` removes it.",
            slug = fork.slug,
            id = work.id
        ));
    }
    finish(client, &accepted, fork.no_wait, ui).await
}

async fn take(client: &Client, accepted: &Accepted, no_wait: bool, ui: &mut Ui) -> Result<Outcome, Problem> {
    if let ControlFlow::Break(outcome) = ended(client, accepted, no_wait, ui).await? {
        return Ok(outcome);
    }
    let workspace = &accepted.workspace;
    let snapshots = client.snapshots(&WorkspaceRef::Id(workspace.id.clone())).await?.snapshots;
    let asked = accepted.operation.snapshot.as_ref().map(|work| work.id.as_str());
    // A vendor that names them itself has just taken the newest.
    let taken = snapshots.iter().find(|snapshot| Some(snapshot.id.as_str()) == asked).or(snapshots.first());
    match taken {
        Some(taken) if ui.json => ui.document(taken),
        Some(taken) => ui.say(format!(
            "The snapshot {id} of {slug} is taken. `pilot ws snapshot restore {slug} {id}` brings its files back, `pilot ws fork \
             {slug} NEW --snapshot {id}` begins another workspace with them.",
            id = taken.id,
            slug = workspace.slug
        )),
        None => {}
    }
    Ok(Outcome::Done)
}

async fn list(client: &Client, name: &WorkspaceRef, ui: &mut Ui) -> Result<Outcome, Problem> {
    let list = client.snapshots(name).await?;
    if ui.json {
        ui.document(&list);
        return Ok(Outcome::Done);
    }
    if list.snapshots.is_empty() {
        ui.note(format!("{name} has no snapshots. `pilot ws snapshot create {name}` takes one."));
        return Ok(Outcome::Done);
    }
    let is_kept = |snapshot: &Snapshot| snapshot.kept_until.is_some();
    let until = list.snapshots.iter().any(is_kept);
    let row = |snapshot: &Snapshot| {
        let size = snapshot.size.map(in_words).unwrap_or_default();
        let mut row = vec![
            snapshot.id.clone(),
            show::since(snapshot.created_at.as_millisecond()),
            size,
            snapshot.name.clone().unwrap_or_default(),
        ];
        if until {
            let until = snapshot.kept_until.map(|until| format!("{until:.0}"));
            row.insert(3, until.unwrap_or_default());
        }
        row
    };
    let rows: Vec<_> = list.snapshots.iter().map(row).collect();
    match until {
        true => ui.table(&["ID", "AGE", "SIZE", "KEPT UNTIL", "NAME"], &rows),
        false => ui.table(&["ID", "AGE", "SIZE", "NAME"], &rows),
    }
    Ok(Outcome::Done)
}

/// An error where nobody can be asked; false where somebody said no.
fn may(it: &Named, question: &str, ui: &mut Ui) -> Result<bool, Problem> {
    if it.yes {
        return Ok(true);
    }
    if !ui.interactive {
        let detail = "Nobody can be asked here whether that may be done.";
        return Err(Problem::new(ErrorCode::BadRequest, detail)
            .with_action("Say `--yes` to do it without a question."));
    }
    Ok(ui.confirm(question))
}
