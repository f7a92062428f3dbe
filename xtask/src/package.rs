//! `cargo xtask package-check`: the bridge as somebody has it who takes it from a registry. It is packed,
//! unpacked outside the repository, tested there without Pulumi, and used by programs of its own: with the Pulumi CLI
//! alone, and with the engine host that it builds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, process, tools, ui};

const PACKAGE: &str = "pulumi-auto";

const FEATURES: [&str; 5] = ["cli", "host", "inline", "fake", "git"];

/// The programs of the user: examples of the crate.
const WITH_CLI: &str = "automation/examples/inline.rs";
const WITH_HOST: &str = "automation/examples/warm.rs";

/// Pack the crate `pulumi-auto`, then test and use it outside the repository.
#[derive(clap::Args)]
pub struct Arguments {}

/// The command.
pub fn run(_: &Arguments) -> Result<()> {
    let pulumi = tools::ensure()?.pulumi;
    process::run(cargo(&paths::root()).args(["package", "-p", PACKAGE, "--allow-dirty", "--no-verify"]))?;
    let packed = paths::target().join(format!("package/{PACKAGE}-{}.crate", env!("CARGO_PKG_VERSION")));
    let folder = tempfile::tempdir()?;
    process::run(Command::new("tar").arg("xzf").arg(packed).arg("-C").arg(folder.path()))?;
    let unpacked = folder.path().join(format!("{PACKAGE}-{}", env!("CARGO_PKG_VERSION")));
    for feature in FEATURES {
        ui::say(format!("its feature {feature} alone"));
        let check = ["check", "--quiet", "--locked", "--no-default-features", "--features", feature];
        process::run(cargo(&unpacked).args(check))?;
    }
    ui::say("its tests, outside the repository");
    process::run(cargo(&unpacked).args(["test", "--locked", "--all-features"]))?;
    ui::say("a program of a user, with the Pulumi CLI alone");
    let program = folder.path().join("program");
    write_program(&program, &unpacked, WITH_CLI, &[])?;
    process::run(cargo(&program).args(["run", "--quiet", "--"]).arg(pulumi))?;
    ui::say("a program of a user, with the engine host that the package brings");
    write_program(&program, &unpacked, WITH_HOST, &["host"])?;
    process::run(cargo(&program).args(["run", "--quiet", "--"]).arg(folder.path().join("engine")))
}

/// A package that depends on the unpacked one and on nothing of ours.
fn write_program(folder: &Path, unpacked: &Path, program: &str, features: &[&str]) -> Result<()> {
    std::fs::create_dir_all(folder.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         {PACKAGE} = {{ path = {unpacked:?}, features = {features:?} }}\n\
         tokio = {{ version = \"1\", features = [\"full\"] }}\n"
    );
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    // The same versions, so that nothing is built twice.
    std::fs::copy(unpacked.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    std::fs::copy(paths::root().join(program), folder.join("src/main.rs"))
        .with_context(|| program.to_owned())?;
    Ok(())
}

fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder);
    if folder != paths::root() {
        cargo.env("CARGO_TARGET_DIR", paths::target().join("package-check"));
    }
    cargo
}
