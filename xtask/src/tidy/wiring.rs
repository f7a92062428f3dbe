//! Only `orchestrator/src/wiring.rs` names concrete providers, so that adding one is one line there.

use anyhow::Result;

use super::{Finding, Tree, is_test_file, product_lines};

const WIRING: &str = "orchestrator/src/wiring.rs";
const PROVIDERS: [&str; 3] = ["provider_local", "provider_docker", "provider_cloudflare"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    // A provider may name itself, and xtask names the words to look for.
    let elsewhere = |file: &&String| {
        *file != WIRING
            && !file.starts_with("providers/")
            && !file.starts_with("xtask/")
            && !is_test_file(file)
    };
    for file in tree.rust().filter(elsewhere) {
        let text = tree.text(file)?;
        for (number, line) in product_lines(&text) {
            if let Some(name) = PROVIDERS.into_iter().find(|name| line.contains(name)) {
                findings.push(Finding::new(
                    format!("{file}:{number}"),
                    format!("names `{name}`; only {WIRING} may, use the provider-api traits here"),
                ));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_named_outside_the_wiring_is_found() {
        let names = "use provider_local::Local;\n";
        let tested = "fn a() {}\n#[cfg(test)]\nmod tests { use provider_docker::Docker; }\n";
        let (_folder, tree) = Tree::of(&[
            ("orchestrator/src/wiring.rs", names),
            ("orchestrator/src/api.rs", names),
            ("orchestrator/src/runner.rs", tested),
            ("tests/tests/engine_all.rs", names),
        ]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["orchestrator/src/api.rs:1"]);
    }
}
