//! `pilot explain`: the page behind an error code. Needs no server.

use contracts::{ErrorCode, Problem};
use serde_json::json;

use crate::Outcome;
use crate::args::Explain;
use crate::ui::Ui;

pub fn run(explain: &Explain, ui: &mut Ui) -> Result<Outcome, Problem> {
    match &explain.code {
        Some(name) => one(name, ui)?,
        None => all(ui),
    }
    Ok(Outcome::Done)
}

fn one(name: &str, ui: &mut Ui) -> Result<(), Problem> {
    let code: ErrorCode = name.trim().to_lowercase().replace('-', "_").parse().map_err(|()| {
        Problem::new(ErrorCode::NotFound, format!("There is no error code {name:?}."))
            .with_title("There is no such error code")
            .with_action("`pilot explain` lists all codes.")
    })?;
    match ui.json {
        true => ui.document(&json!({
            "code": code,
            "status": code.status(),
            "retryable": code.retryable(),
            "title": code.title(),
            "page": code.page(),
        })),
        false => ui.say(code.page().trim_end()),
    }
    Ok(())
}

fn all(ui: &mut Ui) {
    if ui.json {
        let codes: Vec<_> =
            ErrorCode::ALL.iter().map(|code| json!({"code": code, "title": code.title()})).collect();
        ui.document(&json!({ "codes": codes }));
        return;
    }
    let rows: Vec<_> =
        ErrorCode::ALL.iter().map(|code| vec![code.to_string(), code.title().to_owned()]).collect();
    ui.table(&["CODE", "MEANING"], &rows);
}
