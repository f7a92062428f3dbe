//! Where the versions are written, as functions from text to text.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Of all versions; programs and tests read it.
pub const FILE: &str = "automation/versions.json";
/// The Go modules that are built with Pulumi.
pub const MODULES: [&str; 4] = ["engine/host", "engine/tools", "engine/languages", "engine/peer"];
/// The program in TypeScript that a test runs.
pub const TYPESCRIPT: &str = "tests/tests/engine_sdk/programs/typescript/package.json";
/// Pages for people that name the newest Pulumi or the Go that it needs.
pub const PAGES: [&str; 3] = ["README.md", "docs/install.md", "docs/errors/pulumi_missing.md"];

/// What the file says, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    pub pulumi: Pulumi,
    pub yaml: String,
    pub nodejs: String,
    pub python: String,
    pub go: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulumi {
    pub oldest: String,
    pub between: String,
    pub newest: String,
}

impl Versions {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// Three numbers.
pub fn is_version(text: &str) -> bool {
    let numbers: Vec<_> = text.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A go.mod with these versions; `go mod tidy` does the rest.
pub fn go_mod(text: &str, versions: &Versions) -> String {
    let pulumi =
        |part: &str| (format!("github.com/pulumi/pulumi/{part}/v3 v"), versions.pulumi.newest.clone());
    let pinned =
        [pulumi("pkg"), pulumi("sdk"), ("github.com/pulumi/pulumi-yaml v".to_owned(), versions.yaml.clone())];
    let line = |line: &str| {
        if line.starts_with("go ") {
            return format!("go {}\n", versions.go);
        }
        for (module, version) in &pinned {
            if let Some((before, after)) = line.split_once(module.as_str()) {
                let rest = after.find([' ', '\n']).map_or("", |end| &after[end..]);
                return format!("{before}{module}{version}{rest}");
            }
        }
        line.to_owned()
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The Go that a go.mod asks for.
pub fn go_directive(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("go ")).map(str::trim)
}

/// A page with the new versions in place of the old.
pub fn page(text: &str, before: &Versions, after: &Versions) -> String {
    let go = |version: &str| format!("Go {version}");
    text.replace(&before.pulumi.newest, &after.pulumi.newest).replace(&go(&before.go), &go(&after.go))
}

/// How a package.json names the SDK.
pub fn npm(version: &str) -> String {
    format!("\"@pulumi/pulumi\": \"{version}\"")
}

/// How requirements name the SDK.
pub fn pip(version: &str) -> String {
    format!("pulumi=={version}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{paths, versions};

    fn these() -> Versions {
        Versions::read(&paths::root().join(FILE)).unwrap()
    }

    fn text(path: &str) -> String {
        fs::read_to_string(paths::root().join(path)).unwrap()
    }

    #[test]
    fn the_command_and_the_constants_read_the_same_file() {
        let file = these();
        assert_eq!(file.pulumi.newest, versions::NEWEST);
        assert_eq!((file.go.as_str(), file.yaml.as_str()), (versions::GO, versions::YAML));
        assert_eq!(serde_json::to_string_pretty(&file).unwrap() + "\n", text(FILE));
    }

    #[test]
    fn every_module_lock_and_page_is_of_these_versions() {
        let file = these();
        for module in MODULES {
            let written = text(&format!("{module}/go.mod"));
            assert_eq!(written, go_mod(&written, &file), "{module}");
            assert!(written.contains(&format!(" v{}", file.pulumi.newest)), "{module}");
        }
        for package in ["engine/languages/package.json", TYPESCRIPT] {
            assert!(text(package).contains(&npm(&file.nodejs)), "{package}");
        }
        for requirements in ["requirements.in", "requirements.txt"] {
            assert!(text(&format!("engine/languages/{requirements}")).contains(&pip(&file.python)));
        }
        assert!(text("README.md").contains(&format!("Go {}", file.go)));
        for page in &PAGES[1..] {
            assert!(text(page).contains(&file.pulumi.newest), "{page}");
        }
    }

    #[test]
    fn an_upgrade_changes_the_versions_and_nothing_else() {
        let before = these();
        let mut after = before.clone();
        after.pulumi.newest = "3.999.1".to_owned();
        after.go = "1.99.0".to_owned();
        after.yaml = "1.99.9".to_owned();
        let module = "module m\n\ngo 1.2.3\n\nrequire github.com/pulumi/pulumi/pkg/v3 v3.1.0\n\nrequire (\n\
            \tgithub.com/pulumi/pulumi-yaml v1.0.0\n\tgithub.com/pulumi/pulumi/sdk/v3 v3.1.0 // indirect\n\
            \tgithub.com/pulumi/inflector v0.2.1 // indirect\n)\n";
        assert_eq!(
            go_mod(module, &after),
            "module m\n\ngo 1.99.0\n\nrequire github.com/pulumi/pulumi/pkg/v3 v3.999.1\n\nrequire (\n\
            \tgithub.com/pulumi/pulumi-yaml v1.99.9\n\tgithub.com/pulumi/pulumi/sdk/v3 v3.999.1 // indirect\n\
            \tgithub.com/pulumi/inflector v0.2.1 // indirect\n)\n"
        );
        let page_before = format!("Go {} or newer; pulumi-{}/pulumi", before.go, before.pulumi.newest);
        assert_eq!(page(&page_before, &before, &after), "Go 1.99.0 or newer; pulumi-3.999.1/pulumi");
    }

    #[test]
    fn only_three_numbers_are_a_version() {
        assert!(is_version("3.276.0"));
        for text in ["v3.276.0", "3.276", "3.276.0-beta", "latest", "3..0", ""] {
            assert!(!is_version(text), "{text}");
        }
    }

    #[test]
    fn the_go_that_a_module_asks_for_is_read() {
        assert_eq!(go_directive("module m\n\ngo 1.26.6\n"), Some("1.26.6"));
        assert_eq!(go_directive("module m\n"), None);
    }
}
