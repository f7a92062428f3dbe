//! Only `orchestrator/src/wiring.rs` names concrete providers, so that adding one is one line there.

use anyhow::Result;

use super::{Finding, Tree, is_test_file, product_lines};

const WIRING: &str = "orchestrator/src/wiring.rs";

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let providers = providers(tree);
    // A provider may name itself, xtask names the words to look for, and programs of benchmarks are no product.
    let elsewhere = |file: &&String| {
        *file != WIRING
            && !file.starts_with("providers/")
            && !file.starts_with("xtask/")
            && !file.contains("/examples/")
            && !is_test_file(file)
    };
    for file in tree.rust().filter(elsewhere) {
        let text = tree.text(file)?;
        for (number, line) in product_lines(&text) {
            if let Some(name) = providers.iter().find(|name| names(line, name)) {
                findings.push(Finding::new(
                    format!("{file}:{number}"),
                    format!("names `{name}`; only {WIRING} may, use the provider-api traits here"),
                ));
            }
        }
    }
    Ok(findings)
}

/// The crates of `providers/` that are modules, as code names them; the others begin with `provider-`.
fn providers(tree: &Tree) -> Vec<String> {
    let folder = |file: &String| {
        let folder = file.strip_prefix("providers/")?.strip_suffix("/Cargo.toml")?;
        let is_module = !folder.contains('/') && !folder.starts_with("provider-");
        is_module.then(|| format!("provider_{}", folder.replace('-', "_")))
    };
    tree.files.iter().filter_map(folder).collect()
}

/// Whether a line has the name, and not only as the beginning of a longer one.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let after = line[at + name.len()..].chars().next();
        !after.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_named_outside_the_wiring_is_found() {
        let names = "use provider_local::Local;\n";
        let tested = "fn a() {}\n#[cfg(test)]\nmod tests { use provider_docker::Docker; }\n";
        let (_folder, tree) = Tree::of(&[
            ("providers/local/Cargo.toml", ""),
            ("providers/docker/Cargo.toml", ""),
            ("providers/provider-api/Cargo.toml", ""),
            ("cli/src/a.rs", "use provider_api::Provider; use provider_locally::X;"),
            ("orchestrator/src/wiring.rs", names),
            ("orchestrator/src/api.rs", names),
            ("orchestrator/src/runner.rs", tested),
            ("tests/tests/engine_all.rs", names),
        ]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["orchestrator/src/api.rs:1"]);
    }
}
