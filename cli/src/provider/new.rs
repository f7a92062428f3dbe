//! `pilot provider new`: a provider that works, from the fake one's sources, in a checkout of Pilot.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use contracts::{ErrorCode, Problem, ProviderName};

use crate::Outcome;
use crate::provider::scaffold::Scaffold;
use crate::provider::template::{FILES, GOLDEN, Names};
use crate::ui::Ui;

const WIRING: &str = "orchestrator/src/wiring.rs";
const CHECKED: &str = "tests/provider-check/Cargo.toml";
const WORLDS: &str = "tests/provider-check/src/worlds.rs";
/// Crates of providers/ that are not modules; and these names would say nothing.
const RESERVED: [&str; 8] = ["api", "check", "http", "kit", "server", "pilot", "provider", "test"];

/// A line above which something is added, by a text that it has and no other line.
struct Anchor {
    file: &'static str,
    text: &'static str,
    added: fn(&Names) -> String,
}

const ANCHORS: [Anchor; 6] = [
    Anchor {
        file: "Cargo.toml",
        text: "`pilot provider new` adds a member",
        added: |names| format!("\"providers/{}\",", names.kebab),
    },
    Anchor {
        file: "Cargo.toml",
        text: "`pilot provider new` adds a provider",
        added: |names| format!("provider-{0} = {{ path = \"providers/{0}\" }}", names.kebab),
    },
    Anchor {
        file: "orchestrator/Cargo.toml",
        text: "`pilot provider new` adds a provider",
        added: |names| format!("provider-{}.workspace = true", names.kebab),
    },
    Anchor {
        file: WIRING,
        text: "`pilot provider new` adds a module",
        added: |Names { kebab, snake, camel, .. }| {
            let settings = format!("&given(\"{kebab}\", provider_{snake}::SETTINGS)?");
            format!("Arc::new(provider_{snake}::{camel}Provider::new({settings}, boot.clone())),")
        },
    },
    Anchor {
        file: CHECKED,
        text: "`pilot provider new` adds a world",
        added: |names| {
            format!("provider-{} = {{ workspace = true, features = [\"conformance\"] }}", names.kebab)
        },
    },
    Anchor {
        file: WORLDS,
        text: "`pilot provider new` adds a world",
        added: |Names { kebab, snake, .. }| {
            format!("\"{kebab}\" => new_fixture(provider_{snake}::conformance::fixture),")
        },
    },
];

pub async fn run(name: &str, ui: &mut Ui) -> Result<Outcome, Problem> {
    let here = std::env::current_dir().map_err(|error| failed("find the current folder", &error))?;
    let root = checkout(&here)?;
    let names = Names::of(usable(name, &root)?.as_str());
    let mut scaffold = Scaffold::new(&root);
    write(&mut scaffold, &names, &root).map_err(|error| failed("write the provider", &error))?;
    // Whatever happens until it is kept, a Ctrl-C too, puts everything back.
    tokio::select! {
        prepared = prepare(&root, &names) => prepared?,
        _ = tokio::signal::ctrl_c() => return Ok(Outcome::Interrupted),
    }
    scaffold.keep();
    if ui.json {
        ui.document(
            &serde_json::json!({ "provider": names.kebab, "folder": format!("providers/{}", names.kebab) }),
        );
        return Ok(Outcome::Done);
    }
    ui.say(format!(
        "providers/{0} is a provider that works, in a cloud in memory. It is wired in.",
        names.kebab
    ));
    ui.note(format!(
        "Next:
  cargo test -p provider-{0}            the promises of every provider, as tests
  cargo build -p cli -p orchestrator -p provider-check && pilot provider check {0}    the same as a report
  pilot serve, and pilot ws create demo --provider {0}
Then put your cloud in the place of src/cloud.rs, one call after the other: docs/adding-a-provider.md",
        names.kebab
    ));
    Ok(Outcome::Done)
}

/// The checkout that the folder is in.
fn checkout(here: &Path) -> Result<PathBuf, Problem> {
    let is_checkout = |folder: &&Path| folder.join(WIRING).is_file() && folder.join("Cargo.toml").is_file();
    here.ancestors().find(is_checkout).map(Path::to_owned).ok_or_else(|| {
        let detail = format!("{} is not in a checkout of Pilot's repository.", here.display());
        Problem::new(ErrorCode::BadRequest, detail)
            .with_action("Go into a checkout first: a provider is a part of Pilot, and is built with it.")
    })
}

