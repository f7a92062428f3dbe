//! `pilot op`: operations.

use std::path::Path;

use contracts::operation::{Operation, Phase};
use contracts::{ErrorCode, OperationId, Problem};

use crate::Outcome;
use crate::args::{Op, OpCommand};
use crate::connection::connect;
use crate::ui::{Ui, duration};
use crate::watch::{Watched, watch};

pub async fn run(op: Op, data: &Path, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&op.connection, data).await?;
    match op.command {
        OpCommand::Get { id } => {
            let operation = client.operation(&parse(&id)?).await?;
            show(&operation, ui);
            Ok(Outcome::Done)
        }
        OpCommand::Watch { id } => {
            let operation = client.operation(&parse(&id)?).await?;
            let Watched::Succeeded(total) = watch(&client, &operation, ui).await? else {
                return Ok(Outcome::Interrupted);
            };
            if !ui.json {
                let after = total.map(|total| format!(" after {total}")).unwrap_or_default();
                ui.say(format!("{:?} of {} succeeded{after}.", operation.kind, operation.slug));
            }
            Ok(Outcome::Done)
        }
    }
}

fn parse(id: &str) -> Result<OperationId, Problem> {
    id.parse().map_err(|error: contracts::ids::InvalidName| {
        Problem::new(ErrorCode::BadRequest, format!("{error}."))
            .with_action("`pilot ws get SLUG` shows a workspace's operation.")
    })
}

fn show(operation: &Operation, ui: &mut Ui) {
    if ui.json {
        ui.document(operation);
        return;
    }
    ui.say(format!("{} {:?} of {}: {:?}", operation.id, operation.kind, operation.slug, operation.state));
    let mut before = None;
    for phase in Phase::ALL {
        let Some(at) = operation.phases.get(phase).map(|at| at.as_millisecond()) else { continue };
        ui.say(format!("  {:<10} {}", phase.as_str(), duration(at - before.replace(at).unwrap_or(at))));
    }
    if let Some(problem) = &operation.error {
        ui.say(format!("  {}", problem.to_string().replace('\n', "\n  ")));
    }
}
