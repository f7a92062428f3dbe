//! `cargo xtask image`: the instance image, built from staged artifacts. The programs are compiled on the
//! host, so the image's base is the host's own distribution: the same C library on both sides.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, paths, process, system, tools, ui};

mod base;

/// The image that every container instance runs.
pub const TAG: &str = "pilot-instance:0.1.0";

/// The image label that holds the hash of everything the image was built from.
const LABEL: &str = "pilot.inputs";

/// Build the instance image pilot-instance:0.1.0 for the `docker` provider.
///
/// Nothing is built again when the programs, OpenCode and the Dockerfile are unchanged.
#[derive(clap::Args)]
pub struct Arguments {
    /// Use release builds of Pilot's programs.
    #[arg(long)]
    release: bool,
    /// Install missing system packages with apt-get, without asking.
    #[arg(long)]
    yes: bool,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    system::ensure(system::BASIC, arguments.yes)?;
    system::ensure_docker()?;
    let opencode = tools::ensure_opencode()?;
    let programs = build::all(arguments.release)?;
    ensure(&programs, &opencode, arguments.yes)?;
    ui::say(TAG);
    Ok(())
}

/// Builds the image unless the same inputs are in it already.
pub fn ensure(programs: &build::Programs, opencode: &Path, yes: bool) -> Result<()> {
    let base = base::for_this_host()?;
    let stage = stage(&programs.instance(), opencode)?;
    let inputs = hash(&stage, &base)?;
    let format = format!("{{{{index .Config.Labels {LABEL:?}}}}}");
    let built = process::capture(Command::new("docker").args(["image", "inspect", "--format", &format, TAG]));
    if built.is_ok_and(|label| label.trim() == inputs) {
        return Ok(());
    }
    base::ensure(&base, yes)?;
    let step = ui::Step::begin(format!("building the image {TAG} from {base}"), None);
    let mut docker = Command::new("docker");
    docker.args(["build", "--tag", TAG, "--label", &format!("{LABEL}={inputs}")]);
    docker.args(["--build-arg", &format!("BASE={base}")]).arg(&stage);
    if !process::succeeds(Command::new("docker").args(["buildx", "version"])) {
        docker.env("DOCKER_BUILDKIT", "0");
    }
    process::logged(&mut docker, &paths::target().join("xtask/docker-build.log"))?;
    step.done("");
    Ok(())
}

/// The build context: exactly the files that may end in the image.
fn stage(instance: &Path, opencode: &Path) -> Result<PathBuf> {
    let stage = paths::target().join("stage/instance-image");
    std::fs::create_dir_all(&stage).with_context(|| stage.display().to_string())?;
    let dockerfile = paths::root().join("instance-image/Dockerfile");
    let files = [(dockerfile.as_path(), "Dockerfile"), (instance, "pilot-instance"), (opencode, "opencode")];
    for (from, name) in files {
        let to = stage.join(name);
        // Never write through a link into the tools cache.
        if to.exists() {
            std::fs::remove_file(&to).with_context(|| to.display().to_string())?;
        }
        std::fs::copy(from, &to).with_context(|| from.display().to_string())?;
    }
    // Line tables are for developers; the image carries the program only. Failing to strip is harmless.
    let _ = process::succeeds(Command::new("strip").arg(stage.join("pilot-instance")));
    Ok(stage)
}

fn hash(stage: &Path, base: &str) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    hasher.write(base.as_bytes());
    for name in ["Dockerfile", "pilot-instance", "opencode"] {
        let path = stage.join(name);
        let content = std::fs::read(&path).with_context(|| path.display().to_string())?;
        hasher.write(name.as_bytes());
        hasher.write_usize(content.len());
        hasher.write(&content);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_base_or_another_byte_is_another_image() {
        let stage = tempfile::tempdir().unwrap();
        for name in ["Dockerfile", "pilot-instance", "opencode"] {
            std::fs::write(stage.path().join(name), name).unwrap();
        }
        let first = hash(stage.path(), "debian:bookworm-slim").unwrap();
        assert_eq!(hash(stage.path(), "debian:bookworm-slim").unwrap(), first);
        assert_ne!(hash(stage.path(), "debian:trixie-slim").unwrap(), first);
        std::fs::write(stage.path().join("opencode"), "other").unwrap();
        assert_ne!(hash(stage.path(), "debian:bookworm-slim").unwrap(), first);
    }
}
