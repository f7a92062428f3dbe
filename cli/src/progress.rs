//! An operation's events as they happen: a moving view on a terminal, lines elsewhere, JSON lines for
//! programs. Times are the server's, so that they are right however late an event arrives.

use std::collections::HashMap;
use std::time::Duration;

use contracts::Problem;
use contracts::operation::{OperationEvent, OperationEventBody, OperationKind, Phase, Severity};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ui::{Ui, duration};

const TICK: Duration = Duration::from_millis(100);

pub struct Progress {
    kind: OperationKind,
    spinner: Option<ProgressBar>,
    /// When the operation began, when its last phase was reached, and its last event; in milliseconds.
    began: Option<i64>,
    reached: Option<i64>,
    last: Option<i64>,
    /// The last phase that was reached.
    phase: Option<Phase>,
    /// Resources that are being worked on, and since when.
    under_way: HashMap<String, i64>,
}

impl Progress {
    pub fn new(kind: OperationKind, ui: &Ui) -> Self {
        let spinner = ui.interactive.then(|| spinner(doing(kind, None)));
        Self { kind, spinner, began: None, reached: None, last: None, phase: None, under_way: HashMap::new() }
    }

    /// Shows one event. `raw` is the event as the server wrote it.
    pub fn show(&mut self, event: &OperationEvent, raw: &str, ui: &mut Ui) {
        let at = event.at.as_millisecond();
        let began = *self.began.get_or_insert(at);
        self.last = Some(at);
        if ui.json {
            ui.say(raw);
            return;
        }
        match &event.body {
            OperationEventBody::Phase { phase } => {
                let since = at - self.reached.replace(at).unwrap_or(began);
                self.line(&format!("  {:<10} {}", phase.as_str(), duration(since)), ui);
                self.phase = Some(*phase);
                self.doing(doing(self.kind, self.phase));
            }
            OperationEventBody::Resource { op, name, resource_type, done } => {
                self.resource(op, &format!("{resource_type} {name}"), *done, at, ui);
            }
            OperationEventBody::Message { severity, text } => {
                let label = match severity {
                    Severity::Info => "",
                    Severity::Warning => "warning: ",
                    Severity::Error => "error: ",
                };
                self.line(&format!("  {label}{}", text.trim_end().replace('\n', "\n  ")), ui);
            }
            OperationEventBody::Done { .. } => self.end(),
        }
    }

    /// That nothing was told for so long: what is known of the reason, or how far it is.
    pub fn quiet(&self, time: Duration, problem: Option<&Problem>, ui: &mut Ui) {
        let phase = self.phase.unwrap_or(Phase::Queued).as_str();
        let time = duration(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let why = problem.map(|problem| format!(": {}", problem.detail)).unwrap_or_default();
        self.line(&format!("  still {phase}, for {time}{why}"), ui);
    }

    /// How long the operation took, by the events seen so far.
    pub fn total(&self) -> Option<String> {
        self.began.zip(self.last).map(|(began, last)| duration(last - began))
    }

    /// Takes the moving part off the terminal.
    pub fn end(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    fn resource(&mut self, op: &str, name: &str, done: bool, at: i64, ui: &mut Ui) {
        let Some((sign, verb)) = step(op) else { return };
        if !done {
            self.under_way.insert(name.to_owned(), at);
            self.doing(&format!("{verb} {name}"));
            return;
        }
        let took = self.under_way.remove(name).map(|since| duration(at - since)).unwrap_or_default();
        self.line(format!("    {sign} {name}  {took}").trim_end(), ui);
        if self.under_way.is_empty() {
            self.doing(doing(self.kind, self.phase));
        }
    }

    fn line(&self, line: &str, ui: &mut Ui) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| ui.note(line)),
            None => ui.note(line),
        }
    }

    fn doing(&self, what: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(what.to_owned());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says on a terminal what is waited for, and takes that off at its end. Elsewhere it says nothing.
pub struct Waiting(Option<ProgressBar>);

impl Waiting {
    pub fn new(what: &str, ui: &Ui) -> Self {
        Self(ui.interactive.then(|| spinner(&format!("waiting for {what}"))))
    }

    pub fn say(&self, what: &str) {
        if let Some(spinner) = &self.0 {
            spinner.set_message(what.to_owned());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(spinner) = self.0.take() {
            spinner.finish_and_clear();
        }
    }
}

fn spinner(message: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant; should it ever be wrong, the default one is shown.
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(message.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// What goes on after a phase.
fn doing(kind: OperationKind, after: Option<Phase>) -> &'static str {
    match (kind, after) {
        (_, None) => "waiting for its turn",
        (_, Some(Phase::Ready)) => "finishing",
        (OperationKind::Delete | OperationKind::Purge, _) => "deleting",
        (OperationKind::Teardown, _) => "removing what is shared",
        (OperationKind::Forget, _) => "forgetting",
        (OperationKind::Stop, _) => "stopping",
        (OperationKind::Snapshot, Some(Phase::Queued | Phase::Planned)) => "copying the files",
        (OperationKind::Rewind, Some(Phase::Queued)) => "copying the files of now",
        (OperationKind::Rewind, Some(Phase::Planned)) => "bringing the files back",
        (OperationKind::Discard, _) => "removing the snapshot",
        (OperationKind::Suspend, _) => "suspending",
        (OperationKind::Hibernate, _) => "hibernating",
        (OperationKind::Resume, Some(Phase::Queued | Phase::Planned)) => "resuming the instance",
        (OperationKind::Restart, Some(Phase::Queued | Phase::Planned)) => "restarting the instance",
        (
            OperationKind::Create | OperationKind::Restore | OperationKind::Apply | OperationKind::Update,
            Some(Phase::Queued),
        ) => "planning",
        (
            OperationKind::Create | OperationKind::Restore | OperationKind::Apply | OperationKind::Update,
            Some(Phase::Planned),
        ) => "applying the stack",
        (OperationKind::Start, Some(Phase::Queued | Phase::Planned)) => "starting the instance",
        (_, Some(Phase::Applied)) => "booting the instance",
        (_, Some(Phase::Booted)) => "waiting for OpenCode",
    }
}

/// The sign of a step and what it is called while it goes on; `None` for steps that change nothing.
fn step(op: &str) -> Option<(&'static str, &'static str)> {
    match op {
        "create" | "create-replacement" => Some(("+", "creating")),
        "update" => Some(("~", "updating")),
        "delete" | "delete-replaced" | "discard" => Some(("-", "deleting")),
        "replace" => Some(("±", "replacing")),
        _ => None,
    }
}
