//! `pilot ws ssh-config`: an entry for each workspace, in a file of this server that the user's own configuration includes.
//!
//! The user's file gets one line, at its beginning, where no `Host` limits it. Nothing else in it is changed.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::workspace::{Observed, Workspace};
use contracts::{ErrorCode, Problem};
use futures_util::{StreamExt as _, stream};

use super::keys::{Keys, learn};
use super::{Way, options};
use crate::Outcome;
use crate::args::{Connection, Folders, SshConfig};
use crate::client::Client;
use crate::kept::Turn;
use crate::ui::Ui;

/// The user of the image of instances.
const USUAL_USER: &str = "pilot";
/// An instance that does not answer in this time is taken for one that does not run.
const ANSWER: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 8;

pub async fn config(
    client: &Client,
    connection: &Connection,
    folders: &Folders,
    wanted: &SshConfig,
    ui: &mut Ui,
) -> Result<Outcome, Problem> {
    let (keys, way) = (Keys::below(&folders.config)?, Way::of(client, connection, folders)?);
    keys.public()?;
    if connection.token.as_deref().is_some_and(|token| !token.trim().is_empty())
        && connection.token_file.is_none()
    {
        ui.note("PILOT_TOKEN is not kept: where it is not set, ssh finds no token. `pilot login` or --token-file keep one.");
    }
    let workspaces = client.workspaces(&[]).await?.workspaces;
    let users = stream::iter(&workspaces).map(|workspace| user(client, &keys, &way, workspace));
    let users: Vec<_> = users.buffered(AT_ONCE).collect().await;
    let mut text = format!("# Workspaces of {}, written by `pilot ws ssh-config`.\n", client.server());
    let mut guessed = Vec::new();
    for (workspace, user) in workspaces.iter().zip(users) {
        let slug = &workspace.slug;
        let known_hosts = keys.known_hosts(&way.id, slug.as_str())?;
        let (key, proxy) = (keys.private(), way.proxy(slug, &known_hosts));
        if user.is_none() {
            guessed.push(slug.as_str());
        }
        let user = user.unwrap_or_else(|| guess(client, workspace));
        let host = options::Host { user: &user, key: &key, known_hosts: &known_hosts, proxy: &proxy };
        text +=
            &format!("\n{}", options::entry(&format!("{slug}.{}", wanted.suffix), &options::options(&host)?));
    }
    if !guessed.is_empty() {
        ui.note(format!(
            "As whom one logs in to {} is assumed; write the entries again when it runs, if ssh is refused there.",
            guessed.join(", ")
        ));
    }
    let hosts: Vec<_> = workspaces.iter().map(|each| format!("{}.{}", each.slug, wanted.suffix)).collect();
    if !wanted.write {
        match ui.json {
            true => ui.document(&serde_json::json!({ "configuration": text, "hosts": hosts })),
            false => ui.text(&text),
        }
        return Ok(Outcome::Done);
    }
    let folder = keys.entries()?;
    let file = folder.join(format!("{}.conf", way.id));
    let written = Turn::of(file.clone()).and_then(|turn| turn.write_bytes(text.as_bytes()));
    written.map_err(|error| unwritable(&file, &error))?;
    let own = match &wanted.file {
        Some(file) => file.clone(),
        None => usual_file()?,
    };
    include(&own, &format!("Include {}", options::pattern(&folder, "*.conf")?))?;
    match ui.json {
        true => ui.document(&serde_json::json!({ "file": file, "includedBy": own, "hosts": hosts })),
        false => ui.say(format!(
            "{} has {} of them, and {} includes it.",
            file.display(),
            workspaces.len(),
            own.display()
        )),
    }
    Ok(Outcome::Done)
}

/// As the instance says. One that does not run is not woken for it.
async fn user(client: &Client, keys: &Keys, way: &Way, workspace: &Workspace) -> Option<String> {
    if !matches!(workspace.state, Observed::Ready | Observed::Degraded) {
        return None;
    }
    let info = tokio::time::timeout(ANSWER, client.ssh_info(&workspace.slug)).await.ok()?.ok()?;
    let file = keys.known_hosts(&way.id, workspace.slug.as_str()).ok()?;
    learn(&file, &info.host_key).ok()?;
    Some(info.user)
}

/// A process of this machine is the user's own; everything else is made from the image.
fn guess(client: &Client, workspace: &Workspace) -> String {
    let own = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    let is_own = workspace.provider.as_str() == "local" && client.is_here();
    is_own.then(own).flatten().unwrap_or_else(|| USUAL_USER.to_owned())
}

fn usual_file() -> Result<PathBuf, Problem> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home = home.ok_or_else(|| {
        Problem::new(ErrorCode::BadRequest, "Where ssh's configuration is cannot be told: HOME is not set.")
            .with_action("Name the file with --file.")
    })?;
    Ok(home.join(".ssh/config"))
}

/// Puts the line at the beginning of the file, unless it is there.
fn include(file: &Path, line: &str) -> Result<(), Problem> {
    write_include(file, line).map_err(|error| unwritable(file, &error))
}

fn write_include(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // A link stays one: what is replaced is where it leads to.
    let file = match fs::canonicalize(file) {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound => file.to_owned(),
        Err(error) => return Err(error),
    };
    let has_it = |content: &[u8]| {
        content.split(|&byte| byte == b'\n').any(|each| each.trim_ascii() == line.as_bytes())
    };
    let read = || match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    };
    // Most often nothing is to be done, and then no lock is left beside the user's file.
    if has_it(&read()?) {
        return Ok(());
    }
    let turn = Turn::of(file.clone())?;
    let content = read()?;
    if has_it(&content) {
        return Ok(());
    }
    let mode = fs::metadata(&file).map_or(0o600, |found| found.permissions().mode() & 0o777);
    let mut fresh = format!("# Workspaces of Pilot.\n{line}\n\n").into_bytes();
    fresh.extend_from_slice(&content);
    turn.replace(&fresh, mode)
}

fn unwritable(file: &Path, error: &io::Error) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("{} cannot be written: {error}.", file.display()))
        .with_action(
            "Print the entries without --write, and put them where ssh reads them; or name another --file.",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "Include \"/c/ssh/config.d/*.conf\"";

    #[test]
    fn the_users_file_gets_one_line_at_its_beginning_and_is_else_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        let before = b"Host *\n  User me\n\xff no text\n# Include nothing";
        fs::write(&real, before).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for _ in 0..2 {
            include(&link, LINE).unwrap();
        }
        let after = fs::read(&real).unwrap();
        assert_eq!(after, [format!("# Workspaces of Pilot.\n{LINE}\n\n").as_bytes(), before].concat());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn of_many_at_once_each_line_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".ssh/config");
        std::thread::scope(|scope| {
            for number in 0..16 {
                let file = &file;
                scope.spawn(move || include(file, &format!("Include {}", number % 4)).unwrap());
            }
        });
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("Include")).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
