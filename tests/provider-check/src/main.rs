//! `pilot-provider-check`: the common suite on one provider. `pilot provider check` starts it, and gives it its
//! own standard output. It is a program of its own so that no simulator is a part of `pilot`.

mod report;
mod worlds;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use contracts::{ErrorCode, Problem};
use provider_api::conformance::{CASES, check};

use crate::report::Report;
use crate::worlds::Programs;

/// `pilot provider check` starts this program; it is not a command for people.
#[derive(Parser)]
#[command(name = "pilot-provider-check", version)]
struct Arguments {
    /// The provider's name.
    name: String,
    /// Only the promises whose names have this text in them.
    #[arg(long, default_value = "")]
    case: String,
    /// The OpenCode binary.
    #[arg(long)]
    opencode: PathBuf,
    /// One JSON document for each promise.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            report::problem(&problem, arguments.json);
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise is kept.
async fn run(arguments: &Arguments) -> Result<bool, Problem> {
    let chosen = chosen(&arguments.case)?;
    let fixture =
        worlds::of(&arguments.name, Programs::beside_this_one(&arguments.opencode)).ok_or_else(|| {
            let detail =
                format!("The provider {} has no world in which it could be checked.", arguments.name);
            Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(
                "Give it one in tests/provider-check/src/worlds.rs; docs/adding-a-provider.md says how.",
            )
        })?;
    let report = Report::begin(&arguments.name, chosen, arguments.json);
    let checked = check(fixture, &arguments.case, |case| report.begins(case), |one| report.shows(one)).await;
    Ok(report.ends(&checked))
}

/// How many promises have this in their names; an error that lists all when none has.
fn chosen(pattern: &str) -> Result<usize, Problem> {
    match CASES.iter().filter(|case| case.name.contains(pattern)).count() {
        0 => {
            let all: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            let detail = format!("No promise has {pattern:?} in its name.");
            Err(Problem::new(ErrorCode::BadRequest, detail)
                .with_action(format!("Use a part of one of these:\n{}", all.join("\n"))))
        }
        chosen => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_no_promise_has_is_answered_with_all_of_them() {
        assert!(chosen("").unwrap() > 30);
        let problem = chosen("no-such-promise").unwrap_err();
        assert_eq!(problem.code, ErrorCode::BadRequest);
        assert!(problem.action.unwrap().contains("create_twice_adopts"));
    }
}
