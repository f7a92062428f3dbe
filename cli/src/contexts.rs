//! `contexts.json`: the servers that `pilot login` has stored, with their tokens. Only its owner can read it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use contracts::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use url::Url;

#[derive(Default, Serialize, Deserialize)]
pub struct Contexts {
    /// The one that is used when nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// Not `Debug`: it has a token.
#[derive(Clone, Serialize, Deserialize)]
pub struct Context {
    pub server: Url,
    /// Absent when `login` was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    pub token: String,
}

pub fn default_folder() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = var("XDG_CONFIG_HOME").or_else(|| var("HOME").map(|home| home.join(".config")));
    config.unwrap_or_else(|| PathBuf::from("/etc")).join("pilot")
}

impl Contexts {
    /// None where there is no file. One that cannot be read is never taken for empty: it would be written over.
    pub fn read(folder: &Path) -> Result<Self, Problem> {
        let path = path(folder);
        let unreadable = |why: String| {
            Problem::new(ErrorCode::BadRequest, format!("{} cannot be read: {why}.", path.display()))
                .with_action("Mend the file, or move it away and `pilot login` again.")
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    pub fn write(&self, folder: &Path) -> Result<(), Problem> {
        self.replace(folder).map_err(|error| {
            Problem::new(
                ErrorCode::BadRequest,
                format!("{} cannot be written: {error}.", path(folder).display()),
            )
            .with_action("Name a folder that you may write to with --config or PILOT_CONFIG.")
        })
    }

    /// Written beside and renamed, so that a reader sees all of it or what was there before.
    fn replace(&self, folder: &Path) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let fresh = path(folder).with_extension(format!("{}.new", std::process::id()));
        // What an earlier process of this number left may have other rights.
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&fresh, path(folder)));
        if written.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        written
    }

    pub fn get(&self, name: &str) -> Result<&Context, Problem> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            let known = if names.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            Problem::new(ErrorCode::NotFound, format!("There is no context {name}; {known}."))
                .with_title("There is no such context")
                .with_action("`pilot login URL --name NAME` makes one.")
        })
    }

    /// The current one with its name.
    pub fn current(&self) -> Option<(&str, &Context)> {
        let name = self.current.as_deref()?;
        Some((name, self.contexts.get(name)?))
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("contexts.json")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn context(server: &str) -> Context {
        Context { server: server.parse().unwrap(), gateway: None, ca: None, token: "secret".to_owned() }
    }

    #[test]
    fn what_is_written_is_read_again_and_nobody_else_can() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        assert!(Contexts::read(&folder).unwrap().contexts.is_empty());
        let mut contexts = Contexts::default();
        contexts.contexts.insert("prod".to_owned(), context("https://a:1"));
        contexts.current = Some("prod".to_owned());
        contexts.write(&folder).unwrap();
        contexts.contexts.insert("test".to_owned(), context("https://b:1"));
        contexts.write(&folder).unwrap();
        let read = Contexts::read(&folder).unwrap();
        assert_eq!((read.current().unwrap().0, read.contexts.len()), ("prod", 2));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path(&folder))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_empty() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "{").unwrap();
        let problem = Contexts::read(folder.path()).err().unwrap();
        assert!(problem.detail.contains("contexts.json"), "{problem}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let mut contexts = Contexts::default();
        assert!(contexts.get("x").err().unwrap().detail.contains("there is none"));
        contexts.contexts.insert("prod".to_owned(), context("https://a:1"));
        assert!(contexts.get("x").err().unwrap().detail.contains("there are: prod"));
    }
}
