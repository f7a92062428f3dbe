//! `cargo xtask api-check`: asks a server of its own all that the OpenAPI document allows, and what it does not, and looks whether
//! every answer is one of the document's. Nothing leaves this machine: the provider is the fake one.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::product::Product;
use crate::{build, tools, ui};

/// Ask the lifecycle API what its OpenAPI document allows and what it does not.
///
/// Schemathesis generates the requests. Any answer with 5xx, of another status, type or shape than the document says, any
/// refusal of a token that suffices or the other way round, and any acceptance of what the document excludes is a violation.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many requests at least
    #[arg(long, default_value_t = 20_000)]
    cases: u64,
    /// Which ones: the same seed asks the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Install missing system packages with apt-get, without asking.
    #[arg(long)]
    yes: bool,
}

/// What the document cannot say, and so cannot be held to: which providers, sizes and images there are at the moment, and
/// which names are taken.
const LEFT_OUT: &str = "positive_data_acceptance";

/// They answer for as long as somebody listens; tests read them.
const STREAMS: &str = "(/events|/v1/routes)$";

/// Archives are bytes as any others are: Schemathesis knows no tar.
const HOOKS: &str =
    "import schemathesis\nschemathesis.serializer.alias('application/x-tar', 'application/octet-stream')\n";

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    crate::system::ensure(crate::system::BASIC, arguments.yes)?;
    tools::ensure_to_run()?;
    let programs = build::product(false)?;
    let asked = check(&programs.pilot(), arguments.cases, arguments.seed)?;
    ui::say(format!("{asked} requests, 0 violations"));
    Ok(())
}

/// How many requests it was; an error names the violations.
pub fn check(pilot: &Path, cases: u64, seed: u64) -> Result<u64> {
    let packages = tools::schemathesis()?;
    let folder = tempfile::tempdir().context("cannot make a data folder")?;
    std::fs::write(folder.path().join("pilot_hooks.py"), HOOKS).context("cannot write the hooks")?;
    let server = Product::start_with(pilot, folder.path(), &["--providers", "fake", "--home-grace", "30s"])?;
    let (url, token) = server.api()?;
    let (mut asked, mut seed) = (0, seed);
    while asked < cases {
        asked += round(&packages, folder.path(), &format!("{url}openapi.json"), &token, cases - asked, seed)?;
        seed += 1;
    }
    Ok(asked)
}

/// One seed's requests; each operation gets about the same share.
fn round(packages: &Path, folder: &Path, url: &str, token: &str, wanted: u64, seed: u64) -> Result<u64> {
    const OPERATIONS: u64 = 30;
    let examples = (wanted / OPERATIONS).clamp(10, 1_000).to_string();
    let imports = std::env::join_paths([packages, folder]).context("cannot name the packages")?;
    let step = ui::Step::begin(format!("asking, with seed {seed}"), None);
    let mut command = Command::new("python3");
    command
        .current_dir(folder)
        .env("PYTHONPATH", imports)
        .env("SCHEMATHESIS_HOOKS", "pilot_hooks")
        .arg(packages.join("bin/schemathesis"))
        .args(["run", url, "--seed", &seed.to_string(), "--max-examples", &examples])
        .args(["--phases", "examples,coverage,fuzzing", "--exclude-checks", LEFT_OUT])
        .args(["--exclude-path-regex", STREAMS, "--request-timeout", "20", "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {token}")]);
    let output = command.output().context("cannot start python3")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let asked =
        text.lines().find_map(|line| line.trim().split_once(" generated")?.0.replace(',', "").parse().ok());
    match (output.status.success(), asked) {
        (true, Some(asked)) if asked > 0 => {
            step.done(&format!("{asked} requests"));
            Ok(asked)
        }
        _ => {
            let words = String::from_utf8_lossy(&output.stderr);
            // What differs stands before the summary.
            let from = text.find("= FAILURES =").or_else(|| text.find("= ERRORS =")).unwrap_or_default();
            bail!("the API and its document differ (seed {seed}):\n{}\n{words}", &text[from..])
        }
    }
}
