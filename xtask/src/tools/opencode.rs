//! OpenCode: npm fetches what `instance-image/package-lock.json` names (checked by hash, no install
//! scripts), and only the native binary that runs on this processor is kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{need, publish, stage, version_of};
use crate::{paths, process, ui};

const VERSION: &str = "1.18.33";
const LOCKED: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// The cached program.
pub fn find(cache: &Path) -> Option<PathBuf> {
    Some(place(cache).join("opencode")).filter(|file| file.is_file())
}

/// The cached program, fetched when there is none.
pub fn ensure(cache: &Path) -> Result<PathBuf> {
    if let Some(found) = find(cache) {
        return Ok(found);
    }
    let advice = "install Node.js 20 or newer, which brings npm (https://nodejs.org/en/download)";
    need(&[("node", advice), ("npm", advice)])?;
    let step = ui::Step::begin(format!("fetching OpenCode {VERSION}"), Some("about 300 MB, once"));
    let work = stage(cache)?;
    for name in LOCKED {
        let from = paths::root().join("instance-image").join(name);
        std::fs::copy(&from, work.path().join(name)).with_context(|| from.display().to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(work.path()).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    process::logged(&mut npm, &paths::target().join("xtask/npm-ci.log"))?;

    let staged = stage(cache)?;
    let kept = staged.path().join("opencode");
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let packages = candidates(std::env::consts::ARCH, &cpu)?;
    // The processor's flags can lie (emulators, hypervisors), so the choice is tried before it is kept.
    for package in packages {
        let binary = work.path().join("node_modules").join(package).join("bin/opencode");
        std::fs::copy(&binary, &kept).with_context(|| binary.display().to_string())?;
        if version_of(&kept, "--version").as_deref() == Some(VERSION) {
            let place = place(cache);
            publish(staged, &place)?;
            step.done(package);
            return Ok(place.join("opencode"));
        }
    }
    bail!(
        "OpenCode {VERSION} was fetched, but `opencode --version` does not answer {VERSION} on this machine"
    )
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("opencode-{VERSION}"))
}

/// The npm packages that may run here, best first.
fn candidates(architecture: &str, cpuinfo: &str) -> Result<&'static [&'static str]> {
    let has_avx2 = cpuinfo
        .lines()
        .any(|line| line.starts_with("flags") && line.split_ascii_whitespace().any(|flag| flag == "avx2"));
    match (architecture, has_avx2) {
        ("x86_64", true) => Ok(&["opencode-linux-x64", "opencode-linux-x64-baseline"]),
        ("x86_64", false) => Ok(&["opencode-linux-x64-baseline"]),
        _ => bail!("OpenCode is pinned for x86_64 only, and this machine is {architecture}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_avx2_gets_the_baseline_binary() {
        let new = "processor : 0\nflags\t\t: fpu avx avx2 bmi\n";
        let old = "processor : 0\nflags\t\t: fpu avx avx2x\n";
        assert_eq!(candidates("x86_64", new).unwrap()[0], "opencode-linux-x64");
        assert_eq!(candidates("x86_64", old).unwrap(), ["opencode-linux-x64-baseline"]);
        assert!(candidates("riscv64", "").is_err());
    }
}
