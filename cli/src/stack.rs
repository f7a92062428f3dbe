//! `pilot stack`: the Pulumi stack behind a workspace, for people who use Pulumi directly.

use std::path::{Component, Path, PathBuf};

use contracts::stack::{StackExport, StackRepair};
use contracts::{ErrorCode, Problem};
use orchestrator::tools::ToolPaths;
use serde_json::json;

use crate::Outcome;
use crate::args::{Folders, Stack, StackCommand};
use crate::client::Change;
use crate::connection::connect;
use crate::ui::Ui;
use crate::ws;

/// More than the server takes.
const MOST_STATE: u64 = 64 * 1024 * 1024;

pub async fn run(stack: Stack, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&stack.connection, folders).await?;
    match stack.command {
        StackCommand::Export { slug, out, force } => {
            let slug = ws::parse(&slug)?;
            // Before the server is asked: a wrong folder is the commoner mistake.
            check_folder(&out, force)?;
            let export = client.stack(&slug).await?;
            write(&export, &out)?;
            show(&export, &out, ui);
            // Here, because here it is used. Making workspaces does not need it.
            if let Err(problem) = ToolPaths::default().pulumi().await {
                ui.note(format!("  First: {}", problem.detail));
                ui.note(format!("  -> {}", problem.action.unwrap_or_default()));
            }
            Ok(Outcome::Done)
        }
        StackCommand::Import { slug, from } => {
            let slug = ws::parse(&slug)?;
            let state = read(&from, ui)?;
            let done = client.import(&slug, state).await?;
            if ui.json {
                ui.document(&done);
                return Ok(Outcome::Done);
            }
            ui.say(format!(
                "The state of stack {} is replaced; it has {} resources.",
                done.stack, done.resources
            ));
            if let Some(kept) = &done.kept {
                ui.say(format!("Kept:     {kept} has the state of before."));
            }
            ui.note(format!("Compare it with what is really there: `pilot stack diff {slug}`."));
            Ok(Outcome::Done)
        }
        StackCommand::Diff { slug, exit_code } => {
            let plan = client.drift(&ws::parse(&slug)?).await?;
            ws::show_plan(&plan, "No drift: what is there is what the stack says.", ui);
            let differs = exit_code && !plan.is_unchanged();
            Ok(if differs { Outcome::Negative } else { Outcome::Done })
        }
        StackCommand::Apply(it) => {
            ws::change(&client, &ws::parse(&it.slug)?, Change::Apply, it.no_wait, ui).await
        }
        StackCommand::Repair { slug, yes } => {
            let slug = ws::parse(&slug)?;
            let repair = client.repair(&slug, yes).await?;
            show_repair(&repair, &slug.to_string(), ui);
            let is_left = repair.problem.is_some() && !repair.done;
            Ok(if is_left { Outcome::Negative } else { Outcome::Done })
        }
    }
}

/// A state as text. That it is JSON is seen here, so that a wrong file is told by its name.
fn read(from: &Path, ui: &mut Ui) -> Result<String, Problem> {
    let (name, text) = match from == Path::new("-") {
        true => ("what was piped".to_owned(), ui.piped(MOST_STATE)),
        false => (from.display().to_string(), std::fs::read_to_string(from)),
    };
    let refuse = |why: String| {
        Problem::new(ErrorCode::BadRequest, format!("No state was read: {name}: {why}."))
            .with_action("Name a file that `pulumi stack export` has written with --from.")
    };
    let text = text.map_err(|error| refuse(error.to_string()))?;
    serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|error| refuse(error.to_string()))?;
    Ok(text)
}

