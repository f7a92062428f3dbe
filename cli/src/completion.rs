//! `pilot completion`: what a shell needs to complete commands, options and the values of options.

use clap::CommandFactory;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};
use contracts::Problem;

use crate::Outcome;
use crate::args::{Args, Completion, Shell};
use crate::ui::Ui;

pub fn run(completion: &Completion, ui: &mut Ui) -> Result<Outcome, Problem> {
    let (mut command, mut script) = (Args::command(), Vec::new());
    match completion.shell {
        Shell::Bash => generate(Bash, &mut command, "pilot", &mut script),
        Shell::Zsh => generate(Zsh, &mut command, "pilot", &mut script),
        Shell::Fish => generate(Fish, &mut command, "pilot", &mut script),
    }
    ui.text(&String::from_utf8_lossy(&script));
    Ok(Outcome::Done)
}
