//! `pilot provider check`: starts the program that has the common suite and the worlds it runs in. They are no
//! part of `pilot`, because only who works on a provider needs them, and simulators of clouds are among them.

use std::path::Path;
use std::sync::Arc;

use contracts::{ErrorCode, Problem};
use orchestrator::boot::DataFolderBoot;
use orchestrator::data::Layout;
use orchestrator::tools::ToolPaths;
use orchestrator::wiring::{ProviderSettings, Providers};

use crate::Outcome;
use crate::ui::Ui;

/// Built beside `pilot`.
const PROGRAM: &str = "pilot-provider-check";

pub async fn run(name: &str, pattern: &str, data: &Path, ui: &mut Ui) -> Result<Outcome, Problem> {
    let tools = ToolPaths::default();
    known(name, data, &tools)?;
    let program = tools.beside(PROGRAM);
    if !program.is_file() {
        return Err(missing(&program));
    }
    let mut command = tokio::process::Command::new(&program);
    command.arg(name).args(["--case", pattern]).arg("--opencode").arg(tools.opencode());
    if ui.json {
        command.arg("--json");
    }
    let status = command.kill_on_drop(true).status().await.map_err(|error| {
        Problem::new(ErrorCode::Internal, format!("{} cannot be started: {error}.", program.display()))
            .with_action("Build it again in a checkout of Pilot's repository.")
    })?;
    // Whatever is wrong, it has said so itself.
    Ok(if status.success() { Outcome::Done } else { Outcome::Negative })
}

/// An error that lists the providers when there is none of this name.
fn known(name: &str, data: &Path, tools: &ToolPaths) -> Result<(), Problem> {
    let layout = Layout { root: data.to_owned() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    Providers::build(&layout, tools, &ProviderSettings::default(), boot)?.get(name).map(drop)
}

fn missing(program: &Path) -> Problem {
    let release =
        if program.parent().is_some_and(|folder| folder.ends_with("release")) { " --release" } else { "" };
    let detail =
        format!("The program with the checks is not beside this one: there is no {}.", program.display());
    Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(format!(
        "In a checkout of Pilot's repository, `cargo build{release} -p provider-check -p provider-fly` builds it."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_built_for_the_profile_of_this_one() {
        let action = |path| missing(Path::new(path)).action.unwrap();
        assert!(action("/repo/target/debug/pilot-provider-check").contains("`cargo build -p provider-check"));
        assert!(action("/repo/target/release/pilot-provider-check").contains("`cargo build --release -p"));
    }
}
