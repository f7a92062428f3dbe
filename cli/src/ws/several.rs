//! A change of one workspace or of several. All are asked for it first, so that they change side by side; then each is
//! watched to its end. One that fails keeps no other from its change.

use contracts::workspace::{Accepted, Desired, Observed, Workspace};
use contracts::{ErrorCode, Problem, WorkspaceRef};

use super::{finish, parse};
use crate::args::{Remove, Several};
use crate::client::{Change, Client};
use crate::ui::Ui;
use crate::{Outcome, exit};

pub async fn run(
    client: &Client,
    several: &Several,
    change: Change,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    match wanted(client, several, change, ui).await? {
        Some(names) => ask_all(client, &names, change, several, ui).await,
        None => Ok(nothing(ui)),
    }
}

/// Deletes after a question.
pub async fn delete(client: &Client, remove: Remove, ui: &mut Ui) -> Result<Outcome, Problem> {
    let how = match (remove.forget, remove.purge, remove.deleted) {
        (true, _, false) => Change::Forget,
        (true, _, true) => Change::ForgetKept,
        (_, true, false) => Change::Purge,
        (_, true, true) => Change::PurgeKept,
        _ => Change::Delete,
    };
    if !remove.yes && !ui.interactive {
        let which = match (remove.which.all, remove.deleted) {
            (true, true) => "all that is kept".to_owned(),
            (true, false) => "all workspaces".to_owned(),
            _ => remove.which.slugs.join(", "),
        };
        let detail = format!("Nobody can be asked here whether {which} may be deleted.");
        return Err(Problem::new(ErrorCode::BadRequest, detail)
            .with_action("Say `--yes` to delete without a question."));
    }
    let Some(names) = wanted(client, &remove.which, how, ui).await? else { return Ok(nothing(ui)) };
    if !remove.yes {
        let mut shown = Vec::new();
        for name in &names {
            // Which context is the current one is easily forgotten.
            let context = client.context().map(|name| format!(", context {name}")).unwrap_or_default();
            shown.push(format!("{}{context})", describe(client, &name.name, &remove, names.len()).await?));
        }
        let these = shown.join(", ");
        let question = match how {
            Change::Forget | Change::ForgetKept => {
                format!("Forget {these}, and leave whatever there is of it at its provider?")
            }
            Change::Purge | Change::PurgeKept => format!("Delete {these} with all its files, for good?"),
            _ => format!("Delete {these}?"),
        };
        if !ui.confirm(&question) {
            ui.note("Nothing was deleted.");
            return Ok(Outcome::Negative);
        }
    }
    ask_all(client, &names, how, &remove.which, ui).await
}

/// What a question names it by: its name and where it is, and left open for what else is to be said. One that is deleted is
/// there by its id alone. What is not there is told when it is asked for.
async fn describe(
    client: &Client,
    name: &WorkspaceRef,
    remove: &Remove,
    many: usize,
) -> Result<String, Problem> {
    if remove.deleted && matches!(name, WorkspaceRef::Slug(_)) {
        return Ok(format!("{name} (deleted"));
    }
    match client.workspace(name).await {
        // Of those that are deleted, several had one name.
        Ok(one) if one.home_until.is_some() => {
            Ok(format!("{} ({}, deleted, {}", one.slug, one.id, one.provider))
        }
        Ok(one) => Ok(format!("{} ({}", one.slug, one.provider)),
        Err(problem) if problem.code == ErrorCode::WorkspaceNotFound && remove.purge => {
            Ok(format!("{name} (deleted"))
        }
        Err(problem) if many == 1 => Err(problem),
        Err(problem) => Ok(format!("{name} ({}", problem.code)),
    }
}

/// Which are meant, each once; `None` when it is all of them and none would be changed.
async fn wanted(
    client: &Client,
    several: &Several,
    change: Change,
    ui: &mut Ui,
) -> Result<Option<Vec<Named>>, Problem> {
    let mut names: Vec<Named> = Vec::new();
    for slug in &several.slugs {
        let name = parse(slug)?;
        if names.iter().all(|named| named.name != name) {
            names.push(Named { shown: name.to_string(), name });
        }
    }
    if several.all {
        let kept = matches!(change, Change::PurgeKept | Change::ForgetKept);
        let wanted: &[_] = if kept { &[("deleted", "true".to_owned())] } else { &[] };
        for one in client.workspaces(wanted).await?.workspaces {
            if one.desired == Desired::Deleted && !ends(change) {
                passed_over(one.slug.as_str(), "it is being deleted", ui);
            } else if changes(change, &one) {
                // By id: a successor of a name is not what was asked for.
                names.push(Named { name: one.id.into(), shown: one.slug.to_string() });
            }
        }
    }
    Ok(Some(names).filter(|names| !names.is_empty()))
}

