//! `pilot ws`: workspaces.

mod egress;
mod exec;
mod logs;
mod several;
mod show;
mod snapshot;
mod ssh;
mod wait;
mod why;

use std::ops::ControlFlow;
use std::process::Stdio;

use contracts::egress::EgressChoice;
use contracts::operation::OperationKind;
use contracts::plan::Plan;
use contracts::workspace::{
    Accepted, CreateWorkspace, GitSource, RestoreWorkspace, UpdateWorkspace, Workspace,
};
use contracts::{ErrorCode, Problem, WorkspaceRef};
use serde::Serialize;

use crate::Outcome;
use crate::args::{Create, Folders, Update, Ws, WsCommand};
use crate::client::{Change, Client};
use crate::connection::connect;
use crate::ui::Ui;
use crate::watch::{Watched, watch};

/// First line of a change with `--json`.
#[derive(Serialize)]
struct AcceptedLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    accepted: &'a Accepted,
}

pub async fn run(ws: Ws, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    if let WsCommand::Ssh(it) = ws.command {
        return ssh::run(&ws.connection, folders, it, ui).await;
    }
    let client = connect(&ws.connection, folders).await?;
    match ws.command {
        // Before, because as a program of ssh it must not say a word on stdout.
        WsCommand::Ssh(_) => Ok(Outcome::Done),
        WsCommand::SshConfig(it) => ssh::config(&client, &ws.connection, folders, &it, ui).await,
        WsCommand::Create(create) => create_workspace(&client, create, ui).await,
        WsCommand::Ls(wanted) => show::list(&client, &wanted, ui).await,
        WsCommand::Get { slug } => show::one(&client, &parse(&slug)?, ui).await,
        WsCommand::Egress { slug } => egress::run(&client, &parse(&slug)?, ui).await,
        WsCommand::Why { slug } => why::run(&client, &parse(&slug)?, ui).await,
        WsCommand::Start(it) => several::run(&client, &it, Change::Start, ui).await,
        WsCommand::Stop(it) => several::run(&client, &it, Change::Stop, ui).await,
        WsCommand::Restart(it) => several::run(&client, &it, Change::Restart, ui).await,
        WsCommand::Suspend(it) => several::run(&client, &it, Change::Suspend, ui).await,
        WsCommand::Hibernate(it) => several::run(&client, &it, Change::Hibernate, ui).await,
        WsCommand::Resume(it) => several::run(&client, &it, Change::Resume, ui).await,
        WsCommand::Update(it) => update(&client, it, ui).await,
        WsCommand::Rename { old, new } => rename(&client, &parse(&old)?, &new, ui).await,
        WsCommand::Wait(it) => wait::run(&client, &it, ui).await,
        WsCommand::Rm(remove) => several::delete(&client, remove, ui).await,
        WsCommand::Restore { slug, name, no_wait } => {
            let accepted = client.restore(&parse(&slug)?, &RestoreWorkspace { slug: name }).await?;
            finish(&client, &accepted, no_wait, ui).await
        }
        WsCommand::Snapshot(command) => snapshot::run(&client, command, ui).await,
        WsCommand::Fork(it) => snapshot::fork(&client, it, ui).await,
        WsCommand::Logs(it) => logs::run(&client, &it, ui).await,
        WsCommand::Exec(it) => exec::run(&client, it, ui).await,
        WsCommand::Open { slug, browser } => open(&client, &parse(&slug)?, browser, ui).await,
    }
}

/// A name or an id, by the same rule and in the same words as the server's.
pub fn parse(name: &str) -> Result<WorkspaceRef, Problem> {
    name.parse().map_err(|error: contracts::ids::InvalidName| {
        Problem::new(ErrorCode::InvalidSlug, format!("{error}."))
            .with_action("`pilot ws ls` lists the workspaces.")
    })
}

async fn create_workspace(client: &Client, create: Create, ui: &mut Ui) -> Result<Outcome, Problem> {
    let git = create.git.map(|url| GitSource { url, reference: create.reference });
    let request = CreateWorkspace {
        slug: create.slug,
        provider: create.provider,
        size: create.size,
        region: create.region,
        git,
        egress_allow: create.egress_allow.as_ref().map(EgressChoice::texts),
        owner: create.owner,
        labels: create.labels.into_iter().collect(),
    };
    if create.plan {
        show_plan(&client.plan(&request).await?, "Nothing would be made.", ui);
        return Ok(Outcome::Done);
    }
    let accepted = client.create(&request).await?;
    finish(client, &accepted, create.no_wait, ui).await
}

