//! `pilot backup` and `pilot store`: they work on the data folder and the database themselves, with a server or without one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contracts::Problem;
use orchestrator::backup::{Created, Installation, Key, Read, create, restore, verify};
use orchestrator::data::{Layout, default_data_folder};
use orchestrator::migrate::{self, Behind};
use serde_json::json;

use crate::Outcome;
use crate::args::{Backup, BackupCommand, Store, StoreCommand};
use crate::progress::Waiting;
use crate::ui::Ui;

pub async fn run(backup: Backup, data: PathBuf, ui: &mut Ui) -> Result<Outcome, Problem> {
    let layout = Layout { root: data };
    let mut waiting = Some(Waiting::new("the backup", ui));
    let mut tell = |what: &str| waiting.iter().for_each(|waiting| waiting.say(what));
    match backup.command {
        BackupCommand::Create { file, key, database } => {
            let from = Installation { layout, database: database.database };
            let created = create(&from, &file, &Key::read(&key.key_file)?, &mut tell).await?;
            waiting.take();
            show_created(&created, ui);
        }
        BackupCommand::Verify { file, key } => {
            let read = verify(&file, &Key::read(&key.key_file)?, &std::env::temp_dir(), &mut tell).await?;
            waiting.take();
            show_read(&read, "is good", &file.display().to_string(), ui);
        }
        BackupCommand::Restore { file, key, database } => {
            let to = Installation { layout, database: database.database };
            let read = restore(&file, &Key::read(&key.key_file)?, &to, &mut tell).await?;
            waiting.take();
            show_read(&read, "is restored", &file.display().to_string(), ui);
            if !ui.json {
                let serve = serve(&to.layout.root);
                ui.say(match to.database {
                    Some(_) => {
                        format!("Start it with PILOT_DATABASE and this data folder, which has the secrets: `{serve}`.")
                    }
                    None => format!("Start it: `{serve}`."),
                });
            }
        }
    }
    Ok(Outcome::Done)
}

pub async fn store(store: Store, data: PathBuf, ui: &mut Ui) -> Result<Outcome, Problem> {
    let layout = Layout { root: data };
    let StoreCommand::Migrate { to, undo, leave_database } = store.command;
    let Some(to) = to.clone().filter(|_| !undo) else {
        let behind = match &to {
            _ if leave_database => Behind::AsItIs,
            Some(url) => Behind::Marked(url),
            None => Behind::Unsaid,
        };
        let moved = migrate::undo(&layout, behind).await?;
        match (ui.json, moved) {
            (true, from) => ui.document(&json!({ "type": "undone", "from": from })),
            (false, Some(from)) if leave_database => ui.say(format!(
                "The data folder is in use again. {from} can still be served: end every orchestrator that has PILOT_DATABASE."
            )),
            (false, Some(from)) => {
                ui.say(format!("The data folder is in use again, and {from} is not served any more."));
            }
            (false, None) => ui.say("The installation is in the data folder: it was not moved."),
        }
        return Ok(Outcome::Done);
    };
    let waiting = Waiting::new("the database", ui);
    let moved = migrate::migrate(&layout, &to, &mut |what| waiting.say(what)).await?;
    drop(waiting);
    if ui.json {
        ui.document(&moved);
        return Ok(Outcome::Done);
    }
    ui.say(format!("Moved to {}: {}, {}.", moved.to, rows(&moved.rows), states(moved.states)));
    let serve = serve(&layout.root);
    ui.say(format!(
        "Every row and every state was compared. Start it with PILOT_DATABASE and this data folder: `{serve}`."
    ));
    Ok(Outcome::Done)
}

/// What starts a server on this folder.
fn serve(data: &Path) -> String {
    match data == default_data_folder() {
        true => "pilot serve".to_owned(),
        false => format!("pilot --data {} serve", quoted(&data.display().to_string())),
    }
}

/// As a shell reads it as one word.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn show_created(created: &Created, ui: &mut Ui) {
    if ui.json {
        ui.document(created);
        return;
    }
    let size = indicatif::HumanBytes(created.bytes);
    ui.say(format!(
        "{} ({size}): {}, {}.",
        created.file.display(),
        rows(&created.rows),
        states(created.states)
    ));
    for key in &created.damaged {
        ui.note(format!(
            "warning: the state {key} is damaged: `pilot stack repair NAME`, then make another backup"
        ));
    }
}

fn show_read(read: &Read, end: &str, file: &str, ui: &mut Ui) {
    if ui.json {
        ui.document(read);
        return;
    }
    let manifest = &read.manifest;
    ui.say(format!(
        "{file} {end}: {}, {}, {}; made at {} by Pilot {}.",
        counted(read.workspaces, "workspace"),
        rows(&read.rows),
        states(read.states),
        manifest.created,
        manifest.pilot
    ));
    for stack in &read.orphans {
        ui.note(format!(
            "warning: the stack {stack} belongs to no workspace: it was being deleted, or was left over. Its state is \
             kept; what it lists may be left at its provider"
        ));
    }
    for stack in &read.without_state {
        ui.note(format!("{stack} has no state yet: it was being made, and what exists of it is found"));
    }
    for key in &read.damaged {
        ui.note(format!(
            "warning: the state {key} was damaged when the backup was made: `pilot stack repair NAME`"
        ));
    }
}

fn rows(rows: &BTreeMap<String, u64>) -> String {
    format!("{} in {} tables", counted(rows.values().sum(), "row"), rows.len())
}

fn states(count: u64) -> String {
    counted(count, "state")
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_a_server_names_a_folder_that_is_not_the_default() {
        assert_eq!(serve(&default_data_folder()), "pilot serve");
        assert_eq!(serve(Path::new("/srv/pilot-2")), "pilot --data /srv/pilot-2 serve");
        assert_eq!(serve(Path::new("/srv/it's mine")), r"pilot --data '/srv/it'\''s mine' serve");
    }
}
