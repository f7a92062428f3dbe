//! What the glossary names exists: files and folders, and types by their names.

use anyhow::Result;

use super::map::{missing_paths, quoted};
use super::{Finding, Tree};

const GLOSSARY: &str = "docs/glossary.md";

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    if !tree.exists(GLOSSARY) {
        return Ok(Vec::new());
    }
    let text = tree.text(GLOSSARY)?;
    let mut findings = missing_paths(tree, GLOSSARY, &text);
    let mut sources = String::new();
    for file in tree.files.iter().filter(|file| file.ends_with(".rs") && !file.starts_with("xtask/")) {
        sources.push_str(&tree.text(file)?);
    }
    for (index, line) in text.lines().enumerate() {
        for name in quoted(line).filter_map(type_name) {
            let is_there = ["struct", "enum", "trait", "type"]
                .iter()
                .any(|kind| declares(&sources, kind, name) || sources.contains(&format!("\n    {name}, \"")));
            if !is_there {
                findings.push(Finding::new(
                    format!("{GLOSSARY}:{}", index + 1),
                    format!("there is no type `{name}`"),
                ));
            }
        }
    }
    Ok(findings)
}

/// `Lifecycle`, and the first part of `RunStatus::Pending`.
fn type_name(text: &str) -> Option<&str> {
    let name = text.split("::").next()?;
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric());
    is_name.then_some(name)
}

fn declares(sources: &str, kind: &str, name: &str) -> bool {
    let words = format!("{kind} {name}");
    sources.match_indices(&words).any(|(at, _)| {
        let after = sources[at + words.len()..].chars().next();
        after.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_and_a_path_that_do_not_exist_are_found() {
        let glossary =
            "`Site` in `a/src/site.rs`, `Sight`, `Run::Pending`, `RuntimeId`, `docker`, `a/src/gone.rs`\n";
        let source =
            "pub struct Site {}\npub enum Run {}\nids! {\n    RuntimeId, \"runtime id\"\n}\nstruct Sights;\n";
        let (_folder, tree) = Tree::of(&[(GLOSSARY, glossary), ("a/src/site.rs", source)]);
        let what: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.what).collect();
        assert_eq!(what, ["there is no `a/src/gone.rs`", "there is no type `Sight`"]);
    }
}
