//! A set of changes to a checkout that is made as a whole or not at all.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Remembers how everything was, and puts it back when it is dropped before [`keep`](Self::keep).
pub struct Scaffold {
    root: PathBuf,
    /// Files and what was in them; `None` for new ones.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// New folders, the outer before the inner.
    folders: Vec<PathBuf>,
    kept: bool,
}

impl Scaffold {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: Vec::new(), folders: Vec::new(), kept: false }
    }

    /// Will be put back as it is now, whoever changes it.
    pub fn remember(&mut self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        let before = match fs::read(&path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.files.push((path, before));
        Ok(())
    }

    pub fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        self.make_folder(self.root.join(path).parent().unwrap_or(&self.root).to_owned())?;
        self.remember(path)?;
        fs::write(self.root.join(path), text)
    }

    /// The changes stay.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn make_folder(&mut self, folder: PathBuf) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folder(parent.to_owned())?;
        }
        fs::create_dir(&folder)?;
        self.folders.push(folder);
        Ok(())
    }
}

impl Drop for Scaffold {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // As far as it goes: git shows what could not be put back.
        for (path, before) in self.files.drain(..).rev() {
            let _ = match before {
                Some(content) => fs::write(path, content),
                None => fs::remove_file(path),
            };
        }
        for folder in self.folders.drain(..).rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_put_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::write(at("old"), "before").unwrap();
        let change = || {
            let mut scaffold = Scaffold::new(folder.path());
            scaffold.write("old", "after").unwrap();
            scaffold.write("new/inner/file", "x").unwrap();
            scaffold.remember("lock").unwrap();
            fs::write(at("lock"), "made by another program").unwrap();
            scaffold
        };
        drop(change());
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is there");
        change().keep();
        assert_eq!(fs::read_to_string(at("new/inner/file")).unwrap(), "x");
    }
}
