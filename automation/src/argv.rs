//! From options to the arguments of the CLI and of the host: one table, so that what an operation does not know is refused
//! here and not by the words of a usage message.

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

/// One option: its name in [`Options`], the commands that know it, and its arguments when it is set.
struct Row {
    option: &'static str,
    known: u8,
    args: Vec<String>,
}

/// Those of a command, which never asks questions.
pub(crate) fn of_command(command: &Command) -> Vec<String> {
    let mut args = command.args.clone();
    // What follows a `--` is data.
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    args.insert(end, "--non-interactive".to_owned());
    args
}

/// All arguments of an operation but those that connect it to this process.
pub(crate) fn arguments(operation: &Operation<'_>) -> Result<Vec<String>> {
    let kind = operation.kind;
    let mut argv = vec![kind.command().to_owned()];
    match kind {
        OperationKind::Preview => {}
        OperationKind::PreviewRefresh | OperationKind::PreviewDestroy | OperationKind::PreviewImport => {
            argv.push("--preview-only".to_owned());
        }
        OperationKind::Up | OperationKind::Refresh | OperationKind::Destroy | OperationKind::Import => {
            argv.extend(["--yes", "--skip-preview"].map(str::to_owned));
        }
    }
    argv.push("--non-interactive".to_owned());
    argv.push(format!("--stack={}", operation.stack));
    if !operation.options.install_plugins
        && !matches!(kind, OperationKind::Import | OperationKind::PreviewImport)
    {
        argv.push("--skip-plugin-pre-install".to_owned());
    }
    argv.push(match operation.program {
        Source::Project => "--exec-kind=auto.local".to_owned(),
        #[cfg(feature = "inline")]
        Source::Inline(_) | Source::Child(_) => "--exec-kind=auto.inline".to_owned(),
    });
    for row in rows(operation.options) {
        if row.args.is_empty() {
            continue;
        }
        if row.known & bit(kind) == 0 {
            return Err(Error::Option { option: row.option, operation: kind.command() });
        }
        argv.extend(row.args);
    }
    if let Some(remote) = &operation.options.remote {
        if !matches!(
            kind,
            OperationKind::Up | OperationKind::Preview | OperationKind::Refresh | OperationKind::Destroy
        ) {
            return Err(Error::Option { option: "remote", operation: kind.command() });
        }
        argv.extend(remote::arguments(remote));
    }
    argv.extend(operation.args.iter().cloned());
    Ok(argv)
}

/// The names of the options that make arguments.
pub(crate) fn given(options: &Options) -> impl Iterator<Item = &'static str> {
    rows(options).into_iter().filter(|row| !row.args.is_empty()).map(|row| row.option)
}

