//! The language hosts and the SDK runtimes with which tests run TypeScript, Python and Go programs. Built
//! from `engine/languages`; its lock files say which packages npm and pip fetch, each checked by hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{go, need, npm, publish, stage};
use crate::{paths, process, ui, versions};

const MODULE: &str = "engine/languages";
const PROGRAM: &str = "pilot-languages";
const LANGUAGES: [&str; 3] = ["go", "nodejs", "python"];
const LOCKED: [&str; 4] = ["package.json", "package-lock.json", ".npmrc", "requirements.txt"];
/// Pulumi's launcher of Python programs, which is a part of its Go module.
const LAUNCHER: &str = "pulumi-language-python-exec";
pub const PYTHON: (&str, &str) =
    ("python3", "install Python 3.10 or newer with pip (on Debian: apt-get install python3 python3-pip)");
/// Beside the program: what all was made from.
const SOURCES: &str = "sources";

/// The folder with the hosts, `node_modules` and `python`; made when there is none of these sources.
pub fn ensure(cache: &Path) -> Result<PathBuf> {
    need(&[("go", &go::advice()), npm::NEEDED[0], npm::NEEDED[1], PYTHON])?;
    let place = cache.join(format!("languages-{}", versions::NEWEST));
    let sources = sources()?;
    if fs::read_to_string(place.join(SOURCES)).is_ok_and(|made_from| made_from == sources) {
        return Ok(place);
    }
    let step = ui::Step::begin(
        format!("making the language hosts {}", versions::NEWEST),
        Some("once for each version of them; about 4 min on 2 cores"),
    );
    let staged = stage(cache)?;
    let folder = staged.path();
    hosts(folder)?;
    for name in LOCKED {
        let from = paths::root().join(MODULE).join(name);
        fs::copy(&from, folder.join(name)).with_context(|| from.display().to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    process::logged(&mut npm, &paths::target().join("xtask/npm-languages.log"))?;
    let mut pip = Command::new("python3");
    pip.current_dir(folder)
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--no-deps"])
        .args(["--target", "python", "--requirement", "requirements.txt"]);
    process::logged(&mut pip, &paths::target().join("xtask/pip-languages.log"))?;
    fs::write(folder.join(SOURCES), sources).context("cannot note what was made")?;
    publish(staged, &place)?;
    step.done("");
    Ok(place)
}

/// One program under three names, and the launcher beside it.
fn hosts(folder: &Path) -> Result<()> {
    let version = format!("v{}", versions::NEWEST);
    go::build(MODULE, ".", Some((go::PULUMI_VERSION, &version)), &folder.join(PROGRAM))?;
    for language in LANGUAGES {
        let link = folder.join(format!("pulumi-language-{language}"));
        std::os::unix::fs::symlink(PROGRAM, &link).with_context(|| link.display().to_string())?;
    }
    let mut list = go::command(MODULE);
    list.args(["list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3"]);
    let sdk = PathBuf::from(process::capture(&mut list)?.trim());
    let launcher = sdk.join("python/cmd").join(LAUNCHER);
    fs::copy(&launcher, folder.join(LAUNCHER)).with_context(|| launcher.display().to_string())?;
    Ok(())
}

/// Packages with machine code are of one Python.
fn sources() -> Result<String> {
    let python = process::capture(Command::new("python3").arg("--version"))?;
    Ok(format!("{python}{}", go::sources(MODULE, &LOCKED)?))
}
