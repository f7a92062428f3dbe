//! Code in documentation is quoted from code that is compiled and tested: the first line of a block names
//! the file, and the rest must be in it, line for line. `// ...` alone on a line leaves something out.

use anyhow::Result;

use super::{Finding, Tree};

const PAGES: [&str; 1] = ["docs/adding-a-provider.md"];
const GAP: &str = "// ...";

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for page in PAGES.into_iter().filter(|page| tree.exists(page)) {
        for (line, block) in rust_blocks(&tree.text(page)?) {
            let place = format!("{page}:{line}");
            let Some(source) = block.first().and_then(|first| first.strip_prefix("// ")) else {
                findings.push(Finding::new(place, "begin the block with `// path/of/the/file.rs`"));
                continue;
            };
            if !tree.exists(source) {
                findings.push(Finding::new(place, format!("there is no file {source}")));
                continue;
            }
            let text = tree.text(source)?;
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for part in block[1..].split(|line| line.trim() == GAP).filter(|part| !part.is_empty()) {
                let wanted: Vec<&str> = part.iter().map(|line| line.trim()).collect();
                if !lines.windows(wanted.len()).any(|window| window == wanted) {
                    let what = format!("{source} does not have these lines any more: {:?} ...", wanted[0]);
                    findings.push(Finding::new(place.clone(), what));
                }
            }
        }
    }
    Ok(findings)
}

/// Each block with the number of its opening line.
fn rust_blocks(page: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line == "```rust" {
            let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            blocks.push((index + 1, block.collect()));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_that_is_not_in_its_file_is_found() {
        let page = "```rust\n// a.rs\nfn a() {\n// ...\n    two();\n```\n\n```rust\n// a.rs\nfn b() {\n```\n\n```rust\nfn c() {}\n```\n";
        let code = "impl X {\n    fn a() {\n        one();\n        two();\n    }\n}\n";
        let (_folder, tree) = Tree::of(&[("docs/adding-a-provider.md", page), ("a.rs", code)]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["docs/adding-a-provider.md:8", "docs/adding-a-provider.md:13"]);
    }
}
