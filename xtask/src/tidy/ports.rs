//! Host ports are written once, in NETWORK.yml; the programs read them from there. So no 14xxx literal
//! stands in product code, and what the documents say is what the file says.

use anyhow::Result;

use super::{Finding, Tree, is_test_file, product_lines};
use crate::network::Network;

/// Reads the file, and shows its numbers as examples in its own errors.
const READER: &str = "contracts/src/network.rs";
const DOCUMENTS: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let network: Network = serde_saphyr::from_str(&tree.text("NETWORK.yml")?)?;
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !is_test_file(file) && *file != READER) {
        let text = tree.text(file)?;
        for (number, line) in product_lines(&text) {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for port in ports(line) {
                let what =
                    format!("the port {port} is written here; read it from NETWORK.yml (contracts::network)");
                findings.push(Finding::new(format!("{file}:{number}"), what));
            }
        }
    }
    for file in DOCUMENTS.into_iter().filter(|file| tree.exists(file)) {
        let text = tree.text(file)?;
        for (index, line) in text.lines().enumerate() {
            for port in ports(line).filter(|port| !network.names(*port)) {
                findings.push(Finding::new(
                    format!("{file}:{}", index + 1),
                    format!("NETWORK.yml has no port {port}"),
                ));
            }
        }
    }
    Ok(findings)
}

/// Numbers from 14000 to 14999 that stand alone.
fn ports(line: &str) -> impl Iterator<Item = u16> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .filter_map(|word| word.trim_end_matches("u16").trim_end_matches('.').replace('_', "").parse().ok())
        .filter(|port| (14_000..15_000).contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = "host: {gateway: {http: 14080, https: 14443}, orchestrator: 14010, admin: 14090, \
                           instances: {first: 14300, last: 14999}}\n";

    #[test]
    fn a_port_in_code_and_an_unknown_port_in_a_document_are_found() {
        let code = "// 14080 is fine here\nlet a = 14_080u16;\nlet b = \"127.0.0.1:14010\";\nlet c = 141234;\n\
                    #[cfg(test)]\nmod tests { const P: u16 = 14080; }\n";
        let (_folder, tree) = Tree::of(&[
            ("NETWORK.yml", NETWORK),
            ("cli/src/a.rs", code),
            ("README.md", "http://demo.localhost:14080 and\nhttp://localhost:14081\n"),
        ]);
        let places: Vec<String> = check(&tree).unwrap().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["cli/src/a.rs:2", "cli/src/a.rs:3", "README.md:2"]);
    }
}
