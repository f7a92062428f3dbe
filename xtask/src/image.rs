//! `cargo xtask image`: the images, built from staged artifacts. The programs are compiled on the host, so
//! an image's base is the host's own distribution: the same C library on both sides.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, paths, process, system, tools, ui};

mod base;

/// The image that every container instance runs.
pub const TAG: &str = "pilot-instance:0.1.0";
/// Pilot itself, which the root `Pulumi.yaml` installs.
const PILOT: &str = "pilot:0.1.0";

/// The image label that holds the hash of everything the image was built from.
const LABEL: &str = "pilot.inputs";

/// Build the image of instances, pilot-instance:0.1.0, or with --pilot the one of Pilot itself.
///
/// Instances of the `docker` provider run pilot-instance:0.1.0. Pilot itself, pilot:0.1.0, is what `pulumi up`
/// in this repository installs; it brings Pulumi and the engine host. Nothing is built again when the
/// programs, the tools and the Dockerfile are unchanged.
#[derive(clap::Args)]
pub struct Arguments {
    /// Build pilot:0.1.0, the image of Pilot itself.
    #[arg(long)]
    pilot: bool,
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
    if arguments.pilot {
        let tools = tools::ensure()?;
        let programs = build::product(arguments.release)?;
        ensure_pilot(&programs, &tools, arguments.yes)?;
        ui::say(PILOT);
        let folder = |program: &Path| program.parent().map(Path::to_owned).unwrap_or_default();
        let (plugin, pulumi) = (folder(&programs.plugin()), folder(&tools.pulumi));
        ui::say("\nInstall it on the Docker host of this machine; docs/install.md says more:");
        ui::say(format!("  export PATH=\"{}:{}:$PATH\"", plugin.display(), pulumi.display()));
        ui::say("  pulumi login --local && pulumi stack init mine && pulumi up");
    } else {
        let opencode = tools::ensure_opencode()?;
        let programs = build::product(arguments.release)?;
        ensure(&programs, &opencode, arguments.yes)?;
        ui::say(TAG);
    }
    Ok(())
}

/// What an image is built from.
struct Recipe {
    tag: &'static str,
    /// The folder of the repository with its Dockerfile.
    folder: &'static str,
    /// Programs of this build. Their line tables are for developers and stay out.
    programs: Vec<PathBuf>,
    /// Other programs, as they are.
    tools: Vec<PathBuf>,
}

/// Builds the image of instances unless the same inputs are in it already.
pub fn ensure(programs: &build::Programs, opencode: &Path, yes: bool) -> Result<()> {
    let recipe = Recipe {
        tag: TAG,
        folder: "instance-image",
        programs: vec![programs.instance()],
        tools: vec![opencode.to_owned()],
    };
    recipe.ensure(yes)
}

/// Builds the image of Pilot itself unless the same inputs are in it already.
pub fn ensure_pilot(programs: &build::Programs, tools: &tools::Tools, yes: bool) -> Result<()> {
    let Some(host) = &tools.host else {
        bail!("the image of Pilot brings the engine host, which is built with Go; install Go and try again");
    };
    let recipe = Recipe {
        tag: PILOT,
        folder: "cli",
        programs: vec![programs.pilot(), programs.plugin()],
        tools: vec![tools.pulumi.clone(), tools.pulumi.with_file_name("pulumi-language-yaml"), host.clone()],
    };
    recipe.ensure(yes)
}

impl Recipe {
    fn ensure(&self, yes: bool) -> Result<()> {
        let base = base::for_this_host()?;
        let stage = self.stage()?;
        let inputs = hash(&stage, &base)?;
        let format = format!("{{{{index .Config.Labels {LABEL:?}}}}}");
        let built = process::capture(
            Command::new("docker").args(["image", "inspect", "--format", &format, self.tag]),
        );
        if built.is_ok_and(|label| label.trim() == inputs) {
            return Ok(());
        }
        base::ensure(&base, yes)?;
        let step = ui::Step::begin(format!("building the image {} from {base}", self.tag), None);
        let mut docker = Command::new("docker");
        docker.args(["build", "--tag", self.tag, "--label", &format!("{LABEL}={inputs}")]);
        docker.args(["--build-arg", &format!("BASE={base}")]).arg(&stage);
        if !process::succeeds(Command::new("docker").args(["buildx", "version"])) {
            docker.env("DOCKER_BUILDKIT", "0");
        }
        process::logged(&mut docker, &paths::target().join("xtask/docker-build.log"))?;
        step.done("");
        Ok(())
    }

    /// The build context: exactly the files that may end in the image.
    fn stage(&self) -> Result<PathBuf> {
        let stage = paths::target().join("stage").join(self.folder);
        // Anew, so that nothing else is there and nothing is written through a link into the tools cache.
        if stage.exists() {
            std::fs::remove_dir_all(&stage).with_context(|| stage.display().to_string())?;
        }
        std::fs::create_dir_all(&stage).with_context(|| stage.display().to_string())?;
        let dockerfile = paths::root().join(self.folder).join("Dockerfile");
        for from in [&dockerfile].into_iter().chain(&self.programs).chain(&self.tools) {
            let to = stage.join(from.file_name().unwrap_or_default());
            std::fs::copy(from, &to).with_context(|| from.display().to_string())?;
        }
        for program in &self.programs {
            // Failing to strip is harmless.
            let staged = stage.join(program.file_name().unwrap_or_default());
            let _ = process::succeeds(Command::new("strip").arg(staged));
        }
        Ok(stage)
    }
}

fn hash(stage: &Path, base: &str) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    hasher.write(base.as_bytes());
    let entries = std::fs::read_dir(stage).with_context(|| stage.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    for path in files {
        let content = std::fs::read(&path).with_context(|| path.display().to_string())?;
        hasher.write(path.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.write_usize(content.len());
        hasher.write(&content);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_base_another_file_or_another_byte_is_another_image() {
        let stage = tempfile::tempdir().unwrap();
        for name in ["Dockerfile", "pilot-instance"] {
            std::fs::write(stage.path().join(name), name).unwrap();
        }
        let hash_now = || hash(stage.path(), "debian:bookworm-slim").unwrap();
        let first = hash_now();
        assert_eq!(hash_now(), first);
        assert_ne!(hash(stage.path(), "debian:trixie-slim").unwrap(), first);
        std::fs::write(stage.path().join("opencode"), "opencode").unwrap();
        let second = hash_now();
        assert_ne!(second, first);
        std::fs::write(stage.path().join("opencode"), "other").unwrap();
        assert_ne!(hash_now(), second);
    }
}
