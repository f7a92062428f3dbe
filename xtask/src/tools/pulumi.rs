//! The Pulumi CLI and its YAML language host, always as a pair in one folder: the CLI finds the host
//! beside itself. Built from `engine/tools`, whose go.sum fixes every byte of source.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{need, publish, stage, version_of};
use crate::{paths, process, ui};

const CLI_VERSION: &str = "3.255.0";
const YAML_VERSION: &str = "1.38.1";
const HOST: &str = "pulumi-language-yaml";

/// The `pulumi` program, where there is a suitable one.
pub fn find(cache: &Path) -> Option<PathBuf> {
    from_path().or_else(|| {
        let folder = place(cache);
        (folder.join("pulumi").is_file() && folder.join(HOST).is_file()).then(|| folder.join("pulumi"))
    })
}

/// The `pulumi` program, built when there is none.
pub fn ensure(cache: &Path) -> Result<PathBuf> {
    if let Some(found) = find(cache) {
        return Ok(found);
    }
    need(&[("go", "install Go 1.25.11 or newer (https://go.dev/doc/install)")])?;
    let staged = stage(cache)?;
    let version = format!("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{CLI_VERSION}");
    let step = ui::Step::begin(
        format!("building the Pulumi CLI {CLI_VERSION}"),
        Some("once for this machine; about 6 min on 2 cores"),
    );
    go_build("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", &version, &staged.path().join("pulumi"))?;
    step.done("");
    let version = format!("github.com/pulumi/pulumi-yaml/pkg/version.Version=v{YAML_VERSION}");
    let step = ui::Step::begin(
        format!("building Pulumi's YAML host {YAML_VERSION}"),
        Some("once for this machine; under a minute"),
    );
    go_build("github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml", &version, &staged.path().join(HOST))?;
    step.done("");
    let folder = place(cache);
    publish(staged, &folder)?;
    Ok(folder.join("pulumi"))
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("pulumi-{CLI_VERSION}"))
}

/// An installed CLI counts only with exactly our version and with a YAML host that it can find.
fn from_path() -> Option<PathBuf> {
    let pulumi = paths::on_path("pulumi")?;
    let host = pulumi.canonicalize().ok()?.with_file_name(HOST);
    let has_host = host.is_file() || paths::on_path(HOST).is_some();
    let version = version_of(&pulumi, "version")?;
    (has_host && version.trim_start_matches('v') == CLI_VERSION).then_some(pulumi)
}

fn go_build(package: &str, version: &str, output: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.current_dir(paths::root().join("engine/tools"))
        // Only go.mod and go.sum decide; a user's own flags must not change what is built.
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-ldflags", &format!("-s -w -X {version}"), "-o"])
        .arg(output)
        .arg(package);
    process::logged(&mut go, &paths::target().join("xtask/go-build.log"))
}
