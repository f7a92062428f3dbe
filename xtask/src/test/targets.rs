//! Which test belongs to which class, read from cargo's own list of targets.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{paths, process};

/// What a test may touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Class {
    Unit,
    Engine,
    Live,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Class::Unit => "unit",
            Class::Engine => "engine",
            Class::Live => "live",
        }
    }

    fn of(target: &str) -> Class {
        if target.starts_with("engine_") {
            Class::Engine
        } else if target.starts_with("live_") {
            Class::Live
        } else {
            Class::Unit
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The names of all integration test targets in the workspace.
pub struct Targets {
    tests: BTreeSet<String>,
}

/// Asks cargo.
pub fn read() -> Result<Targets> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    parse(&process::capture(&mut cargo)?)
}

fn parse(metadata: &str) -> Result<Targets> {
    let metadata: Metadata = serde_json::from_str(metadata).context("cargo metadata is not as expected")?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    let tests = targets.filter(|target| target.kind.iter().any(|kind| kind == "test"));
    Ok(Targets { tests: tests.map(|target| target.name).collect() })
}

impl Targets {
    /// Those of one class.
    pub fn named(&self, class: Class) -> impl Iterator<Item = &str> {
        self.tests.iter().map(String::as_str).filter(move |name| Class::of(name) == class)
    }

    /// Cargo's arguments for one class of integration tests; empty when there is none.
    pub fn of(&self, class: Class) -> Vec<String> {
        self.named(class).flat_map(|name| ["--test".to_owned(), name.to_owned()]).collect()
    }

    /// Cargo's arguments for everything that is not an engine or live test.
    pub fn unit(&self) -> Vec<String> {
        let mut arguments = vec!["--lib".to_owned(), "--bins".to_owned()];
        arguments.extend(self.of(Class::Unit));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_decides_the_class() {
        let targets = parse(
            r#"{"packages":[{"targets":[
                {"name":"gateway","kind":["lib"]},
                {"name":"proxying","kind":["test"]},
                {"name":"engine_local","kind":["test"]},
                {"name":"live_fly","kind":["test"]}]}]}"#,
        )
        .unwrap();
        assert_eq!(targets.unit(), ["--lib", "--bins", "--test", "proxying"]);
        assert_eq!(targets.of(Class::Engine), ["--test", "engine_local"]);
        assert_eq!(targets.of(Class::Live), ["--test", "live_fly"]);
    }
}
