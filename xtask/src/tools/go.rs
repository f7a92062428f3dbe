//! Builds a Go program of this repository: its go.mod and go.sum alone decide from what.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process, versions};

/// The variable of Pulumi's source that holds the version its programs tell.
pub const PULUMI_VERSION: &str = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/// How to get Go where there is none.
pub fn advice() -> String {
    format!("install Go {} or newer (https://go.dev/doc/install)", versions::GO)
}

/// Builds `package` of the module in `folder` of this repository, stripped, with `variable=value` linked in.
pub fn build(folder: &str, package: &str, variable: Option<(&str, &str)>, output: &Path) -> Result<()> {
    let mut flags = "-s -w".to_owned();
    if let Some((name, value)) = variable {
        flags.push_str(&format!(" -X {name}={value}"));
    }
    let mut go = command(folder);
    go.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(output).arg(package);
    process::logged(&mut go, &paths::target().join("xtask/go-build.log"))
}

/// `go` in the module in `folder` of this repository.
pub fn command(folder: &str) -> Command {
    let mut go = Command::new("go");
    go.current_dir(paths::root().join(folder))
        // A user's own flags must not change what is built.
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0");
    go
}

/// Every source of a module, with its content, and the other files that are named: short enough to be
/// compared as it is.
pub fn sources(module: &str, others: &[&str]) -> Result<String> {
    let root = paths::root().join(module);
    let mut files = Vec::new();
    collect(&root, others, &mut files)?;
    files.sort();
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        all.push_str(&format!("== {}\n{text}", file.strip_prefix(&root).unwrap_or(&file).display()));
    }
    Ok(all)
}

fn collect(folder: &Path, others: &[&str], files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let source = name.ends_with(".go") && !name.ends_with("_test.go");
        if path.is_dir() {
            collect(&path, others, files)?;
        } else if source || name.starts_with("go.") || others.contains(&name.as_ref()) {
            files.push(path);
        }
    }
    Ok(())
}
