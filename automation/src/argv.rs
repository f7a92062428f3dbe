//! From options to commands: one table, so that what an operation does not know is refused here and not by the words of
//! a usage message. And from commands to the arguments of the CLI.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::engine::{Command, Operation, OperationKind};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::source::Source;

mod remote;

/// Operations by the CLI's command.
const UP: u8 = 1;
const PREVIEW: u8 = 2;
const REFRESH: u8 = 4;
const DESTROY: u8 = 8;
const IMPORT: u8 = 16;
const ALL: u8 = UP | PREVIEW | REFRESH | DESTROY;

/// One option: its name in [`Options`], the operations that know it, the CLI's flag, and its value when it is set.
struct Row {
    option: &'static str,
    known: u8,
    flag: &'static str,
    value: Option<Json>,
}

/// An operation as the command that does it, without what connects it to this process and what only the CLI wants.
pub(crate) fn of_operation(operation: &Operation<'_>) -> Result<Command> {
    let (kind, options) = (operation.kind, operation.options);
    let is_import = matches!(kind, OperationKind::Import | OperationKind::PreviewImport);
    let mut command = operation.own.clone();
    command.words = vec![kind.command().to_owned()];
    command = command
        .stack(operation.stack)
        .option("exec-kind", Some(exec_kind(&operation.program)))
        .flag("preview-only", kind.is_preview() && kind != OperationKind::Preview)
        .flag("skip-plugin-pre-install", !options.install_plugins && !is_import);
    if !kind.is_preview() {
        command = command.locking(operation.stack);
    }
    for row in rows(options) {
        if row.value.is_none() {
            continue;
        }
        if row.known & bit(kind) == 0 {
            return Err(Error::Option { option: row.option, operation: kind.command() });
        }
        command = command.option(row.flag, row.value);
    }
    match &options.remote {
        Some(_) if is_import => Err(Error::Option { option: "remote", operation: kind.command() }),
        Some(remote) => Ok(remote::add(command, remote)),
        None => Ok(command),
    }
}

/// As [`of_operation`], with what the CLI wants besides: nobody is asked, and nobody sees colours.
pub(crate) fn of_cli_operation(operation: &Operation<'_>) -> Result<Command> {
    let changes = !operation.kind.is_preview();
    let mut command = of_operation(operation)?.flag("yes", changes).flag("skip-preview", changes);
    command.options.entry("color".to_owned()).or_insert_with(|| "never".into());
    Ok(command)
}

/// A command as the CLI takes it.
pub(crate) fn of_command(command: &Command) -> Vec<String> {
    let mut argv = command.words.clone();
    for (name, value) in &command.options {
        match value {
            Json::Bool(true) => argv.push(format!("--{name}")),
            Json::Array(values) => {
                argv.extend(values.iter().map(|value| format!("--{name}={}", text(value))))
            }
            value => argv.push(format!("--{name}={}", text(value))),
        }
    }
    if !command.args.is_empty() {
        argv.push("--".to_owned());
        argv.extend(command.args.iter().cloned());
    }
    argv
}

fn exec_kind(program: &Source) -> &'static str {
    match program {
        Source::Project => "auto.local",
        #[cfg(feature = "inline")]
        Source::Inline(_) | Source::Child(_) => "auto.inline",
    }
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bit(kind: OperationKind) -> u8 {
    match kind {
        OperationKind::Up => UP,
        OperationKind::Preview => PREVIEW,
        OperationKind::Refresh | OperationKind::PreviewRefresh => REFRESH,
        OperationKind::Destroy | OperationKind::PreviewDestroy => DESTROY,
        OperationKind::Import | OperationKind::PreviewImport => IMPORT,
    }
}

