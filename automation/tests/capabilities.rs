//! The table of `CAPABILITIES.md` tells the truth: every item and every test that it names is there.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Capability, Go, Here, Test.
const CELLS: usize = 4;

/// Where the suite lists its cases; each becomes a test of every engine.
const SUITE: &str = "tests/conformance/conformance.rs";

/// One row of the table.
struct Row {
    capability: String,
    /// Paths such as `Stack::up`.
    items: Vec<String>,
    tests: Vec<String>,
}

/// What rows may name.
struct Known {
    /// Every word of the crate's source.
    words: BTreeSet<String>,
    tests: BTreeSet<String>,
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables of the document, or what is wrong with the first bad one.
fn rows(document: &str) -> Result<Vec<Row>, String> {
    let lines = document.lines().map(str::trim).filter(|line| line.starts_with('|'));
    let body = lines.filter(|line| !line.starts_with("| Capability |") && !line.starts_with("|---"));
    body.map(row).collect()
}

fn row(line: &str) -> Result<Row, String> {
    let inner = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    let cells: Vec<&str> =
        inner.ok_or_else(|| format!("no end: {line}"))?.split('|').map(str::trim).collect();
    if cells.len() != CELLS {
        return Err(format!("{} cells and not {CELLS}: {line}", cells.len()));
    }
    if cells.iter().any(|cell| cell.is_empty()) {
        return Err(format!("an empty cell: {line}"));
    }
    let (items, tests) = (quoted(cells[2]), quoted(cells[3]));
    if items.is_empty() || tests.is_empty() {
        return Err(format!("no item or no test: {line}"));
    }
    Ok(Row { capability: cells[0].to_owned(), items, tests })
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The number of rows; fails with the row and the name when one names what is not known.
fn check(document: &str, known: &Known) -> Result<usize, String> {
    let rows = rows(document)?;
    for row in &rows {
        let words = row.items.iter().flat_map(|item| item.split("::"));
        let item = words.map(str::to_owned).find(|word| !known.words.contains(word));
        let test = row.tests.iter().find(|test| !known.tests.contains(*test)).cloned();
        if let Some(missing) = item.or(test) {
            return Err(format!("`{}` names `{missing}`, and there is none", row.capability));
        }
    }
    Ok(rows.len())
}

/// The functions in a source text that have the attribute of a test.
fn tests_of(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some(name) = function_name(line) {
            is_test = false;
            found.push(name.to_owned());
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    line.trim_start_matches("async ").strip_prefix("fn ")?.split(['(', '<']).next()
}

/// The cases in the list of the suite: a name alone on a line.
fn cases_of(suite: &str) -> Vec<String> {
    let is_name = |line: &&str| {
        line.contains('_') && line.chars().all(|letter| matches!(letter, '_' | 'a'..='z' | '0'..='9'))
    };
    suite.lines().map(str::trim).filter(is_name).map(str::to_owned).collect()
}

/// What is in this crate and in the packages below it.
fn known() -> Known {
    let mut tests: BTreeSet<String> = cases_of(&read(&home().join(SUITE))).into_iter().collect();
    let (mut words, source) = (BTreeSet::new(), home().join("src"));
    let mut folders: Vec<PathBuf> = vec![home().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of this crate can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                tests.extend(tests_of(&text));
                if path.starts_with(&source) {
                    let letters = |letter: char| letter != '_' && !letter.is_alphanumeric();
                    words.extend(text.split(letters).map(str::to_owned));
                }
            }
        }
    }
    Known { words, tests }
}

#[test]
fn every_capability_names_a_test_that_exists() {
    let table = read(&home().join("CAPABILITIES.md"));
    let count = check(&table, &known()).unwrap_or_else(|wrong| panic!("CAPABILITIES.md: {wrong}"));
    assert!(count > 100, "only {count} rows were found");
}

#[test]
fn a_row_with_an_unknown_name_or_a_wrong_form_is_refused() {
    let words = ["Thing", "run"].map(str::to_owned).into();
    let known = Known { words, tests: BTreeSet::from(["it_works".to_owned()]) };
    let head = "| Capability | Go | Here | Test |\n|---|---|---|---|\n";
    let wrong = |row: &str| check(&format!("{head}{row}\n"), &known).unwrap_err();
    assert_eq!(check(&format!("{head}| a | - | `Thing::run` | `it_works` (argv) |\n"), &known), Ok(1));
    for (row, reason) in [
        ("| a | - | `Thing` | `it_works`, `it_does_not` |", "`a` names `it_does_not`"),
        ("| a | - | `Thing::walk` | `it_works` |", "`a` names `walk`"),
        ("| a | - | `it_works` |", "3 cells"),
        ("| a | - | b | c | `it_works` |", "5 cells"),
        ("| a | | `Thing` | `it_works` |", "an empty cell"),
        ("| a | - | `Thing` | not yet |", "no item or no test"),
        ("| a | - | `Thing` | `it_works`", "no end"),
    ] {
        assert!(wrong(row).contains(reason), "{row}: {}", wrong(row));
    }
}

#[test]
fn a_helper_is_no_test() {
    let attribute = ["#[te", "st]"].concat();
    let source =
        format!("fn helper() {{}}\n{attribute}\n// Why.\nfn proves(a in 0..4) {{}}\nfn other() {{}}\n");
    assert_eq!(tests_of(&source), ["proves"]);
    let suite = "conformance!($subject:\n    a_case\n    another_case\n);\nmod cases;\n";
    assert_eq!(cases_of(suite), ["a_case", "another_case"]);
}