/// The answer, and what comes next.
fn show_repair(repair: &StackRepair, slug: &str, ui: &mut Ui) {
    if ui.json {
        ui.document(&json!(repair));
        return;
    }
    let Some(problem) = &repair.problem else {
        ui.say(format!("The state of stack {} is good: there is nothing to repair.", repair.stack));
        return;
    };
    ui.say(format!("Problem:  {problem}"));
    let Some(copy) = &repair.copy else {
        ui.say("Copies:   none is good.");
        ui.note(format!(
            "Without a copy, a state that was exported before takes its place: `pilot stack import {slug} --from FILE`."
        ));
        return;
    };
    let missing = if repair.exact { "nothing is missing in it" } else { "later changes are missing in it" };
    let made = repair.time.as_deref().map(|time| format!(" of {time}")).unwrap_or_default();
    ui.say(format!("Copy:     {copy}{made}, {} resources; {missing}", repair.resources));
    if let Some(kept) = &repair.kept {
        ui.say(format!("Kept:     {kept}"));
    }
    match (repair.done, repair.exact) {
        (true, true) => ui.note("The state is as it was."),
        (true, false) => ui.note(format!("Compare it with what is really there: `pilot stack diff {slug}`.")),
        (false, _) => ui.note(format!("Nothing was changed. `pilot stack repair {slug} --yes` does it.")),
    }
}

fn check_folder(out: &Path, force: bool) -> Result<(), Problem> {
    let refuse = |why: &str, action: &str| {
        let detail = format!("{} is not used: {why}.", out.display());
        Err(Problem::new(ErrorCode::BadRequest, detail).with_action(action))
    };
    match std::fs::read_dir(out) {
        Ok(mut entries) => match entries.next() {
            Some(_) if !force => {
                refuse("it has files already", "Name a new folder, or write over its files with --force.")
            }
            _ => Ok(()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => refuse(&error.to_string(), "Name a new or empty folder."),
    }
}

fn write(export: &StackExport, out: &Path) -> Result<(), Problem> {
    // All paths first: nothing is written when one of them would leave the folder.
    let files: Vec<(PathBuf, &String)> = export
        .files
        .iter()
        .map(|(name, content)| Ok((inside(out, name)?, content)))
        .collect::<Result<_, Problem>>()?;
    for (path, content) in files {
        let folder = path.parent().unwrap_or(out);
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, content)).map_err(|error| {
            Problem::new(ErrorCode::BadRequest, format!("{} cannot be written: {error}.", path.display()))
                .with_action("Name a folder that you may write to.")
        })?;
    }
    Ok(())
}

fn inside(out: &Path, name: &str) -> Result<PathBuf, Problem> {
    let relative = Path::new(name);
    let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !is_inside {
        let detail = format!("The server's answer has a file {name:?}, which is outside of the folder.");
        return Err(
            Problem::new(ErrorCode::Internal, detail).with_action("Nothing was written; check the server.")
        );
    }
    Ok(out.join(relative))
}

fn show(export: &StackExport, out: &Path, ui: &mut Ui) {
    let names: Vec<&String> = export.files.keys().collect();
    if ui.json {
        ui.document(&json!({ "stack": export.stack, "out": out, "files": names }));
        return;
    }
    for name in &names {
        ui.say(out.join(name).display().to_string());
    }
    ui.note(format!("Stack {}. Next:", export.stack));
    let select = if export.files.contains_key("env.sh") {
        ". ./env.sh && pulumi preview".to_owned()
    } else {
        format!("pulumi preview --stack {}", export.stack)
    };
    ui.note(format!("  cd {} && {select}", out.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(names: &[&str]) -> StackExport {
        let files = names.iter().map(|name| ((*name).to_owned(), format!("content of {name}"))).collect();
        StackExport { stack: "rt-1".to_owned(), files }
    }

    #[test]
    fn files_are_written_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        check_folder(&out, false).unwrap();
        write(&export(&["Pulumi.yaml", "bin/env.sh"]), &out).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("bin/env.sh")).unwrap(), "content of bin/env.sh");
        assert_eq!(check_folder(&out, false).unwrap_err().code, ErrorCode::BadRequest);
        check_folder(&out, true).unwrap();
    }

    #[test]
    fn an_answer_that_would_write_elsewhere_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["../x", "/etc/x", "a/../../x", "", "./x"] {
            assert!(write(&export(&["Pulumi.yaml", bad]), folder.path()).is_err(), "{bad:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