fn rows(options: &Options) -> Vec<Row> {
    let Options { select, plan, policy, pending, display, debug, .. } = options;
    let mut rows = vec![
        value("color", ALL | IMPORT, "color", display.color.as_deref()),
        value("parallel", ALL | IMPORT, "parallel", options.parallel),
        value("message", ALL | IMPORT, "message", options.message.as_deref()),
        flag("refresh", UP | PREVIEW | DESTROY, "refresh", options.refresh),
        value("run_program", ALL, "run-program", options.run_program),
        flag("expect_no_changes", UP | PREVIEW | REFRESH, "expect-no-changes", options.expect_no_changes),
        flag("continue_on_error", UP | DESTROY, "continue-on-error", options.continue_on_error),
        flag("remove", DESTROY, "remove", options.remove),
        path("config_file", ALL | IMPORT, "config-file", options.config_file.as_ref()),
        values("config", ALL, "config", options.config.iter().map(|(k, v)| format!("{k}={v}"))),
        flag("skip_config_validation", ALL, "skip-config-validation", options.skip_config_validation),
        flag("config_path", ALL, "config-path", options.config_path),
    ];
    rows.extend([
        values("targets", ALL, "target", select.targets.iter().cloned()),
        flag("target_dependents", ALL, "target-dependents", select.target_dependents),
        values("excludes", ALL, "exclude", select.excludes.iter().cloned()),
        flag("exclude_dependents", UP | PREVIEW | REFRESH, "exclude-dependents", select.exclude_dependents),
        values("replace", UP | PREVIEW, "replace", select.replace.iter().cloned()),
        values("target_replace", UP | PREVIEW, "target-replace", select.target_replace.iter().cloned()),
        flag("exclude_protected", DESTROY, "exclude-protected", select.exclude_protected),
        path("plan.save", PREVIEW, "save-plan", plan.save.as_ref()),
        path("plan.apply", UP, "plan", plan.apply.as_ref()),
        path("plan.import_file", PREVIEW, "import-file", plan.import_file.as_ref()),
        values("policy.packs", UP | PREVIEW, "policy-pack", policy.packs.iter().map(shown)),
        values("policy.configs", UP | PREVIEW, "policy-pack-config", policy.configs.iter().map(shown)),
        flag("pending.clear", REFRESH, "clear-pending-creates", pending.clear),
        flag("pending.skip", REFRESH, "skip-pending-creates", pending.skip),
        // Each pair is the flag twice: the URN, then the id.
        values(
            "pending.import",
            REFRESH,
            "import-pending-creates",
            pending.import.iter().flat_map(|(urn, id)| [urn.clone(), id.clone()]),
        ),
    ]);
    let (replacements, policies) = (display.show_replacement_steps, display.show_policy_remediations);
    let full = display.show_full_output;
    rows.extend([
        flag("display.diff", ALL | IMPORT, "diff", display.diff),
        flag("display.suppress_outputs", ALL | IMPORT, "suppress-outputs", display.suppress_outputs),
        // Progress is for people who watch; it is asked for, so that nobody pays for it by default.
        flag("display.progress", ALL | IMPORT, "suppress-progress", !display.progress),
        flag("display.suppress_permalink", ALL | IMPORT, "suppress-permalink", display.suppress_permalink),
        flag("display.show_sames", ALL, "show-sames", display.show_sames),
        flag("display.show_replacement_steps", ALL, "show-replacement-steps", replacements),
        flag("display.show_reads", UP | PREVIEW, "show-reads", display.show_reads),
        flag("display.show_full_output", UP | PREVIEW | DESTROY, "show-full-output", full),
        flag("display.show_policy_remediations", UP | PREVIEW, "show-policy-remediations", policies),
        flag("display.show_config", UP | PREVIEW | DESTROY, "show-config", display.show_config),
        flag("display.show_secrets", UP | PREVIEW, "show-secrets", display.show_secrets),
        flag("display.show_urns", ALL | IMPORT, "urns", display.show_urns),
        flag("display.json", ALL | IMPORT, "json", display.json),
    ]);
    let unchecked = debug.disable_integrity_checking;
    rows.extend([
        flag("debug.log_to_stderr", ALL | IMPORT, "logtostderr", debug.log_to_stderr),
        value("debug.verbosity", ALL | IMPORT, "verbose", debug.verbosity),
        flag("debug.log_flow", ALL | IMPORT, "logflow", debug.log_flow),
        value("debug.tracing", ALL | IMPORT, "tracing", debug.tracing.as_deref()),
        flag("debug.debug", ALL | IMPORT, "debug", debug.debug),
        flag("debug.disable_integrity_checking", ALL | IMPORT, "disable-integrity-checking", unchecked),
        values(
            "debug.attach_debugger",
            UP | PREVIEW,
            "attach-debugger",
            debug.attach_debugger.iter().cloned(),
        ),
        value("debug.user_agent", ALL | IMPORT, "exec-agent", debug.user_agent.as_deref()),
    ]);
    rows
}

fn flag(option: &'static str, known: u8, flag: &'static str, wanted: bool) -> Row {
    value(option, known, flag, wanted.then_some(true))
}

fn value(option: &'static str, known: u8, flag: &'static str, value: Option<impl Into<Json>>) -> Row {
    Row { option, known, flag, value: value.map(Into::into) }
}

fn values(option: &'static str, known: u8, flag: &'static str, values: impl Iterator<Item = String>) -> Row {
    let values: Vec<String> = values.collect();
    value(option, known, flag, (!values.is_empty()).then_some(values))
}

fn path(option: &'static str, known: u8, flag: &'static str, path: Option<&PathBuf>) -> Row {
    value(option, known, flag, path.map(shown))
}

fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

#[cfg(test)]
mod tests;