/// Asks for a change and waits for its end.
pub async fn change(
    client: &Client,
    name: &WorkspaceRef,
    change: Change,
    no_wait: bool,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    let accepted = client.change(name, change).await?;
    finish(client, &accepted, no_wait, ui).await
}

async fn update(client: &Client, update: Update, ui: &mut Ui) -> Result<Outcome, Problem> {
    let egress_allow = update.egress_allow.as_ref().map(EgressChoice::texts);
    let wanted = UpdateWorkspace { image: update.image, size: update.size, egress_allow };
    let accepted = client.update(&parse(&update.slug)?, &wanted).await?;
    finish(client, &accepted, update.no_wait, ui).await
}

/// No operation: the new name is there when the server answers.
async fn rename(client: &Client, old: &WorkspaceRef, new: &str, ui: &mut Ui) -> Result<Outcome, Problem> {
    let workspace = client.rename(old, new).await?;
    match ui.json {
        true => ui.document(&workspace),
        false => ui.say(format!("{old} is now {new}. `pilot ws open {new}` prints a link to it.")),
    }
    Ok(Outcome::Done)
}

/// Tells of an accepted change and waits for its end: how long it took when it was a success, and what is left to be told is
/// the caller's.
async fn ended(
    client: &Client,
    accepted: &Accepted,
    no_wait: bool,
    ui: &mut Ui,
) -> Result<ControlFlow<Outcome, Option<String>>, Problem> {
    let (slug, id) = (&accepted.workspace.slug, &accepted.operation.id);
    match (ui.json, found_kept(accepted)) {
        (true, _) => ui.document(&AcceptedLine { kind: "accepted", accepted }),
        (false, Some(words)) => ui.note(words),
        (false, None) => {}
    }
    if no_wait {
        if !ui.json {
            ui.say(format!("{slug}: accepted as {id}; `pilot op watch {id}` follows it."));
        }
        return Ok(ControlFlow::Break(Outcome::Done));
    }
    Ok(match watch(client, &accepted.operation, ui).await? {
        Watched::Succeeded(total) => ControlFlow::Continue(total),
        Watched::Failed(problem) => ControlFlow::Break(ui.failed(&problem)),
        Watched::Interrupted => ControlFlow::Break(Outcome::Interrupted),
    })
}

/// Waits for an accepted change and shows what became of the workspace.
async fn finish(
    client: &Client,
    accepted: &Accepted,
    no_wait: bool,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    let slug = &accepted.workspace.slug;
    // A successor of the name is not what was asked for.
    let name = WorkspaceRef::Id(accepted.workspace.id.clone());
    let total = match ended(client, accepted, no_wait, ui).await? {
        ControlFlow::Continue(total) => total,
        ControlFlow::Break(outcome) => return Ok(outcome),
    };
    let after = total.map(|total| format!(" after {total}")).unwrap_or_default();
    match client.workspace(&name).await {
        Ok(workspace) if ui.json => ui.document(&workspace),
        Ok(Workspace { home_until: Some(until), id, .. }) => {
            ui.say(format!("{slug} is deleted{after}."));
            ui.note(format!(
                "Its files are kept until {until}: `pilot ws restore {id}` brings it back, `pilot ws rm --purge {id}` removes \
                 them now."
            ));
        }
        Ok(workspace) => ui.say(summary(&workspace, &after)),
        // A deleted workspace is not found, which is what was asked for.
        Err(problem) if problem.code == ErrorCode::WorkspaceNotFound => {
            if !ui.json {
                ui.say(format!("{slug} is deleted{after}."));
            }
        }
        Err(problem) => return Err(problem),
    }
    Ok(Outcome::Done)
}

