//! The program that `cargo xtask chaos` starts. Exit code 1: something does not hold; 2: it could not be found out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    let options = chaos::options::Options::parse();
    let report = match chaos::run(&options).await {
        Ok(report) => report,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            return ExitCode::from(2);
        }
    };
    // A closed pipe is the reader's choice.
    let _ = report.print(options.json);
    match report.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
