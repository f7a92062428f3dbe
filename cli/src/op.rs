//! `pilot op`: operations.

use contracts::operation::{Operation, OperationList, OperationState, Phase};
use contracts::{ErrorCode, OperationId, Problem};

use crate::Outcome;
use crate::args::{Folders, Op, OpCommand};
use crate::client::Client;
use crate::connection::connect;
use crate::ui::{Ui, duration};
use crate::watch::{Watched, watch};

pub async fn run(op: Op, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&op.connection, folders).await?;
    match op.command {
        OpCommand::Ls { workspace, state, limit } => {
            let list = client.operations(workspace.as_deref(), state, limit).await?;
            table(&list, ui);
            Ok(Outcome::Done)
        }
        OpCommand::Cancel { id, no_wait } => cancel(&client, &parse(&id)?, no_wait, ui).await,
        OpCommand::Get { id } => {
            let operation = client.operation(&parse(&id)?).await?;
            show(&operation, ui);
            Ok(Outcome::Done)
        }
        OpCommand::Watch { id } => {
            let operation = client.operation(&parse(&id)?).await?;
            let total = match watch(&client, &operation, ui).await? {
                Watched::Succeeded(total) => total,
                Watched::Failed(problem) => return Ok(ui.failed(&problem)),
                Watched::Interrupted => return Ok(Outcome::Interrupted),
            };
            if !ui.json {
                let after = total.map(|total| format!(" after {total}")).unwrap_or_default();
                let (kind, subject) = (operation.kind.as_str(), operation.subject());
                ui.say(format!("The {kind} of {subject} succeeded{after}."));
            }
            Ok(Outcome::Done)
        }
    }
}

async fn cancel(client: &Client, id: &OperationId, no_wait: bool, ui: &mut Ui) -> Result<Outcome, Problem> {
    let operation = client.cancel(id).await?;
    if operation.state == OperationState::Running && !no_wait {
        // Its end is what was asked for, so it is no failure here.
        match watch(client, &operation, ui).await? {
            Watched::Interrupted => return Ok(Outcome::Interrupted),
            Watched::Failed(problem) if problem.code != ErrorCode::Canceled => return Ok(ui.failed(&problem)),
            Watched::Succeeded(_) | Watched::Failed(_) => {}
        }
    }
    let operation = client.operation(id).await?;
    match ui.json {
        true => ui.document(&operation),
        false => ui.say(format!(
            "{} ({} of {}): {}.",
            id,
            operation.kind.as_str(),
            operation.subject(),
            ended(&operation)
        )),
    }
    Ok(Outcome::Done)
}

fn ended(operation: &Operation) -> &'static str {
    match operation.state {
        OperationState::Canceled => "canceled",
        OperationState::Queued | OperationState::Running => "will end as soon as it can",
        OperationState::Succeeded => "had succeeded already",
        OperationState::Failed => "had failed already",
    }
}

fn table(list: &OperationList, ui: &mut Ui) {
    if ui.json {
        ui.document(list);
        return;
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let row = |operation: &Operation| {
        let age = operation.phases.queued.map(|at| duration(now - at.as_millisecond())).unwrap_or_default();
        let code = operation.error.as_ref().map(|problem| problem.code.to_string()).unwrap_or_default();
        let [kind, state] = [operation.kind.as_str(), operation.state.as_str()].map(str::to_owned);
        vec![operation.id.to_string(), kind, operation.subject(), state, age, code]
    };
    let rows: Vec<_> = list.operations.iter().map(row).collect();
    ui.table(&["ID", "KIND", "ABOUT", "STATE", "AGE", "ERROR"], &rows);
    if list.next.is_some() {
        ui.note("There are more: --limit shows them.");
    }
}

fn parse(id: &str) -> Result<OperationId, Problem> {
    id.parse().map_err(|error: contracts::ids::InvalidName| {
        Problem::new(ErrorCode::BadRequest, format!("{error}."))
            .with_action("`pilot op ls` lists operations.")
    })
}

fn show(operation: &Operation, ui: &mut Ui) {
    if ui.json {
        ui.document(operation);
        return;
    }
    ui.say(format!(
        "{} ({} of {}): {}",
        operation.id,
        operation.kind.as_str(),
        operation.subject(),
        operation.state.as_str()
    ));
    let mut before = None;
    for phase in Phase::ALL {
        let Some(at) = operation.phases.get(phase).map(|at| at.as_millisecond()) else { continue };
        ui.say(format!("  {:<10} {}", phase.as_str(), duration(at - before.replace(at).unwrap_or(at))));
    }
    if let Some(problem) = &operation.error {
        ui.say(format!("  {}", problem.to_string().replace('\n', "\n  ")));
    }
}