#[cfg(test)]
pub(crate) use tests::everything;

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
    let color = display.color.as_deref().unwrap_or("never");
    let mut rows = vec![
        Row { option: "color", known: ALL | IMPORT, args: vec![format!("--color={color}")] },
        value("parallel", ALL | IMPORT, "--parallel", options.parallel),
        value("message", ALL | IMPORT, "--message", options.message.as_ref()),
        flag("refresh", UP | PREVIEW | DESTROY, "--refresh", options.refresh),
        value("run_program", ALL, "--run-program", options.run_program),
        flag("expect_no_changes", UP | PREVIEW | REFRESH, "--expect-no-changes", options.expect_no_changes),
        flag("continue_on_error", UP | DESTROY, "--continue-on-error", options.continue_on_error),
        flag("remove", DESTROY, "--remove", options.remove),
        path("config_file", ALL | IMPORT, "--config-file", options.config_file.as_slice()),
        values("config", ALL, "--config", options.config.iter().map(|(k, v)| format!("{k}={v}"))),
        flag("skip_config_validation", ALL, "--skip-config-validation", options.skip_config_validation),
        flag("config_path", ALL, "--config-path", options.config_path),
    ];
    rows.extend([
        values("targets", ALL, "--target", &select.targets),
        flag("target_dependents", ALL, "--target-dependents", select.target_dependents),
        values("excludes", ALL, "--exclude", &select.excludes),
        flag("exclude_dependents", UP | PREVIEW | REFRESH, "--exclude-dependents", select.exclude_dependents),
        values("replace", UP | PREVIEW, "--replace", &select.replace),
        values("target_replace", UP | PREVIEW, "--target-replace", &select.target_replace),
        flag("exclude_protected", DESTROY, "--exclude-protected", select.exclude_protected),
        path("plan.save", PREVIEW, "--save-plan", plan.save.as_slice()),
        path("plan.apply", UP, "--plan", plan.apply.as_slice()),
        path("plan.import_file", PREVIEW, "--import-file", plan.import_file.as_slice()),
        path("policy.packs", UP | PREVIEW, "--policy-pack", &policy.packs),
        path("policy.configs", UP | PREVIEW, "--policy-pack-config", &policy.configs),
        flag("pending.clear", REFRESH, "--clear-pending-creates", pending.clear),
        flag("pending.skip", REFRESH, "--skip-pending-creates", pending.skip),
        // Each pair is the flag twice: the URN, then the id.
        values(
            "pending.import",
            REFRESH,
            "--import-pending-creates",
            pending.import.iter().flat_map(|(urn, id)| [urn, id]),
        ),
    ]);
    rows.extend([
        flag("display.diff", ALL | IMPORT, "--diff", display.diff),
        flag("display.suppress_outputs", ALL | IMPORT, "--suppress-outputs", display.suppress_outputs),
        // Progress is for people who watch; it is asked for, so that nobody pays for it by default.
        Row {
            option: "display.progress",
            known: ALL | IMPORT,
            args: if display.progress { Vec::new() } else { vec!["--suppress-progress".to_owned()] },
        },
        flag("display.suppress_permalink", ALL | IMPORT, "--suppress-permalink", display.suppress_permalink),
        flag("display.show_sames", ALL, "--show-sames", display.show_sames),
        flag(
            "display.show_replacement_steps",
            ALL,
            "--show-replacement-steps",
            display.show_replacement_steps,
        ),
        flag("display.show_reads", UP | PREVIEW, "--show-reads", display.show_reads),
        flag(
            "display.show_full_output",
            UP | PREVIEW | DESTROY,
            "--show-full-output",
            display.show_full_output,
        ),
        flag(
            "display.show_policy_remediations",
            UP | PREVIEW,
            "--show-policy-remediations",
            display.show_policy_remediations,
        ),
        flag("display.show_config", UP | PREVIEW | DESTROY, "--show-config", display.show_config),
        flag("display.show_secrets", UP | PREVIEW, "--show-secrets", display.show_secrets),
        flag("display.show_urns", ALL | IMPORT, "--urns", display.show_urns),
        flag("display.json", ALL | IMPORT, "--json", display.json),
        flag("debug.log_to_stderr", ALL | IMPORT, "--logtostderr", debug.log_to_stderr),
        value("debug.verbosity", ALL | IMPORT, "--verbose", debug.verbosity),
        flag("debug.log_flow", ALL | IMPORT, "--logflow", debug.log_flow),
        value("debug.tracing", ALL | IMPORT, "--tracing", debug.tracing.as_ref()),
        flag("debug.debug", ALL | IMPORT, "--debug", debug.debug),
        flag(
            "debug.disable_integrity_checking",
            ALL | IMPORT,
            "--disable-integrity-checking",
            debug.disable_integrity_checking,
        ),
        values("debug.attach_debugger", UP | PREVIEW, "--attach-debugger", &debug.attach_debugger),
        value("debug.user_agent", ALL | IMPORT, "--exec-agent", debug.user_agent.as_ref()),
    ]);
    rows
}

fn flag(option: &'static str, known: u8, flag: &str, wanted: bool) -> Row {
    Row { option, known, args: if wanted { vec![flag.to_owned()] } else { Vec::new() } }
}

fn value(option: &'static str, known: u8, flag: &str, value: Option<impl std::fmt::Display>) -> Row {
    values(option, known, flag, value)
}

fn values<T: std::fmt::Display>(
    option: &'static str,
    known: u8,
    flag: &str,
    values: impl IntoIterator<Item = T>,
) -> Row {
    Row { option, known, args: values.into_iter().map(|value| format!("{flag}={value}")).collect() }
}

fn path(option: &'static str, known: u8, flag: &str, paths: &[std::path::PathBuf]) -> Row {
    values(option, known, flag, paths.iter().map(|path| path.display()))
}

#[cfg(test)]
mod tests;
