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
    // Who takes it over finds it changed already, and what was before with the operation.
    let before = asked.before.clone().or_else(|| row.image.clone());
    let update = Update { before, ..asked };
    let (former, row) = (row.clone(), row.updated(&update));
    let stack = run.compile(&row)?;
    run.respecify(&row, &update).await?;
    run.reach(Phase::Planned).await?;
    let Err(problem) = made(run, &row, &stack, &update).await else { return Ok(()) };
    if let Some(back) = still_held(&problem, &former, &row) {
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

/// Another list of destinations that could not be put in force has changed nothing: what the workspace is held to is the list of
/// before, so that is what it has. A list where there was none, and another image or size, are another container, which is not
/// started without its list.
fn still_held(problem: &Problem, former: &WorkspaceRow, row: &WorkspaceRow) -> Option<WorkspaceRow> {
    let is_list_alone = (&former.image, &former.size) == (&row.image, &row.size)
        && former.egress.is_some()
        && row.egress.is_some()
        && former.egress != row.egress;
    let back = WorkspaceRow { egress: former.egress.clone(), generation: row.generation + 1, ..row.clone() };
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
    use super::*;

    #[test]
    fn a_workspace_has_the_list_of_before_where_nothing_but_its_list_was_to_change() {
        let row = |list: Option<&str>| WorkspaceRow {
            egress: list.map(|text| text.parse().unwrap()),
            ..WorkspaceRow::new("demo".parse().unwrap(), "docker".parse().unwrap(), "small".to_owned())
        };
        let problem = |code| Problem::new(code, "so");
        let refused = problem(ErrorCode::EgressOpen);
        let (one, two) = (row(Some("one.example")), row(Some("two.example")));
        let two = WorkspaceRow { generation: one.generation + 1, ..two };
        let back = still_held(&refused, &one, &two).unwrap();
        assert_eq!((&back.egress, back.generation), (&one.egress, two.generation + 1));
        assert!(still_held(&problem(ErrorCode::ProviderTimeout), &one, &two).is_none());
        assert!(
            still_held(&refused, &row(None), &two).is_none()
                && still_held(&refused, &one, &row(None)).is_none()
        );
        let larger = WorkspaceRow { size: "large".to_owned(), ..two };
        assert!(still_held(&refused, &one, &larger).is_none());
    }
}