fn usable(name: &str, root: &Path) -> Result<ProviderName, Problem> {
    let refuse = |reason: String| {
        Problem::new(ErrorCode::BadRequest, reason).with_action(
            "Choose a name like `my-cloud`: it becomes the name of a crate and of resource types.",
        )
    };
    let parsed: ProviderName = name.parse().map_err(|error| refuse(format!("{error}.")))?;
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--");
    if !is_plain {
        return Err(refuse(format!("{name:?} must begin with a letter and have single '-' between words.")));
    }
    if RESERVED.contains(&name) {
        return Err(refuse(format!("{name:?} is not a name for a provider: crates of Pilot are called so.")));
    }
    if root.join("providers").join(name).exists() {
        return Err(refuse(format!("There is a provider {name}: providers/{name} exists.")));
    }
    Ok(parsed)
}

fn write(scaffold: &mut Scaffold, names: &Names, root: &Path) -> io::Result<()> {
    // Cargo writes into it.
    scaffold.remember("Cargo.lock")?;
    for (path, text) in FILES {
        scaffold.write(&format!("providers/{}/{path}", names.kebab), &names.fill(text))?;
    }
    scaffold.write(&format!("stacks/golden/{}/Pulumi.yaml", names.kebab), &names.fill(GOLDEN))?;
    for anchor in &ANCHORS {
        let text = std::fs::read_to_string(root.join(anchor.file))?;
        let changed = add_above(&text, anchor.text, &(anchor.added)(names)).ok_or_else(|| {
            io::Error::other(format!("{} has no one line with {:?}", anchor.file, anchor.text))
        })?;
        scaffold.write(anchor.file, &changed)?;
    }
    Ok(())
}

/// The text with a line more, indented like the one line that has the anchor.
fn add_above(text: &str, anchor: &str, line: &str) -> Option<String> {
    let mut at = text.match_indices(anchor);
    let (Some((found, _)), None) = (at.next(), at.next()) else { return None };
    let start = text[..found].rfind('\n').map_or(0, |end| end + 1);
    let indent: String = text[start..].chars().take_while(|letter| *letter == ' ').collect();
    Some(format!("{}{indent}{line}\n{}", &text[..start], &text[start..]))
}

/// Cargo must understand the workspace, of which the lock file gets a member more: offline, because it needs
/// no package that was not there, and without one for other systems than this. Then all is formatted.
async fn prepare(root: &Path, names: &Names) -> Result<(), Problem> {
    cargo(root, &["update", "--workspace", "--offline"]).await?;
    let package = format!("provider-{}", names.kebab);
    cargo(root, &["fmt", "-p", &package, "-p", "orchestrator", "-p", "provider-check"]).await
}

async fn cargo(root: &Path, arguments: &[&str]) -> Result<(), Problem> {
    let doing = format!("run `cargo {}`", arguments.join(" "));
    let mut command =
        tokio::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed(&doing, &error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(&doing, &String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn failed(doing: &str, error: &dyn Display) -> Problem {
    Problem::new(ErrorCode::Internal, format!("Cannot {doing}: {error}. Everything is as it was."))
        .with_action("Mend the checkout, `git status` shows its changes, and try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_added_above_the_only_line_with_the_anchor() {
        let text = "a\n    # here\nb\n";
        assert_eq!(add_above(text, "here", "x").as_deref(), Some("a\n    x\n    # here\nb\n"));
        assert_eq!(add_above(text, "nowhere", "x"), None);
        assert_eq!(add_above("here\nhere\n", "here", "x"), None);
    }

    #[test]
    fn names_that_are_taken_reserved_or_not_names_are_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("providers/local")).unwrap();
        assert!(usable("my-cloud", root.path()).is_ok());
        for bad in ["", "My", "1cloud", "a--b", "a-", "-a", "../x", "http", "local"] {
            let problem = usable(bad, root.path()).unwrap_err();
            assert!(problem.code == ErrorCode::BadRequest && problem.action.is_some(), "{bad}");
        }
    }

    #[test]
    fn a_folder_that_is_no_checkout_is_refused_and_one_below_a_checkout_is_found() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("providers/local");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(checkout(&inner).unwrap_err().code, ErrorCode::BadRequest);
        std::fs::create_dir_all(root.path().join("orchestrator/src")).unwrap();
        std::fs::write(root.path().join(WIRING), "").unwrap();
        std::fs::write(root.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(checkout(&inner).unwrap(), root.path());
    }

    #[test]
    fn every_anchor_is_in_this_checkout() {
        let root = checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        for anchor in &ANCHORS {
            let text = std::fs::read_to_string(root.join(anchor.file)).unwrap();
            assert!(add_above(&text, anchor.text, "x").is_some(), "{}: {}", anchor.file, anchor.text);
        }
    }

    #[test]
    fn a_checkout_that_cannot_take_the_provider_stays_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        let names = Names::of("my-cloud");
        let mut scaffold = Scaffold::new(root.path());
        assert!(write(&mut scaffold, &names, root.path()).is_err(), "it has no anchors");
        drop(scaffold);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(root.path().join("Cargo.toml")).unwrap(), "[workspace]\n");
    }
}
