//! `cargo xtask tidy`: the rules that the compiler does not know. Every check says what is wrong and
//! where; all checks run, so that one pass shows everything.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process, proto, tools, ui};

mod errors;
mod files;
mod glossary;
mod imports;
mod map;
mod ports;
mod quotes;
mod traits;
mod wiring;

/// Check formatting, lints, dependencies, the import rule, file sizes, error pages, ports, the map, required methods of
/// traits, quoted and generated code.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out what compiles: clippy, and whether generated code is what its protocol gives.
    #[arg(long)]
    fast: bool,
    /// Build `cargo deny` where it is not in the tools cache. With CI=true it always is.
    #[arg(long)]
    deny: bool,
}

/// One broken rule: where, and what.
struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { place: place.into(), what: what.into() }
    }
}

/// The repository as the checks see it: files that git tracks or would track.
struct Tree {
    root: PathBuf,
    files: Vec<String>,
}

type Check = fn(&Tree) -> Result<Vec<Finding>>;

const CHECKS: [(&str, Check); 9] = [
    ("file size, file names and test names", files::check),
    ("import rule", imports::check),
    ("only wiring.rs names providers", wiring::check),
    ("error pages", errors::check),
    ("ports of NETWORK.yml", ports::check),
    ("paths in ARCHITECTURE.md", map::check),
    ("names in docs/glossary.md", glossary::check),
    ("code in docs/adding-a-provider.md", quotes::check),
    ("required methods of a provider's traits", traits::check),
];

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let tree = Tree::read()?;
    let mut broken = Vec::new();
    for (name, check) in CHECKS {
        let findings = check(&tree).with_context(|| name.to_owned())?;
        ui::say(format!("{} {name}", if findings.is_empty() { "ok" } else { "!!" }));
        for finding in &findings {
            ui::say(format!("   {}: {}", finding.place, finding.what));
        }
        if !findings.is_empty() {
            broken.push(name);
        }
    }
    if !external("formatting (cargo fmt mends it)", &["fmt", "--all", "--", "--check", "-l"]) {
        broken.push("formatting");
    }
    let clippy = ["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    if !arguments.fast && !external("lints", &clippy) {
        broken.push("lints");
    }
    let generated = [&proto::GENERATOR[..], &["--", "--check"]].concat();
    if !arguments.fast && !external("generated code (cargo xtask proto writes it)", &generated) {
        broken.push("generated code");
    }
    if !dependencies(arguments.deny)? {
        broken.push("dependencies");
    }
    if !broken.is_empty() {
        bail!("not tidy: {}", broken.join(", "));
    }
    Ok(())
}

/// Licences, sources and duplicates, as deny.toml says.
fn dependencies(build: bool) -> Result<bool> {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let Some(program) = tools::cargo_deny(build || in_ci)? else {
        ui::say("-  dependencies: not checked, `cargo xtask tidy --deny` builds what checks them");
        return Ok(true);
    };
    let mut deny = Command::new(program);
    deny.current_dir(paths::root()).args(["--locked", "--log-level", "error"]);
    let good = process::run(deny.args(["check", "bans", "licenses", "sources"])).is_ok();
    ui::say(format!("{} dependencies", if good { "ok" } else { "!!" }));
    Ok(good)
}

fn external(name: &str, arguments: &[&str]) -> bool {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let good = process::run(cargo.current_dir(paths::root()).args(arguments)).is_ok();
    ui::say(format!("{} {name}", if good { "ok" } else { "!!" }));
    good
}

impl Tree {
    fn read() -> Result<Tree> {
        let root = paths::root();
        let mut git = Command::new("git");
        git.current_dir(&root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
        let list = process::capture(&mut git)?;
        let files = list.lines().map(str::to_owned).filter(|file| root.join(file).is_file()).collect();
        Ok(Tree { root, files })
    }

    fn rust(&self) -> impl Iterator<Item = &String> {
        self.files.iter().filter(|file| file.ends_with(".rs"))
    }

    fn text(&self, file: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(file)).with_context(|| file.to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).is_relative() && self.root.join(path).exists()
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = Tree {
            root: folder.path().to_path_buf(),
            files: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        (folder, tree)
    }
}

/// True for Rust code that only tests see.
fn is_test_file(file: &str) -> bool {
    file.split('/').any(|part| part == "tests" || part == "tests.rs") || file.ends_with("_tests.rs")
}

/// The lines of a file with their numbers, up to an inline test module.
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| *line != "#[cfg(test)]")
}
