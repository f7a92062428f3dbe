//! Pulumi CLIs that are older than the pinned one, for the test in which every CLI and the engine host write one
//! stack in turns. Each is built once for a machine, into the same cache as all tools.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{go, need, publish, stage};
use crate::{paths, process, ui, versions};

const VERSIONS: [&str; 2] = [versions::OLDEST, versions::BETWEEN];
const PROGRAM: &str = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";

/// Those that were built, oldest first.
pub fn found(cache: &Path) -> Vec<PathBuf> {
    VERSIONS.iter().map(|version| program(cache, version)).filter(|program| program.is_file()).collect()
}

/// All of them, built where they are not.
pub fn ensure(cache: &Path) -> Result<Vec<PathBuf>> {
    for version in VERSIONS {
        if !program(cache, version).is_file() {
            build(cache, version)?;
        }
    }
    Ok(found(cache))
}

fn program(cache: &Path, version: &str) -> PathBuf {
    cache.join(format!("pulumi-{version}/pulumi"))
}

fn build(cache: &Path, version: &str) -> Result<()> {
    need(&[("go", &go::advice())])?;
    let step = ui::Step::begin(
        format!("building the Pulumi CLI {version} to test beside"),
        Some("once for this machine; about 6 min on 2 cores"),
    );
    let staged = stage(cache)?;
    let module = staged.path().to_string_lossy().into_owned();
    for (name, text) in [("go.mod", go_mod(version)), ("tools.go", tools_go())] {
        fs::write(staged.path().join(name), text).context("cannot write a Go module")?;
    }
    // There is no go.sum of it in the repository: Go's checksum database says what its sources are.
    let mut tidy = go::command(&module);
    tidy.env("GOFLAGS", "-mod=mod").args(["mod", "tidy"]);
    process::logged(&mut tidy, &paths::target().join("xtask/go-mod-tidy.log"))?;
    let told = format!("v{version}");
    go::build(&module, PROGRAM, Some((go::PULUMI_VERSION, &told)), &staged.path().join("pulumi"))?;
    publish(staged, &cache.join(format!("pulumi-{version}")))?;
    step.done("");
    Ok(())
}

fn go_mod(version: &str) -> String {
    format!(
        "module pilot/older\n\ngo {}\n\nrequire (\n\tgithub.com/pulumi/pulumi/pkg/v3 v{version}\n\
         \tgithub.com/pulumi/pulumi/sdk/v3 v{version}\n)\n",
        versions::GO
    )
}

/// Makes the program a part of what the module needs.
fn tools_go() -> String {
    format!("//go:build tools\n\npackage older\n\nimport _ \"{PROGRAM}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_built_is_found_and_the_oldest_comes_first() {
        let cache = tempfile::tempdir().unwrap();
        assert!(found(cache.path()).is_empty());
        for version in [versions::BETWEEN, versions::OLDEST] {
            let program = program(cache.path(), version);
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(program, "").unwrap();
        }
        let names: Vec<_> = found(cache.path()).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(names.len(), 2);
        assert!(names[0].ends_with(&format!("pulumi-{}/pulumi", versions::OLDEST)), "{names:?}");
    }

    #[test]
    fn the_module_is_of_one_version() {
        let text = go_mod("3.250.1");
        assert_eq!(text.matches(" v3.250.1\n").count(), 2);
        assert!(tools_go().contains(PROGRAM));
    }
}
