//! Builds Pilot's own programs with cargo, each set of them in one cargo call, so that its features are resolved
//! once and nothing in it is compiled twice.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{paths, process, ui};

/// The product, the instance's init, and the plugin that `pulumi up` starts on an exported stack.
const PRODUCT: [&str; 3] = ["pilot", "pilot-instance", "pulumi-resource-pilot"];
/// Their packages alone, so that no simulator and nothing else of tests is compiled for them.
const PACKAGES: [&str; 3] = ["cli", "instance-image", "orchestrator"];
/// What tests start besides: what `pilot provider check` starts, and what Fly's machines run in its world.
const TESTED: [&str; 2] = ["pilot-provider-check", "fly-stand-in"];
/// What breaks them.
const BREAKING: [&str; 1] = ["pilot-chaos"];
/// What benchmarks run besides.
const MEASURED: [&str; 7] = ["many_stacks", "fly_calls", "cloudflare_calls", "floor", "far", "fork", "load"];

/// The built programs of one profile.
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The `pilot` command.
    pub fn pilot(&self) -> PathBuf {
        self.folder.join("pilot")
    }

    /// The Pulumi plugin.
    pub fn plugin(&self) -> PathBuf {
        self.folder.join("pulumi-resource-pilot")
    }

    /// The instance's init.
    pub fn instance(&self) -> PathBuf {
        self.folder.join("pilot-instance")
    }

    /// What breaks the others.
    pub fn chaos(&self) -> PathBuf {
        self.folder.join("pilot-chaos")
    }

    /// An example that benchmarks run.
    pub fn example(&self, name: &str) -> PathBuf {
        self.folder.join("examples").join(name)
    }
}

/// What a user runs, and no more.
pub fn product(release: bool) -> Result<Programs> {
    let packages = PACKAGES.iter().flat_map(|package| ["--package", package]);
    build(packages.collect(), &PRODUCT, &[], release)
}

/// What tests start, with features as in the tests, over the whole workspace.
pub fn tested() -> Result<Programs> {
    build(vec!["--workspace"], &[&PRODUCT[..], &TESTED].concat(), &[], false)
}

/// What chaos runs. With features as in the tests, so that both share a build.
pub fn broken() -> Result<Programs> {
    build(vec!["--workspace"], &[&PRODUCT[..], &BREAKING].concat(), &[], false)
}

/// What all benchmarks run: one build serves them all.
pub fn measured() -> Result<Programs> {
    build(vec!["--workspace"], &PRODUCT, &MEASURED, true)
}

fn build(packages: Vec<&str>, programs: &[&str], examples: &[&str], release: bool) -> Result<Programs> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).args(["build", "--locked"]).args(packages);
    for program in programs {
        cargo.args(["--bin", program]);
    }
    for example in examples {
        cargo.args(["--example", example]);
    }
    if release {
        cargo.arg("--release");
    }
    let step = ui::Step::begin("building Pilot", Some("the first time about 4 min on 2 cores"));
    let mut said = Vec::new();
    let built = process::followed(&mut cargo, |line| match is_progress(line) {
        true => step.at(line.trim()),
        false => said.push(line.to_owned()),
    });
    match &built {
        Ok(()) => step.done(""),
        Err(_) => drop(step),
    }
    if !said.is_empty() {
        ui::note(said.join("\n"));
    }
    built?;
    let folder = paths::programs(release);
    for program in programs {
        if !folder.join(program).is_file() {
            bail!("cargo built no {program} in {}; is CARGO_BUILD_TARGET set? Unset it", folder.display());
        }
    }
    Ok(Programs { folder })
}

/// What cargo says while all is well, unlike warnings and errors.
fn is_progress(line: &str) -> bool {
    const WORDS: [&str; 10] = [
        "Adding",
        "Blocking",
        "Compiling",
        "Dirty",
        "Downloaded",
        "Downloading",
        "Finished",
        "Fresh",
        "Locking",
        "Updating",
    ];
    // Cargo's words stand to the right.
    line.trim().is_empty()
        || line.starts_with(' ') && WORDS.iter().any(|word| line.trim_start().starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_moves_on_and_everything_else_is_kept_to_be_read() {
        for progress in
            ["   Compiling serde v1.0.0", "    Finished `dev` profile", " Downloading 3 crates", ""]
        {
            assert!(is_progress(progress), "{progress}");
        }
        for kept in
            ["error[E0425]: cannot find value", "warning: unused", " --> src/a.rs:1:1", "  | let a = 1;"]
        {
            assert!(!is_progress(kept), "{kept}");
        }
    }
}
