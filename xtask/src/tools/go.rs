//! Builds a Go program of this repository: its go.mod and go.sum alone decide from what.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{paths, process};

/// The variable of Pulumi's source that holds the version its programs tell.
pub const PULUMI_VERSION: &str = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/// What is missing when there is no Go, and how to get it.
pub const NEEDED: (&str, &str) = ("go", "install Go 1.25.11 or newer (https://go.dev/doc/install)");

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
