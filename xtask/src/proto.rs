//! `cargo xtask proto`: the Rust code of Pulumi's wire. The program that writes it is built only when this
//! command or `tidy` asks for it.

use std::process::Command;

use anyhow::Result;

use crate::{paths, process};

/// What the generator is started with, after `cargo`.
pub const GENERATOR: [&str; 5] = ["run", "--quiet", "--locked", "--package", "wire-generator"];

/// Write the Rust code of automation/proto, which is checked in.
#[derive(clap::Args)]
pub struct Arguments {}

/// The command.
pub fn run(_: &Arguments) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    process::run(cargo.current_dir(paths::root()).args(GENERATOR))
}
