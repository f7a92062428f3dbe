//! Writes the Rust code of `automation/proto`, which is checked in, so that nobody who builds the crate needs
//! a compiler of protocols. `cargo xtask proto` starts it; with `--check` it only tells whether what is
//! checked in is what it would write.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sides::Sides;
use targets::{TARGETS, Target};

mod sides;
mod targets;

const HEADER: &str = "\
// Written by `cargo xtask proto` from automation/proto. Change those files and never this one.

#![allow(dead_code, missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

";

fn main() -> Result<()> {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        other => bail!("unknown arguments {other:?}; there is only --check"),
    };
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../automation");
    for target in &TARGETS {
        let code = formatted(&generate(target, &home.join("proto"))?)?;
        let path = home.join(target.file);
        if !check {
            std::fs::write(&path, code).with_context(|| path.display().to_string())?;
            continue;
        }
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        ensure!(
            present == code,
            "automation/{} is not what its protocol gives; run `cargo xtask proto`",
            target.file
        );
    }
    Ok(())
}

fn generate(target: &'static Target, folder: &Path) -> Result<String> {
    let files = protox::compile(target.protos, [folder])?;
    let out = std::env::temp_dir().join(format!("wire-{}", std::process::id()));
    std::fs::create_dir_all(&out)?;
    let mut config = prost_build::Config::new();
    config.out_dir(&out).service_generator(Box::new(Sides::of(target)));
    if let Some(values) = target.values {
        config.extern_path(".google.protobuf.Struct", format!("{values}::Struct"));
        config.extern_path(".google.protobuf.Value", format!("{values}::Value"));
    }
    let code = config.compile_fds(files).and_then(|()| std::fs::read_to_string(out.join("pulumirpc.rs")));
    std::fs::remove_dir_all(&out)?;
    Ok(format!("{HEADER}{}", code?))
}

/// As `cargo fmt` would leave it.
fn formatted(code: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt does not start")?;
    let mut input = rustfmt.stdin.take().context("rustfmt takes no input")?;
    let text = code.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = rustfmt.wait_with_output()?;
    ensure!(matches!(writer.join(), Ok(Ok(()))) && output.status.success(), "rustfmt refused the code");
    Ok(String::from_utf8(output.stdout)?)
}
