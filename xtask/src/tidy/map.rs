//! Every path that ARCHITECTURE.md names in backticks exists: a map with wrong names is worse than none.

use anyhow::Result;

use super::{Finding, Tree};

const MAP: &str = "ARCHITECTURE.md";
const LINES: usize = 300;

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    if !tree.exists(MAP) {
        return Ok(vec![Finding::new(MAP, "is missing")]);
    }
    let text = tree.text(MAP)?;
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > LINES {
        findings.push(Finding::new(MAP, format!("{lines} lines; the limit is {LINES}")));
    }
    findings.extend(missing_paths(tree, MAP, &text));
    Ok(findings)
}

/// Of all that a document names.
pub(super) fn missing_paths(tree: &Tree, document: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for path in quoted(line).filter(|text| is_path(tree, text) && !tree.exists(text)) {
            findings.push(Finding::new(format!("{document}:{}", index + 1), format!("there is no `{path}`")));
        }
    }
    findings
}

pub(super) fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A path names a folder (`contracts/`), a file below one (`cli/src/main.rs`) or a file at the root
/// (`NETWORK.yml`). Routes, globs and words are not paths.
fn is_path(tree: &Tree, text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if !plain || text.starts_with(['/', '.']) && !text.starts_with(".ci") || text.contains("//") {
        return false;
    }
    match text.split_once('/') {
        Some((_, "")) => true,
        Some((first, _)) => tree.exists(first) || text.ends_with(".rs") || text.ends_with(".md"),
        None => [".md", ".yml", ".toml", ".lock"].iter().any(|ending| text.ends_with(ending)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let map =
            "`cli/src/main.rs` and `cli/src/gone.rs`, `NETWORK.yml`, `text/event-stream`, `/v1/x`, `none/`\n";
        let (_folder, tree) = Tree::of(&[(MAP, map), ("cli/src/main.rs", ""), ("NETWORK.yml", "")]);
        let what: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.what).collect();
        assert_eq!(what, ["there is no `cli/src/gone.rs`", "there is no `none/`"]);
    }
}
