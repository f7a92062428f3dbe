//! The import rule: packages never depend on services, and `gateway` and `instance-image` know the
//! orchestrator only through `contracts`. Read from the Cargo.toml files, so it holds for every target.

use anyhow::Result;

use super::{Finding, Tree};

const SERVICES: [&str; 4] = ["orchestrator", "gateway", "instance-image", "cli"];
/// Services that must not know the orchestrator's code.
const APART: [&str; 2] = ["gateway", "instance-image"];
/// Test crate and developer tool: they may use anything.
const FREE: [&str; 2] = ["tests", "xtask"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.ends_with("/Cargo.toml")) {
        let folder = file.trim_end_matches("/Cargo.toml");
        let is_service = SERVICES.contains(&folder);
        if FREE.contains(&folder) {
            continue;
        }
        for (line, dependency) in dependencies(&tree.text(file)?) {
            let reason = if !is_service && SERVICES.contains(&dependency.as_str()) {
                format!(
                    "package `{folder}` depends on the service `{dependency}`; move what it needs to a package"
                )
            } else if APART.contains(&folder) && dependency == "orchestrator" {
                format!("`{folder}` may know the orchestrator only through `contracts`")
            } else {
                continue;
            };
            findings.push(Finding::new(format!("{file}:{line}"), reason));
        }
    }
    Ok(findings)
}

/// Names in all dependency tables except the ones for tests, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside =
                table == "dependencies" || table == "build-dependencies" || table.ends_with(".dependencies");
            // `[dependencies.name]` is a table of its own.
            if let Some(name) = table.strip_prefix("dependencies.") {
                found.push((index + 1, name.to_owned()));
            }
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() {
                found.push((index + 1, name.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_uses_a_service_is_found_and_tests_are_free() {
        let bad = "[package]\nname = \"proxy\"\n[dependencies]\nhttp.workspace = true\ngateway = { workspace = true }\n";
        let dev = "[package]\n[dev-dependencies]\norchestrator.workspace = true\n";
        let apart = "[dependencies.orchestrator]\nworkspace = true\n";
        let (_folder, tree) = Tree::of(&[
            ("proxy/Cargo.toml", bad),
            ("backend/Cargo.toml", dev),
            ("gateway/Cargo.toml", apart),
            ("cli/Cargo.toml", "[dependencies]\norchestrator.workspace = true\n"),
        ]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["proxy/Cargo.toml:5", "gateway/Cargo.toml:1"]);
    }
}
