//! Every error code has a page that is really written, and every page has a code.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::{Finding, Tree};

const CODES: &str = "contracts/src/error.rs";
const SECTIONS: [&str; 3] = ["## What happened", "## Why", "## What to do"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let codes = codes(&tree.text(CODES)?);
    if codes.is_empty() {
        bail!("no codes were found in {CODES}; has the form of the table changed?");
    }
    let mut findings = Vec::new();
    for code in &codes {
        let page = format!("docs/errors/{code}.md");
        match tree.exists(&page) {
            true => findings.extend(unwritten(&page, code, &tree.text(&page)?)),
            false => findings.push(Finding::new(page, format!("the code `{code}` has no page"))),
        }
    }
    for file in &tree.files {
        let name = file.strip_prefix("docs/errors/").and_then(|name| name.strip_suffix(".md"));
        if let Some(code) = name.filter(|name| !codes.contains(*name)) {
            findings.push(Finding::new(file, format!("there is no code `{code}`; remove the page")));
        }
    }
    Ok(findings)
}

/// Lines of the form `Variant "code" 400 final "Title";`.
fn codes(source: &str) -> BTreeSet<String> {
    let line_code = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.next()?.chars().next().filter(char::is_ascii_uppercase)?;
        let code = words.next()?.strip_prefix('"')?.strip_suffix('"')?;
        words.next()?.parse::<u16>().ok()?;
        Some(code.to_owned())
    };
    source.lines().filter_map(line_code).collect()
}

fn unwritten(page: &str, code: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if text.lines().next() != Some(&format!("# {code}")) {
        findings.push(Finding::new(page, format!("the first line is `# {code}`")));
    }
    for section in SECTIONS {
        let body = text.split_once(&format!("{section}\n")).map(|(_, rest)| rest.split("\n## ").next());
        if body.flatten().is_none_or(|body| body.trim().is_empty()) {
            findings.push(Finding::new(page, format!("`{section}` is missing or empty")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_empty_and_left_over_pages_are_found() {
        let source = "error_codes! {\n    NotFound \"not_found\" 404 final \"Nothing\";\n    Busy \"busy\" 409 retry \"B\";\n}\n";
        let page = "# not_found\n\nText.\n\n## What happened\n\nA.\n\n## Why\n\n## What to do\n\nB.\n";
        let (_folder, tree) = Tree::of(&[
            (CODES, source),
            ("docs/errors/not_found.md", page),
            ("docs/errors/gone.md", "# gone\n"),
        ]);
        let found: Vec<String> =
            check(&tree).unwrap().into_iter().map(|f| format!("{}: {}", f.place, f.what)).collect();
        assert_eq!(
            found,
            [
                "docs/errors/busy.md: the code `busy` has no page",
                "docs/errors/not_found.md: `## Why` is missing or empty",
                "docs/errors/gone.md: there is no code `gone`; remove the page",
            ]
        );
    }
}
