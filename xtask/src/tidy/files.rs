//! Sizes and names: files of at most 400 lines, a short main, no `mod.rs`, test names that say what holds.

use anyhow::Result;

use super::{Finding, Tree};

const LINES: usize = 400;
const MAIN_LINES: usize = 100;

/// Written by `cargo xtask proto` and long; that nobody has changed them is a check of its own.
const GENERATED: [&str; 2] = ["automation/src/wire/generated.rs", "automation/tests/support/cloud/rpc.rs"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let text = tree.text(file)?;
        let lines = text.lines().count();
        if lines > LINES && !GENERATED.contains(&file.as_str()) {
            findings
                .push(Finding::new(file, format!("{lines} lines; the limit is {LINES}, split it by job")));
        }
        if file.ends_with("src/main.rs") && lines >= MAIN_LINES {
            findings.push(Finding::new(file, format!("{lines} lines; a main stays below {MAIN_LINES}")));
        }
        if file.ends_with("/mod.rs") {
            findings.push(Finding::new(file, "use foo.rs beside foo/ instead of foo/mod.rs"));
        }
        findings.extend(test_names(file, &text));
    }
    Ok(findings)
}

fn test_names(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_test = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            in_test = true;
        } else if in_test && let Some(name) = function_name(line) {
            in_test = false;
            if name.starts_with("test_") {
                let place = format!("{file}:{}", index + 1);
                findings.push(Finding::new(place, format!("`{name}`: name the behaviour, without `test_`")));
            }
        }
    }
    findings
}

fn function_name(line: &str) -> Option<&str> {
    line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ")?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_mod_files_and_test_prefixes_are_found() {
        let long = "\n".repeat(401);
        let prefixed = ["#[te", "st]\nfn test", "_it() {}\n"].concat();
        let (_folder, tree) = Tree::of(&[
            ("a/src/lib.rs", &long),
            ("a/src/b/mod.rs", ""),
            ("a/src/c.rs", &prefixed),
            ("a/d.rs", ""),
            (GENERATED[0], &long),
        ]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["a/src/lib.rs", "a/src/b/mod.rs", "a/src/c.rs:2"]);
    }
}
