//! Docker as the witness: the engine's own command line, by the installation's label.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Kind, Object};

pub(super) fn objects(installation: &str) -> Result<Vec<Object>> {
    let filter = format!("label=pilot.installation={installation}");
    let mut objects = Vec::new();
    for (kind, args) in [
        (Kind::Machine, &["ps", "--all", "--no-trunc"][..]),
        (Kind::Volume, &["volume", "ls"]),
        (Kind::Network, &["network", "ls", "--no-trunc"]),
    ] {
        let text = docker(&[args, &["--filter", &filter, "--format", "{{json .}}"]].concat())?;
        for line in text.lines() {
            let object: Value = serde_json::from_str(line).context("docker's JSON")?;
            let labels = object["Labels"].as_str().unwrap_or_default();
            let labels: BTreeMap<&str, &str> =
                labels.split(',').filter_map(|label| label.split_once('=')).collect();
            let name =
                ["Names", "Name"].iter().find_map(|key| object[key].as_str()).unwrap_or("?").to_owned();
            objects.push(Object {
                kind: if name.contains("-fence-") || name.contains("-generation-") {
                    Kind::Mark
                } else {
                    kind
                },
                name,
                runtime: labels.get("pilot.runtime").copied().unwrap_or_default().to_owned(),
                runs: object["State"] == "running",
                port: None,
            });
        }
    }
    Ok(objects)
}

pub(super) fn docker(args: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(args).output().context("cannot start docker")?;
    if !output.status.success() {
        bail!("docker {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn mountpoint(volume: &str) -> Option<PathBuf> {
    let path = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume]).ok()?;
    Some(PathBuf::from(path.trim()))
}

pub(super) fn remove_everything(installation: &str) {
    let objects = objects(installation).unwrap_or_default();
    // Networks and volumes are free after their containers.
    for (kind, args) in [
        (Kind::Machine, &["rm", "--force", "--volumes"][..]),
        (Kind::Network, &["network", "rm"]),
        (Kind::Volume, &["volume", "rm"]),
        (Kind::Mark, &["volume", "rm"]),
    ] {
        for object in objects.iter().filter(|object| object.kind == kind) {
            let _ = docker(&[args, &[object.name.as_str()]].concat());
        }
    }
    let keeper = format!("pilot-egress-{installation}");
    // It takes its rules along.
    if docker(&["kill", "--signal", "USR1", &keeper]).is_ok() {
        let _ = docker(&["wait", &keeper]);
    }
    let _ = docker(&["rm", "--force", &keeper]);
}
