//! Update: another image or size for what exists. The home stays, and so does what its user wants: what is stopped stays so.

use std::sync::Arc;

use contracts::operation::{Phase, Update};
use contracts::workspace::Observed;
use contracts::{ErrorCode, Problem};

use super::apply::apply;
use super::run::Run;
use super::{home, shared, start, stop};
use crate::store::WorkspaceRow;

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let (row, asked) = (run.row().await?, run.update());
    // Before anything is changed of what is to be made.
    home::must_be_there(run, &row).await?;
    let update = begun(asked, &row);
    let row = row.updated(&update);
    let stack = run.compile(&row)?;
    run.respecify(&row, &update).await?;
    run.reach(Phase::Planned).await?;
    let Err(problem) = made(run, &row, &stack, &update).await else { return Ok(()) };
    if let Some(back) = still_held(&problem, &update, &row) {
        run.respecify(&back, &update).await?;
    }
    Err(match run.worked_before().await {
        Ok(worked) => way_back(problem, &row, &update, worked),
        Err(_) => problem,
    })
}

async fn made(
    run: &Arc<Run>,
    row: &WorkspaceRow,
    stack: &stacks::Stack,
    update: &Update,
) -> Result<(), Problem> {
    // With another image what runs is to end, and by itself rather than with what it runs in. A stop that was cut off here
    // goes on, also when its effect is there.
    let is_stopping = row.observed == Observed::Stopping;
    if is_another(row, update) && (is_stopping || start::status(run, row).await?.is_up()) {
        stop::run(run).await?;
    }
    shared::ensure(run, row).await?;
    apply(run, stack, true).await?;
    run.applied(row, None).await?;
    start::as_desired(run, row).await
}

/// With what was before, for as long as that is known. Who takes it over finds the row changed already, and this with the operation.
fn begun(asked: Update, row: &WorkspaceRow) -> Update {
    if asked.before.is_some() {
        return asked;
    }
    Update {
        size: asked.size.filter(|size| *size != row.size),
        before: row.image.clone(),
        egress_before: row.egress.clone(),
        ..asked
    }
}

/// Another list of destinations that could not be put in force has changed nothing: what the workspace is held to is the list of
/// before, so that is what it has. A list where there was none, and another image or size, are another container, which is not
/// started without its list.
fn still_held(problem: &Problem, update: &Update, row: &WorkspaceRow) -> Option<WorkspaceRow> {
    let is_list_alone = !is_another(row, update)
        && update.size.is_none()
        && update.egress_before.is_some()
        && row.egress.is_some()
        && update.egress_before != row.egress;
    let egress = update.egress_before.clone();
    let back = WorkspaceRow { egress, generation: row.generation + 1, ..row.clone() };
    (problem.code == ErrorCode::EgressOpen && is_list_alone).then_some(back)
}

fn is_another(row: &WorkspaceRow, update: &Update) -> bool {
    update.image.is_some() && update.before.as_ref().is_none_or(|before| !row.is_made_from(before))
}

/// `worked`: so did the image of before. One that did not is no way back.
fn way_back(problem: Problem, row: &WorkspaceRow, update: &Update, worked: bool) -> Problem {
    let Some(before) = update.before.as_ref().filter(|_| is_another(row, update)) else { return problem };
    let back = match worked {
        true => {
            format!(
                "`pilot ws update {} --image {}` goes back to the image of before.",
                row.slug,
                before.exact()
            )
        }
        false => format!(
            "What was tried last with the image of before failed as well. `pilot rollout ls` and `pilot op ls --workspace \
             {slug} --json` tell which images there were; `pilot ws update {slug} --image IMAGE` goes to one that worked.",
            slug = row.slug
        ),
    };
    let action = match &problem.action {
        Some(action) => format!("{action} {back}"),
        None => back,
    };
    problem.with_action(action)
}

#[cfg(test)]
mod tests {
    use contracts::egress::EgressChoice;
    use contracts::workspace::Image;

    use super::*;

    fn row(list: Option<&str>) -> WorkspaceRow {
        WorkspaceRow {
            egress: list.map(|text| text.parse().unwrap()),
            image: Some(Image::named("one")),
            ..WorkspaceRow::new("demo".parse().unwrap(), "docker".parse().unwrap(), "small".to_owned())
        }
    }

    /// What an update to this list makes of the row, and what the operation keeps of it.
    fn updated(row: &WorkspaceRow, list: &str, size: Option<&str>) -> (Update, WorkspaceRow) {
        let egress = match list {
            "all" => EgressChoice::All,
            list => EgressChoice::Only(list.parse().unwrap()),
        };
        let asked = Update { egress: Some(egress), size: size.map(str::to_owned), ..Update::default() };
        let update = begun(asked, row);
        let row = row.updated(&update);
        (update, row)
    }

    #[test]
    fn a_workspace_has_the_list_of_before_where_nothing_but_its_list_was_to_change() {
        let problem = |code| Problem::new(code, "so");
        let (refused, one) = (problem(ErrorCode::EgressOpen), row(Some("one.example")));
        let (update, two) = updated(&one, "two.example", Some("small"));
        let back = still_held(&refused, &update, &two).unwrap();
        assert_eq!((&back.egress, back.generation), (&one.egress, two.generation + 1));
        assert!(still_held(&problem(ErrorCode::ProviderTimeout), &update, &two).is_none());
        for (row, list, size) in [
            (row(None), "two.example", None),
            (one.clone(), "all", None),
            (one, "two.example", Some("large")),
        ] {
            let (update, after) = updated(&row, list, size);
            assert!(still_held(&refused, &update, &after).is_none(), "{list} {size:?}");
        }
    }

    #[test]
    fn who_takes_an_update_over_in_the_middle_knows_the_list_of_before() {
        let one = row(Some("one.example"));
        let (update, two) = updated(&one, "two.example", None);
        // The operation and the row as they are found.
        let (update, two) = (begun(update.clone(), &two), two.updated(&update));
        let back = still_held(&Problem::new(ErrorCode::EgressOpen, "so"), &update, &two).unwrap();
        assert_eq!(back.egress, one.egress);
        // And its size is one that changes still.
        let (update, larger) = updated(&one, "two.example", Some("large"));
        assert_eq!(begun(update, &larger).size.as_deref(), Some("large"));
    }
}