/// As it is asked for, and as it is told of.
struct Named {
    name: WorkspaceRef,
    shown: String,
}

fn ends(change: Change) -> bool {
    match change {
        Change::Delete | Change::Purge | Change::Forget | Change::PurgeKept | Change::ForgetKept => true,
        Change::Start
        | Change::Stop
        | Change::Resume
        | Change::Suspend
        | Change::Hibernate
        | Change::Restart
        | Change::Apply => false,
    }
}

/// Of all of them, this one is no failure.
fn passed_over(name: &str, why: &str, ui: &mut Ui) {
    ui.note(format!("{name}: passed over, {why}."));
}

/// Whether a change would do anything to it. Of all of them, the others are left alone.
fn changes(change: Change, workspace: &Workspace) -> bool {
    let (state, desired) = (workspace.state, workspace.desired);
    match change {
        Change::Start => state != Observed::Ready || desired != Desired::Running,
        Change::Stop => state != Observed::Stopped || desired != Desired::Stopped,
        Change::Resume => desired == Desired::Suspended,
        // What its user has stopped stays stopped.
        Change::Suspend | Change::Hibernate | Change::Restart => desired == Desired::Running,
        Change::Apply
        | Change::Delete
        | Change::Purge
        | Change::Forget
        | Change::PurgeKept
        | Change::ForgetKept => true,
    }
}

fn nothing(ui: &mut Ui) -> Outcome {
    ui.note("There is none to change.");
    Outcome::Done
}

async fn ask_all(
    client: &Client,
    names: &[Named],
    change: Change,
    several: &Several,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    let no_wait = several.no_wait;
    if let ([Named { name, .. }], false) = (names, several.all) {
        return finish(client, &client.change(name, change).await?, no_wait, ui).await;
    }
    let mut first_failure = None;
    let mut accepted: Vec<Accepted> = Vec::new();
    for Named { name, shown } in names {
        match client.change(name, change).await {
            Ok(answer) => accepted.push(answer),
            // Between the list and this call somebody has deleted it.
            Err(problem) if several.all && problem.code == ErrorCode::WorkspaceNotFound => {
                passed_over(shown, "it is gone, or being deleted", ui);
            }
            Err(problem) => failed(shown, Err(problem), &mut first_failure, ui),
        }
    }
    for answer in &accepted {
        let name = answer.workspace.slug.as_str();
        if names.len() > 1 && !no_wait && !ui.json {
            ui.note(format!("{name}:"));
        }
        match finish(client, answer, no_wait, ui).await {
            Ok(Outcome::Interrupted) => return Ok(Outcome::Interrupted),
            Ok(Outcome::Done) => {}
            result => failed(name, result, &mut first_failure, ui),
        }
    }
    Ok(first_failure.map_or(Outcome::Done, Outcome::Told))
}

/// Tells of one that failed; the first one's exit code is the command's.
fn failed(name: &str, result: Result<Outcome, Problem>, first: &mut Option<u8>, ui: &mut Ui) {
    if let Err(problem) = &result {
        if !ui.json {
            ui.note(format!("{name}:"));
        }
        ui.problem(problem);
    }
    first.get_or_insert(exit::of(&result));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::fake::workspace;

    #[test]
    fn all_are_those_that_the_change_is_about() {
        use Change::{Hibernate, Restart, Resume, Start, Stop, Suspend};
        let mut one = workspace("ready");
        let mut are_changed = |desired: &str, state: &str| {
            (one["desired"], one["state"]) = (json!(desired), json!(state));
            let one: Workspace = serde_json::from_value(one.clone()).unwrap();
            let all = [Start, Stop, Restart, Suspend, Hibernate, Resume];
            all.into_iter().filter(|change| changes(*change, &one)).collect::<Vec<_>>()
        };
        assert_eq!(are_changed("running", "ready"), [Stop, Restart, Suspend, Hibernate]);
        assert_eq!(are_changed("running", "failed"), [Start, Stop, Restart, Suspend, Hibernate]);
        assert_eq!(are_changed("stopped", "stopped"), [Start]);
        assert_eq!(are_changed("suspended", "suspended"), [Start, Stop, Resume]);
    }
}
