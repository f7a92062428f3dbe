//! How workspaces are shown: in a list, and one with all that is known of it.

use std::time::SystemTime;

use contracts::disk::Disk;
use contracts::workspace::{Image, Workspace};
use contracts::{ErrorCode, Problem, WorkspaceRef};
use serde::Serialize;

use super::egress::reaches;
use super::word;
use crate::Outcome;
use crate::args::List;
use crate::client::Client;
use crate::ui::{Ui, duration};

/// The column that is only there when somebody owns something.
const OWNER: usize = 3;

pub async fn list(client: &Client, wanted: &List, ui: &mut Ui) -> Result<Outcome, Problem> {
    let list = client.workspaces(&wanted.query()).await?;
    let mut left: Vec<&Workspace> = list.workspaces.iter().collect();
    let kept = match wanted.expect_none {
        true => client.workspaces(&[("deleted", "true".to_owned())]).await?.workspaces,
        false => Vec::new(),
    };
    left.extend(&kept);
    if wanted.expect_none && !left.is_empty() {
        let names: Vec<&str> = left.iter().map(|workspace| workspace.slug.as_str()).collect();
        let problem = Problem::new(
            ErrorCode::ProviderInUse,
            format!("There is to be none, and there are {}: {}.", names.len(), names.join(", ")),
        );
        return Err(problem.with_action(
            "Delete them with their files: `pilot ws rm --purge --all`, and `pilot ws rm --purge --deleted --all` for those that \
             are only kept.",
        ));
    }
    if ui.json {
        ui.document(&list);
    } else if list.workspaces.is_empty() {
        ui.note(match wanted.query().is_empty() {
            true => "There are no workspaces. `pilot ws create demo` makes one.",
            false => "There are no such workspaces. `pilot ws ls` lists all.",
        });
    } else if wanted.deleted {
        deleted(&list.workspaces, ui);
    } else {
        table(&list.workspaces, ui);
    }
    Ok(Outcome::Done)
}

/// What can be restored, and until when.
fn deleted(workspaces: &[Workspace], ui: &mut Ui) {
    let row = |workspace: &Workspace| {
        let until = workspace.home_until.map(|until| until.to_string()).unwrap_or_default();
        vec![workspace.slug.to_string(), workspace.id.to_string(), workspace.provider.to_string(), until]
    };
    let rows: Vec<_> = workspaces.iter().map(row).collect();
    ui.table(&["NAME", "ID", "PROVIDER", "KEPT UNTIL"], &rows);
}

fn table(workspaces: &[Workspace], ui: &mut Ui) {
    let row = |workspace: &Workspace| {
        vec![
            workspace.slug.to_string(),
            word(&workspace.state),
            age(workspace),
            workspace.owner.clone().unwrap_or_default(),
            workspace.provider.to_string(),
            workspace.size.clone(),
            workspace.url.clone().unwrap_or_default(),
        ]
    };
    let mut head = vec!["NAME", "STATE", "SINCE", "OWNER", "PROVIDER", "SIZE", "URL"];
    let mut rows: Vec<_> = workspaces.iter().map(row).collect();
    // Where nobody was named there is nothing to tell apart.
    if workspaces.iter().all(|workspace| workspace.owner.is_none()) {
        head.remove(OWNER);
        rows.iter_mut().for_each(|row| drop(row.remove(OWNER)));
    }
    ui.table(&head, &rows);
}

pub async fn one(client: &Client, name: &WorkspaceRef, ui: &mut Ui) -> Result<Outcome, Problem> {
    let (workspace, disk) = (client.workspace(name).await?, client.disk(name).await);
    if ui.json {
        ui.document(&Shown { workspace, disk });
        return Ok(Outcome::Done);
    }
    let git = workspace.git.as_ref().map(|git| match &git.reference {
        Some(reference) => format!("{} ({reference})", git.url),
        None => git.url.clone(),
    });
    let labels: Vec<_> = workspace.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = (!labels.is_empty()).then(|| labels.join(", "));
    let lines = [
        ("name", Some(workspace.slug.to_string())),
        ("id", Some(workspace.id.to_string())),
        ("state", Some(format!("{} (for {})", word(&workspace.state), age(&workspace)))),
        ("wanted", Some(word(&workspace.desired))),
        ("provider", Some(workspace.provider.to_string())),
        ("size", Some(workspace.size.clone())),
        ("image", workspace.image.as_ref().map(shown_image)),
        ("region", workspace.region.clone()),
        ("git", git),
        ("reaches", workspace.egress_allow.as_ref().map(reaches)),
        ("owner", workspace.owner.clone()),
        ("labels", labels),
        ("url", workspace.url.clone()),
        ("home", disk.map(Disk::in_words)),
        ("runtime", Some(workspace.runtime_id.to_string())),
        ("kept", workspace.home_until.map(|until| format!("deleted; its files are kept until {until}"))),
        ("operation", workspace.operation.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            ui.say(format!("{name:<10} {value}"));
        }
    }
    if let Some(problem) = &workspace.error {
        ui.say(format!("{:<10} {}", "problem", problem.to_string().replace('\n', "\n           ")));
    }
    Ok(Outcome::Done)
}

/// A workspace, and what only its instance knows.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    workspace: Workspace,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
}

/// The name that people know, and which of the images of this name it is.
fn shown_image(image: &Image) -> String {
    let digest = image.digest.as_ref().filter(|digest| **digest != image.reference);
    digest.map_or(image.reference.clone(), |digest| format!("{} ({digest})", image.reference))
}

fn age(workspace: &Workspace) -> String {
    since(workspace.since.as_millisecond())
}

/// How long ago that was.
pub fn since(at: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    // Tenths of a second are noise in a list.
    match (now - at) / 1000 {
        seconds @ ..60 => format!("{} s", seconds.max(0)),
        seconds => duration(seconds.saturating_mul(1000)),
    }
}
