//! `pilot ws egress`: what a workspace reaches, whether that is in force, and what was refused lately.

use contracts::egress::EgressAllow;
use contracts::egress::report::{EgressReport, Refused, RefusedKind};
use contracts::{Problem, WorkspaceRef};

use super::show::since;
use crate::Outcome;
use crate::client::Client;
use crate::ui::Ui;

/// In `pilot ws why`, so many of what was refused.
const LAST: usize = 3;

pub async fn run(client: &Client, name: &WorkspaceRef, ui: &mut Ui) -> Result<Outcome, Problem> {
    let report = client.egress(name).await?;
    if ui.json {
        ui.document(&report);
        return Ok(Outcome::Done);
    }
    ui.say(match &report.egress_allow {
        None => format!(
            "{name} has no list of destinations: it reaches what its provider lets every workspace reach."
        ),
        Some(list) => format!("{name} reaches {}.", reaches(list)),
    });
    if let Some(said) = in_force(&report) {
        ui.say(said);
    }
    if report.refused.is_empty() {
        ui.say("Nothing was refused in the last hour.");
        return Ok(Outcome::Done);
    }
    ui.say("Refused in the last hour:");
    let rows: Vec<_> = report.refused.iter().map(row).collect();
    ui.table(&["LAST", "TIMES", "DESTINATION", "WHAT"], &rows);
    if report.more_refused {
        ui.note("More was refused than is remembered.");
    }
    if let Some(proposed) = &report.proposed {
        ui.say("To allow what you trust of it (whatever is in the list, every program in the workspace can send to):");
        ui.say(format!("  pilot ws update {name} --egress-allow '{proposed}'"));
    }
    Ok(Outcome::Done)
}

/// Nothing outside, or only what is in the list.
pub fn reaches(allow: &EgressAllow) -> String {
    match allow.entries() {
        [] => "nothing outside".to_owned(),
        _ => format!("only {}", allow.texts().join(", ")),
    }
}

fn in_force(report: &EgressReport) -> Option<String> {
    report.egress_allow.as_ref()?;
    let reason = report.reason.as_deref().unwrap_or("nobody says why");
    Some(match report.in_force {
        Some(true) => "The list is in force.".to_owned(),
        Some(false) => format!("The list is NOT in force: {reason}."),
        None => format!("Whether the list is in force is not known: {reason}."),
    })
}

fn row(refused: &Refused) -> Vec<String> {
    let times = refused.count.to_string();
    vec![ago(refused), times, destination(refused), what(refused).to_owned()]
}

fn ago(refused: &Refused) -> String {
    format!("{} ago", since(refused.last.as_millisecond()))
}

fn destination(refused: &Refused) -> String {
    let host = match (refused.port, refused.destination.contains(':')) {
        (Some(port), true) => format!("[{}]:{port}", refused.destination),
        (Some(port), false) => format!("{}:{port}", refused.destination),
        (None, _) => refused.destination.clone(),
    };
    match &refused.protocol {
        Some(protocol) => format!("{host} ({protocol})"),
        None => host,
    }
}

fn what(refused: &Refused) -> &'static str {
    match (refused.closed_for_all, refused.kind) {
        (true, _) => "closed for every workspace, whatever a list says",
        (false, RefusedKind::Name) => "a name that is not in the list",
        (false, RefusedKind::Address) => "an address that no name of the list led to lately",
    }
}

/// What `pilot ws why` says of it: that the list is not in force, and what was refused where something is wrong.
pub fn in_why(report: &EgressReport, name: &WorkspaceRef, is_wrong: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if report.in_force != Some(true) {
        lines.extend(in_force(report));
    }
    if let (true, Some(list)) = (is_wrong, &report.egress_allow) {
        let last: Vec<_> = report.refused.iter().take(LAST).collect();
        let last = last.iter().map(|one| format!("{} {}", destination(one), ago(one))).collect::<Vec<_>>();
        lines.push(match last.as_slice() {
            [] => format!("It reaches {}; nothing was refused in the last hour.", reaches(list)),
            _ => format!(
                "It reaches {}. Refused last: {}. `pilot ws egress {name}` says all.",
                reaches(list),
                last.join(", ")
            ),
        });
    }
    lines
}
