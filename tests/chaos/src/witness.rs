//! What really exists, seen without any of Pilot's code but the fake cloud itself, which is in this process and so outlives
//! everything that is killed.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};
use provider_fake::Cloud;
use provider_fake::cloud::Written;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub kind: Kind,
    /// How its own API names it.
    pub name: String,
    /// Empty of what all of them share.
    pub runtime: String,
    pub runs: bool,
    /// Where a machine that runs answers, if that is seen.
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Machine,
    Volume,
    Network,
    /// Only says something, as a volume of Docker's does with its name.
    Mark,
}

#[derive(Clone)]
pub enum Witness {
    Cloud(Cloud),
    /// Of this installation.
    Docker(String),
}

impl Witness {
    pub fn objects(&self) -> Result<Vec<Object>> {
        match self {
            Witness::Cloud(cloud) => Ok(cloud.everything().into_iter().map(of_cloud).collect()),
            Witness::Docker(installation) => of_docker(installation),
        }
    }

    /// Every write that took effect, where there is a journal.
    pub fn journal(&self) -> Vec<Written> {
        match self {
            Witness::Cloud(cloud) => cloud.journal(),
            Witness::Docker(_) => Vec::new(),
        }
    }

    /// As somebody would who does not know Pilot; which one follows from the number. The machine's name.
    pub fn remove_machine(&self, which: usize) -> Result<Option<String>> {
        self.to_machine(which, |name| match self {
            Witness::Cloud(cloud) => {
                cloud.remove_machine(name);
                Ok(())
            }
            Witness::Docker(_) => docker(&["rm", "--force", name]).map(drop),
        })
    }

    pub fn kill_machine(&self, which: usize) -> Result<Option<String>> {
        self.to_machine(which, |name| match self {
            Witness::Cloud(_) => Ok(()),
            Witness::Docker(_) => {
                // It may have ended by itself meanwhile.
                let _ = docker(&["kill", name]);
                Ok(())
            }
        })
    }

    fn to_machine(&self, which: usize, act: impl Fn(&str) -> Result<()>) -> Result<Option<String>> {
        let mut machines: Vec<Object> =
            self.objects()?.into_iter().filter(|object| object.kind == Kind::Machine).collect();
        if machines.is_empty() {
            return Ok(None);
        }
        let machine = machines.swap_remove(which % machines.len());
        act(&machine.name)?;
        Ok(Some(machine.name))
    }

    /// Of a world that ends.
    pub fn remove_everything(&self) {
        let Witness::Docker(installation) = self else { return };
        let objects = self.objects().unwrap_or_default();
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
}

fn of_cloud(object: provider_fake::cloud::Object) -> Object {
    Object {
        kind: match object.kind {
            "machine" => Kind::Machine,
            "network" => Kind::Network,
            _ => Kind::Volume,
        },
        runtime: object.labels.get("pilot-runtime").cloned().unwrap_or_default(),
        name: object.name,
        runs: object.address.is_some(),
        port: object.address.map(|address| address.port()),
    }
}

/// Which runtime a write of the fake cloud's journal was about: names are made from it.
pub fn runtime_of(name: &str) -> &str {
    let name = name.strip_prefix("pilot-").unwrap_or(name);
    name.strip_suffix("-home").unwrap_or(name)
}

fn of_docker(installation: &str) -> Result<Vec<Object>> {
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

fn docker(args: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(args).output().context("cannot start docker")?;
    if !output.status.success() {
        bail!("docker {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
