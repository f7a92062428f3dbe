//! `pilot provider check`: the common suite on one provider, as a report.

use std::path::Path;
use std::sync::Arc;

use contracts::{ErrorCode, Problem};
use indicatif::{ProgressBar, ProgressStyle};
use orchestrator::boot::DataFolderBoot;
use orchestrator::data::Layout;
use orchestrator::tools::ToolPaths;
use orchestrator::wiring::{self, ProviderSettings, Providers};
use provider_api::conformance::{CASES, Checked, Verdict};
use serde_json::json;

use crate::Outcome;
use crate::ui::{Ui, duration};

pub async fn run(name: &str, pattern: &str, data: &Path, ui: &mut Ui) -> Result<Outcome, Problem> {
    let chosen = CASES.iter().filter(|case| case.name.contains(pattern)).count();
    if chosen == 0 {
        let detail = format!("No promise has {pattern:?} in its name.");
        let all: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        return Err(Problem::new(ErrorCode::BadRequest, detail)
            .with_action(format!("Use a part of one of these:\n{}", all.join("\n"))));
    }
    let tools = ToolPaths::default();
    known(name, data, &tools)?;
    let bench = wiring::bench(name, &tools).ok_or_else(|| {
        let detail = format!("The provider {name} has no world in which it could be checked.");
        Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(
            "Give it one in `bench` of orchestrator/src/wiring.rs; docs/adding-a-provider.md says how.",
        )
    })?;
    if !ui.json {
        ui.say(format!("{chosen} promises of the provider {name}"));
    }
    let bar = ui.interactive.then(|| bar(chosen));
    let begin = |case: &'static str| {
        if let Some(bar) = &bar {
            bar.set_message(words(case));
        }
    };
    let report = provider_api::conformance::check(bench, pattern, begin, |checked| {
        let Some(bar) = &bar else { return show(checked, ui) };
        bar.suspend(|| show(checked, ui));
        bar.inc(1);
    })
    .await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(sum(name, &report, ui))
}

/// An error that lists the providers when there is none of this name.
fn known(name: &str, data: &Path, tools: &ToolPaths) -> Result<(), Problem> {
    let layout = Layout { root: data.to_owned() };
    let boot = Arc::new(DataFolderBoot::new(layout.clone(), None));
    Providers::build(&layout, tools, &ProviderSettings::default(), boot)?.get(name).map(drop)
}

fn words(case: &str) -> String {
    case.replace('_', " ")
}

fn bar(cases: usize) -> ProgressBar {
    let bar = ProgressBar::new(cases as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

fn show(checked: &Checked, ui: &mut Ui) {
    let millis = checked.took.as_millis() as i64;
    let (verdict, why) = match &checked.verdict {
        Verdict::Passed => ("ok", None),
        Verdict::Failed(why) => ("failed", Some(why)),
        Verdict::NotApplicable(why) => ("notApplicable", Some(why)),
    };
    if ui.json {
        ui.document(&json!({ "case": checked.name, "verdict": verdict, "why": why, "millis": millis }));
        return;
    }
    let name = words(checked.name);
    ui.say(match &checked.verdict {
        Verdict::Passed => format!("ok      {name} ({})", duration(millis)),
        Verdict::Failed(why) => {
            format!(
                "FAILED  {name} ({}):\n        {}",
                duration(millis),
                why.trim().replace('\n', "\n        ")
            )
        }
        Verdict::NotApplicable(why) => format!("-       {name}: not applicable: {why}"),
    });
}

fn sum(name: &str, report: &[Checked], ui: &mut Ui) -> Outcome {
    let count = |is: fn(&Verdict) -> bool| report.iter().filter(|checked| is(&checked.verdict)).count();
    let passed = count(|verdict| matches!(verdict, Verdict::Passed));
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let left_out = count(|verdict| matches!(verdict, Verdict::NotApplicable(_)));
    let millis = report.iter().map(|checked| checked.took.as_millis() as i64).sum();
    if ui.json {
        let counts = json!({ "provider": name, "passed": passed, "failed": failed,
            "notApplicable": left_out, "millis": millis });
        ui.document(&counts);
    } else {
        let time = duration(millis);
        ui.say(format!("{passed} ok, {failed} failed, {left_out} not applicable, in {time}"));
    }
    if failed == 0 { Outcome::Done } else { Outcome::Negative }
}
