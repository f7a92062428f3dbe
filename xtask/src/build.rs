//! Builds Pilot's own programs with cargo. One cargo call for all of them, over the whole workspace, so
//! that features are resolved as in the tests and nothing is compiled twice.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{paths, process, ui};

/// The product, the instance's init, the plugin that `pulumi up` starts on an exported stack, and what
/// `pilot provider check fly` runs in place of an instance.
const PROGRAMS: [&str; 4] = ["pilot", "pilot-instance", "pulumi-resource-pilot", "fly-stand-in"];

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
}

/// Builds everything; cargo shows its own progress.
pub fn all(release: bool) -> Result<Programs> {
    ui::note("building Pilot (the first build takes about 5 min on 2 cores)");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).args(["build", "--locked", "--workspace"]);
    for program in PROGRAMS {
        cargo.args(["--bin", program]);
    }
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    let folder = paths::programs(release);
    for program in PROGRAMS {
        if !folder.join(program).is_file() {
            bail!("cargo built no {program} in {}; is CARGO_BUILD_TARGET set? Unset it", folder.display());
        }
    }
    Ok(Programs { folder })
}