/// By a name that no workspace has by now the deleted one of that name was found: a command that is repeated, and has done
/// what it was to do before, takes another one.
fn found_kept(accepted: &Accepted) -> Option<String> {
    let Workspace { slug, id, home_until, .. } = &accepted.workspace;
    let is_removed = matches!(accepted.operation.kind, OperationKind::Purge | OperationKind::Forget);
    let until = home_until.filter(|_| is_removed)?;
    Some(format!("{slug} is {id}, which was deleted before; its files were to be kept until {until}."))
}

fn summary(workspace: &Workspace, after: &str) -> String {
    let slug = &workspace.slug;
    let state = word(&workspace.state);
    match workspace.state {
        contracts::workspace::Observed::Ready => {
            format!("{slug} is ready{after}. `pilot ws open {slug}` prints a link to it.")
        }
        _ => format!("{slug} is {state}{after}."),
    }
}

async fn open(client: &Client, name: &WorkspaceRef, browser: bool, ui: &mut Ui) -> Result<Outcome, Problem> {
    // The gateway makes links for any name; a typing error should show here and not in the browser.
    let workspace = client.workspace(name).await?;
    let link = client.login_link(&workspace.slug).await?;
    if ui.json {
        ui.document(&link);
        return Ok(Outcome::Done);
    }
    if workspace.state != contracts::workspace::Observed::Ready {
        ui.note(waiting(&workspace));
    }
    ui.say(&link.url);
    if browser && ui.interactive && !show_in_browser(&link.url) {
        ui.note("No browser could be opened (xdg-open failed); open the link yourself.");
    }
    Ok(Outcome::Done)
}

/// What the page of a workspace that is not ready waits for.
fn waiting(workspace: &Workspace) -> String {
    use contracts::workspace::Observed::{Failed, Stopped, Suspended};
    let slug = &workspace.slug;
    let first = match workspace.state {
        Stopped | Suspended | Failed => format!(". Start it with `pilot ws start {slug}`"),
        _ => String::new(),
    };
    format!("{slug} is {}{first}; the page waits until it is ready.", word(&workspace.state))
}

fn show_in_browser(url: &str) -> bool {
    let mut command = std::process::Command::new("xdg-open");
    let quiet = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// A plan as lines, or `unchanged` when it would do nothing.
pub fn show_plan(plan: &Plan, unchanged: &str, ui: &mut Ui) {
    if ui.json {
        ui.document(plan);
        return;
    }
    for step in plan.steps.iter().filter(|step| step.op != "same") {
        let diffs =
            if step.diffs.is_empty() { String::new() } else { format!("  [{}]", step.diffs.join(", ")) };
        ui.say(format!("  {:<8} {} {}{diffs}", step.op, step.resource_type, step.name));
    }
    if plan.is_unchanged() {
        ui.say(unchanged);
        return;
    }
    // The stack itself counts as one of the changes, and is not among the steps.
    let listed = |op: &str| plan.steps.iter().filter(|step| step.op == op).count();
    let counts =
        plan.changes.keys().map(|op| (op, listed(op))).filter(|(op, count)| *op != "same" && *count > 0);
    let counts: Vec<_> = counts.map(|(op, count)| format!("{count} {op}")).collect();
    if counts.is_empty() {
        ui.say(format!("Stack {}: only its outputs change.", plan.stack));
        return;
    }
    ui.say(format!("Stack {}: {}.", plan.stack, counts.join(", ")));
}

/// A state as JSON writes it.
fn word(state: &impl Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_purges_by_a_name_is_told_that_it_was_the_deleted_one() {
        let mut workspace = crate::tests::fake::workspace("stopped");
        let mut told = |kind: &str, until: Option<&str>| {
            workspace["homeUntil"] = serde_json::json!(until);
            let operation = serde_json::json!({
                "id": "op-1", "kind": kind, "workspaceId": "ws_1", "slug": "demo", "runtimeId": "rt-1",
                "state": "queued", "phases": {}, "requestId": "req-1",
            });
            let accepted = serde_json::json!({ "workspace": workspace, "operation": operation });
            found_kept(&serde_json::from_value(accepted).unwrap())
        };
        let until = Some("2026-11-30T00:00:00Z");
        let words = told("purge", until).unwrap();
        assert!(words.contains("ws_1") && words.contains("until 2026-11-30T00:00:00Z"), "{words}");
        assert!(told("forget", until).is_some() && told("purge", None).is_none());
        assert_eq!(told("restore", until), None);
    }
}
