//! `cargo xtask pulumi upgrade`: every file that names a version of Pulumi, and what is left for a person.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::pins::{self, Versions};
use crate::tools::go;
use crate::{paths, process, ui};

const LANGUAGES: &str = "engine/languages";

/// Move everything to another version of Pulumi.
///
/// Writes automation/versions.json, which every program and test reads, then the go.mod and go.sum of
/// the four modules below engine/ with `go mod tidy`, the npm and pip locks of the SDK runtimes, and the
/// pages that name the version. It builds and tests nothing; it ends with what is left for a person.
///
/// Examples:
///   cargo xtask pulumi upgrade 3.277.0
///   cargo xtask pulumi upgrade 3.277.0 --python 3.275.0    where PyPI is behind
///   cargo xtask pulumi upgrade 3.277.0 --between 3.260.0   to test with another old CLI too
///
/// The version is asked of the Go module proxy; a version that it does not have changes no file. The Go
/// toolchain that Pulumi asks for becomes the one that we ask for. It can be run again after a failure.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Of pkg/v3 and sdk/v3, without the `v`.
    version: String,
    /// Of Pulumi's YAML host; default: as it is.
    #[arg(long)]
    yaml: Option<String>,
    /// Of @pulumi/pulumi, where npm does not have VERSION.
    #[arg(long)]
    nodejs: Option<String>,
    /// Of the Python package pulumi, where PyPI does not have VERSION.
    #[arg(long)]
    python: Option<String>,
    /// The CLI between the oldest and the newest that tests run too; default: as it is.
    #[arg(long)]
    between: Option<String>,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let root = paths::root();
    let file = root.join(pins::FILE);
    let before = Versions::read(&file)?;
    let after = asked(arguments, &before)?;
    let step = ui::Step::begin(format!("asking for Pulumi {}", after.pulumi.newest), None);
    let after = Versions { go: go_needed(&after.pulumi.newest)?, ..after };
    step.done("");
    after.write(&file)?;
    for module in pins::MODULES {
        edit(&root.join(module).join("go.mod"), |text| pins::go_mod(text, &after))?;
        let step = ui::Step::begin(format!("go mod tidy in {module}"), None);
        let mut tidy = go::command(module);
        tidy.env("GOFLAGS", "-mod=mod").args(["mod", "tidy"]);
        process::logged(&mut tidy, &paths::target().join("xtask/go-mod-tidy.log"))?;
        step.done("");
    }
    for page in pins::PAGES {
        edit(&root.join(page), |text| pins::page(text, &before, &after))?;
    }
    let mut left = locks(&root, &before, &after)?;
    left.extend([
        "UPDATE_EXPECT=1 cargo test -p orchestrator --test golden_schema".to_owned(),
        "cargo xtask tools --tests, then cargo xtask test".to_owned(),
        "read Pulumi's changes between the versions for what docs/decisions/ rests on, and say in CHANGELOG.md \
         what users notice"
            .to_owned(),
    ]);
    ui::say(format!("Pulumi is {} now; it was {}. Left for you:", after.pulumi.newest, before.pulumi.newest));
    for what in left {
        ui::say(format!("  {what}"));
    }
    Ok(())
}

/// What the versions are to be, but for Go's.
fn asked(arguments: &Arguments, before: &Versions) -> Result<Versions> {
    let version = &arguments.version;
    let given =
        [Some(version), arguments.yaml.as_ref(), arguments.nodejs.as_ref(), arguments.python.as_ref()];
    for given in given.into_iter().chain([arguments.between.as_ref()]).flatten() {
        if !pins::is_version(given) {
            bail!("`{given}` is no version; they look like 3.276.0");
        }
    }
    let mut after = before.clone();
    after.pulumi.newest.clone_from(version);
    after.nodejs = arguments.nodejs.as_ref().unwrap_or(version).clone();
    after.python = arguments.python.as_ref().unwrap_or(version).clone();
    if let Some(yaml) = &arguments.yaml {
        after.yaml.clone_from(yaml);
    }
    if let Some(between) = &arguments.between {
        after.pulumi.between.clone_from(between);
    }
    Ok(after)
}

/// The Go that this Pulumi asks for.
fn go_needed(version: &str) -> Result<String> {
    let mut needed = String::new();
    for module in ["sdk", "pkg"] {
        let wanted = format!("github.com/pulumi/pulumi/{module}/v3@v{version}");
        let mut download = Command::new("go");
        download.current_dir(std::env::temp_dir()).args(["mod", "download", "-json", &wanted]);
        let answer = process::capture(&mut download).with_context(|| format!("{wanted} cannot be had"))?;
        let answer: serde_json::Value = serde_json::from_str(&answer).context("go mod download")?;
        let path = answer["GoMod"].as_str().context("go mod download names no go.mod")?;
        let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
        needed = pins::go_directive(&text).with_context(|| format!("{path} names no Go"))?.to_owned();
    }
    Ok(needed)
}

/// The npm and pip locks; what could not be done here is left for a person.
fn locks(root: &Path, before: &Versions, after: &Versions) -> Result<Vec<String>> {
    let folder = root.join(LANGUAGES);
    for package in [folder.join("package.json"), root.join(pins::TYPESCRIPT)] {
        edit(&package, |text| text.replace(&pins::npm(&before.nodejs), &pins::npm(&after.nodejs)))?;
    }
    let requirements = folder.join("requirements.in");
    edit(&requirements, |text| text.replace(&pins::pip(&before.python), &pins::pip(&after.python)))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let mut uv = Command::new("uv");
    uv.args("pip compile --universal --generate-hashes requirements.in -o requirements.txt".split(' '));
    let mut left = Vec::new();
    for (name, command, option) in [("npm", &mut npm, "--nodejs"), ("uv", &mut uv, "--python")] {
        let log = paths::target().join(format!("xtask/{name}-lock.log"));
        if paths::on_path(name).is_none() {
            left.push(format!(
                "the lock of {name} in {LANGUAGES}: there is no {name} here; its command is in the files"
            ));
        } else if process::logged(command.current_dir(&folder), &log).is_err() {
            left.push(format!(
                "the lock of {name} in {LANGUAGES}: try {option}; what it said: {}",
                log.display()
            ));
        }
    }
    Ok(left)
}

/// Rewrites a file, where there is something to change.
fn edit(path: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let changed = change(&text);
    if changed != text {
        fs::write(path, changed).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
