//! `pilot usage`: how long instances ran, for whom.

use contracts::Problem;

use crate::Outcome;
use crate::args::{Folders, Usage};
use crate::connection::connect;
use crate::ui::Ui;

const HEAD: [&str; 5] = ["WORKSPACE", "OWNER", "PROVIDER", "SIZE", "HOURS"];

pub async fn run(asked: Usage, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&asked.connection, folders).await?;
    let list = client.usage(&asked.query()).await?;
    if ui.json {
        ui.document(&list);
        return Ok(Outcome::Done);
    }
    let mut total = 0;
    let mut rows = Vec::new();
    for one in &list.usage {
        total += one.seconds;
        let name = one.slug.as_ref().map_or_else(|| one.workspace_id.to_string(), ToString::to_string);
        let owner = one.owner.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(vec![name, owner, one.provider.to_string(), one.size.clone(), hours(one.seconds)]);
    }
    if rows.is_empty() {
        ui.note("Nothing ran.");
        return Ok(Outcome::Done);
    }
    // The server's order is that of the ids, which are not shown.
    rows.sort();
    ui.table(&HEAD, &rows);
    let from = list.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string());
    ui.note(format!("{} hours in all, from {from} to {}.", hours(total), list.to));
    Ok(Outcome::Done)
}

/// Hundredths of an hour are 36 seconds.
fn hours(seconds: u64) -> String {
    let hundredths = (seconds + 18) / 36;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
