//! A trait that an author of a provider implements has at most six required methods, so that the first one compiles within a
//! day. Counted in the text as `cargo fmt` leaves it: a method without a body ends with a semicolon.

use anyhow::Result;

use super::{Finding, Tree, product_lines};

const FOLDER: &str = "providers/provider-api/src/";
const MOST: usize = 6;

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| file.starts_with(FOLDER)) {
        for (line, name, required) in traits(&tree.text(file)?) {
            if required > MOST {
                let what = format!(
                    "{name} has {required} required methods, and {MOST} is the most: give some a default, or split it"
                );
                findings.push(Finding::new(format!("{file}:{line}"), what));
            }
        }
    }
    Ok(findings)
}

/// Line, name and number of required methods of each trait.
fn traits(text: &str) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    let mut lines = product_lines(text);
    while let Some((number, line)) = lines.next() {
        let Some(after) = line.strip_prefix("pub trait ") else { continue };
        let name = after.split([':', ' ', '<', '{']).next().unwrap_or_default();
        let (mut required, mut in_signature) = (0, false);
        if line.ends_with('}') {
            found.push((number, name, required));
            continue;
        }
        for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "}") {
            in_signature |= ["    fn ", "    async fn "].iter().any(|begin| line.starts_with(begin));
            if in_signature && line.ends_with([';', '{', '}']) {
                required += usize::from(line.ends_with(';'));
                in_signature = false;
            }
        }
        found.push((number, name, required));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_without_a_body_are_counted_however_long_their_signature_is() {
        let text = "/// With a fn in words;\npub trait Small: Send {\n    /// A fn of words;\n    fn one(&self);\n    async fn two(\n        &self,\n        \
                    (a, b): (u8, u8),\n    ) -> Result<()>;\n    fn three(&self) -> u8 {\n        let four = fn_of(five);\n        four\n    }\n}\n";
        assert_eq!(traits(text), [(2, "Small", 2)]);
    }

    #[test]
    fn a_trait_with_a_seventh_required_method_is_found() {
        let methods = |count: usize| "    fn a(&self);\n".repeat(count);
        let text = format!("pub trait Fits {{\n{}}}\npub trait Large {{\n{}}}\n", methods(6), methods(7));
        let (_folder, tree) = Tree::of(&[
            ("providers/provider-api/src/a.rs", &text),
            ("providers/provider-api/src/b.rs", &format!("pub trait Empty: Send {{}}\n{text}")),
            ("orchestrator/src/a.rs", &text),
        ]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["providers/provider-api/src/a.rs:9", "providers/provider-api/src/b.rs:10"]);
    }

    #[test]
    fn the_traits_of_this_repository_are_all_read() {
        let tree = Tree::read().unwrap();
        let files = tree.rust().filter(|file| file.starts_with(FOLDER));
        let found: Vec<(String, usize)> = files
            .flat_map(|file| {
                let text = tree.text(file).unwrap();
                let found = traits(&text).into_iter().map(|(_, name, required)| (name.to_owned(), required));
                found.collect::<Vec<_>>()
            })
            .collect();
        for expected in ["Provider", "Resource", "Lifecycle"] {
            let required = found.iter().find(|(name, _)| name == expected).map(|(_, required)| *required);
            assert!(required.is_some_and(|required| (2..=MOST).contains(&required)), "{expected}: {found:?}");
        }
    }
}
