//! The Pulumi CLI and its YAML language host, always as a pair in one folder: the CLI finds the host
//! beside itself. Built from `engine/tools`, whose go.sum fixes every byte of source.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{go, need, publish, stage, version_of};
use crate::{paths, ui, versions};

const MODULE: &str = "engine/tools";
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
    need(&[("go", &go::advice())])?;
    let staged = stage(cache)?;
    let version = format!("v{}", versions::NEWEST);
    let step = ui::Step::begin(
        format!("building the Pulumi CLI {}", versions::NEWEST),
        Some("once for this machine; about 6 min on 2 cores"),
    );
    let version = Some((go::PULUMI_VERSION, version.as_str()));
    go::build(MODULE, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", version, &staged.path().join("pulumi"))?;
    step.done("");
    let version = format!("v{}", versions::YAML);
    let step = ui::Step::begin(
        format!("building Pulumi's YAML host {}", versions::YAML),
        Some("once for this machine; under a minute"),
    );
    let version = Some(("github.com/pulumi/pulumi-yaml/pkg/version.Version", version.as_str()));
    go::build(
        MODULE,
        "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
        version,
        &staged.path().join(HOST),
    )?;
    step.done("");
    let folder = place(cache);
    publish(staged, &folder)?;
    Ok(folder.join("pulumi"))
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("pulumi-{}", versions::NEWEST))
}

/// An installed CLI counts only with exactly our version and with a YAML host that it can find.
fn from_path() -> Option<PathBuf> {
    let pulumi = paths::on_path("pulumi")?;
    let host = pulumi.canonicalize().ok()?.with_file_name(HOST);
    let has_host = host.is_file() || paths::on_path(HOST).is_some();
    let version = version_of(&pulumi, "version")?;
    (has_host && version.trim_start_matches('v') == versions::NEWEST).then_some(pulumi)
}
