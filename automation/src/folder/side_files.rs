//! Mends what a killed CLI can leave of a file backend's side files.
//!
//! The backend keeps a `.attrs` file with each of its files and writes it in place: a CLI that is killed
//! in between leaves it empty, and then the file beside it, which is whole, counts as unreadable. A side
//! file holds nothing that is needed, so a broken one is removed. State itself is never touched.

use std::path::Path;

/// Looks at the side files of one stack's state and of the backend itself.
pub(crate) fn heal(backend: &Path, project: &str, stack: &str) {
    let root = backend.join(".pulumi");
    heal_side_file(&root, "meta.yaml");
    for extension in ["json", "json.gz", "json.zst"] {
        for copy in ["", ".bak"] {
            heal_side_file(&root.join("stacks").join(project), &format!("{stack}.{extension}{copy}"));
        }
    }
    heal_side_file(&root.join("stacks").join(project), &format!("{stack}.pulumi-tags"));
}

fn heal_side_file(folder: &Path, of: &str) {
    let path = folder.join(format!("{of}.attrs"));
    let Ok(content) = std::fs::read(&path) else { return };
    if serde_json::from_slice::<serde::de::IgnoredAny>(&content).is_err() {
        tracing::warn!(file = %path.display(), "removing a broken side file of the state");
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_side_file_of_this_stack_is_removed() {
        let backend = tempfile::tempdir().unwrap();
        let folder = backend.path().join(".pulumi/stacks/p");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, content) in
            [("s.json", "{"), ("s.json.attrs", ""), ("s.json.bak.attrs", "{}"), ("s.eu.json.attrs", "")]
        {
            std::fs::write(folder.join(name), content).unwrap();
        }
        heal(backend.path(), "p", "s");
        let left = |name: &str| folder.join(name).exists();
        assert!(!left("s.json.attrs"));
        assert!(left("s.json") && left("s.json.bak.attrs") && left("s.eu.json.attrs"));
    }
}
