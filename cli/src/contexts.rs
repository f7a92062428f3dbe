//! `contexts.json`: the servers that `pilot login` has stored, with their tokens. Only its owner can read it.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use contracts::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::kept::Turn;

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

    /// The one way to change them, so that of two commands at once none undoes what the other did: what is changed is
    /// what the file has now, and nobody else changes it meanwhile. A change that fails writes nothing.
    pub fn change(
        folder: &Path,
        change: impl FnOnce(&mut Self) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let unwritable = |error: std::io::Error| {
            Problem::new(
                ErrorCode::BadRequest,
                format!("{} cannot be written: {error}.", path(folder).display()),
            )
            .with_action("Name a folder that you may write to with --config or PILOT_CONFIG.")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
        let turn = Turn::of(path(folder)).map_err(unwritable)?;
        let mut contexts = Self::read(folder)?;
        change(&mut contexts)?;
        turn.write(&contexts).map_err(unwritable)?;
        Ok(contexts)
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
        for (name, server) in [("prod", "https://a:1"), ("test", "https://b:1")] {
            let add = |contexts: &mut Contexts| {
                contexts.contexts.insert(name.to_owned(), context(server));
                contexts.current.get_or_insert(name.to_owned());
                Ok(())
            };
            Contexts::change(&folder, add).unwrap();
        }
        let read = Contexts::read(&folder).unwrap();
        assert_eq!((read.current().unwrap().0, read.contexts.len()), ("prod", 2));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path(&folder))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "the lock alone is left beside it");
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let folder = folder.path();
                scope.spawn(move || {
                    let name = format!("ctx{number}");
                    let add = |contexts: &mut Contexts| {
                        contexts.contexts.insert(name.clone(), context("https://a:1"));
                        Ok(())
                    };
                    Contexts::change(folder, add).unwrap();
                    if number % 2 == 0 {
                        let remove = |contexts: &mut Contexts| {
                            contexts.contexts.remove(&name);
                            Ok(())
                        };
                        Contexts::change(folder, remove).unwrap();
                    }
                });
            }
        });
        let names: Vec<_> = Contexts::read(folder.path()).unwrap().contexts.into_keys().collect();
        assert_eq!(names.len(), 8, "{names:?}");
    }

    #[test]
    fn a_change_that_is_refused_writes_nothing_and_lets_the_next_one_in() {
        let folder = tempfile::tempdir().unwrap();
        let refuse = |contexts: &mut Contexts| contexts.get("x").map(|_| ());
        assert!(Contexts::change(folder.path(), refuse).is_err());
        assert!(!path(folder.path()).exists());
        assert!(Contexts::change(folder.path(), |_| Ok(())).is_ok());
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
