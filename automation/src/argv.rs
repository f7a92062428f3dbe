//! From options to the arguments of the CLI and of the host: one table, so that what an operation does not know is refused
//! here and not by the words of a usage message.

use crate::engine::{Command, Kind, Operation};
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
        Kind::Preview => {}
        Kind::PreviewRefresh | Kind::PreviewDestroy | Kind::PreviewImport => {
            argv.push("--preview-only".to_owned());
        }
        Kind::Up | Kind::Refresh | Kind::Destroy | Kind::Import => {
            argv.extend(["--yes", "--skip-preview"].map(str::to_owned));
        }
    }
    argv.push("--non-interactive".to_owned());
    argv.push(format!("--stack={}", operation.stack));
    if !operation.options.install_plugins && !matches!(kind, Kind::Import | Kind::PreviewImport) {
        argv.push("--skip-plugin-pre-install".to_owned());
    }
    argv.push(match operation.program {
        Source::Project => "--exec-kind=auto.local".to_owned(),
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
        if !matches!(kind, Kind::Up | Kind::Preview | Kind::Refresh | Kind::Destroy) {
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

fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::Up => UP,
        Kind::Preview => PREVIEW,
        Kind::Refresh | Kind::PreviewRefresh => REFRESH,
        Kind::Destroy | Kind::PreviewDestroy => DESTROY,
        Kind::Import | Kind::PreviewImport => IMPORT,
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
mod tests {
    use super::*;
    use crate::options::{DebugOptions, DisplayOptions, Pending, Plan, Policy, Select};

    /// Every option with a value that makes an argument. A new field does not compile until it is here.
    pub(crate) fn everything() -> Options {
        let (yes, text) = (true, || "x".to_owned());
        let (list, paths) = (|| vec![text()], || vec![std::path::PathBuf::from("x")]);
        Options {
            events: None,
            output: None,
            cancel: Default::default(),
            lock_timeout: Default::default(),
            timeout: Default::default(),
            parallel: Some(1),
            message: Some(text()),
            refresh: yes,
            run_program: Some(yes),
            expect_no_changes: yes,
            continue_on_error: yes,
            remove: yes,
            config_file: Some("x".into()),
            config: vec![(text(), text())],
            config_path: yes,
            skip_config_validation: yes,
            install_plugins: yes,
            select: Select {
                targets: list(),
                target_dependents: yes,
                excludes: list(),
                exclude_dependents: yes,
                replace: list(),
                target_replace: list(),
                exclude_protected: yes,
            },
            plan: Plan { save: Some("x".into()), apply: Some("x".into()), import_file: Some("x".into()) },
            policy: Policy { packs: paths(), configs: paths() },
            pending: Pending { clear: yes, skip: yes, import: vec![(text(), text())] },
            display: DisplayOptions {
                diff: yes,
                color: Some("never".to_owned()),
                suppress_outputs: yes,
                progress: false,
                suppress_permalink: yes,
                show_sames: yes,
                show_replacement_steps: yes,
                show_reads: yes,
                show_full_output: yes,
                show_policy_remediations: yes,
                show_config: yes,
                show_secrets: yes,
                show_urns: yes,
                json: yes,
            },
            debug: DebugOptions {
                log_to_stderr: yes,
                verbosity: Some(1),
                log_flow: yes,
                tracing: Some(text()),
                debug: yes,
                disable_integrity_checking: yes,
                attach_debugger: list(),
                user_agent: Some(text()),
                env: Default::default(),
            },
            remote: None,
        }
    }

    #[test]
    fn every_option_makes_an_argument_when_it_is_set() {
        let all = everything();
        let silent: Vec<_> =
            rows(&all).into_iter().filter(|row| row.args.is_empty()).map(|row| row.option).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    fn argv(kind: Kind, options: &Options) -> Result<Vec<String>> {
        arguments(&Operation { kind, stack: "s", program: crate::Source::Project, args: Vec::new(), options })
    }

    /// What follows the arguments that every operation has.
    fn check(kind: Kind, options: &Options, expected: &[&str]) {
        let argv = argv(kind, options).unwrap();
        let known = [
            "--yes",
            "--skip-preview",
            "--non-interactive",
            "--color=never",
            "--suppress-progress",
            "--exec-kind=auto.local",
        ];
        let extra: Vec<&str> =
            argv[1..].iter().map(String::as_str).filter(|arg| !known.contains(arg)).collect();
        assert_eq!(extra[0], "--stack=s");
        assert_eq!(&extra[1..], expected);
    }

    #[test]
    fn changes_are_confirmed_in_advance_and_previews_are_not() {
        let options = Options::default();
        assert_eq!(
            argv(Kind::Up, &options).unwrap(),
            [
                "up",
                "--yes",
                "--skip-preview",
                "--non-interactive",
                "--stack=s",
                "--exec-kind=auto.local",
                "--color=never",
                "--suppress-progress"
            ]
        );
        // `--yes` and `--preview-only` exclude each other.
        assert_eq!(
            argv(Kind::PreviewRefresh, &options).unwrap()[..4],
            ["refresh", "--preview-only", "--non-interactive", "--stack=s"]
        );
        assert_eq!(argv(Kind::Preview, &options).unwrap()[..2], ["preview", "--non-interactive"]);
        assert_eq!(argv(Kind::PreviewDestroy, &options).unwrap()[..2], ["destroy", "--preview-only"]);
    }

    #[test]
    fn plugins_are_left_alone_only_when_that_is_said() {
        let (with, without) = (Options::default(), Options { install_plugins: false, ..Options::default() });
        for (kind, skips) in [(Kind::Up, true), (Kind::Destroy, true), (Kind::Import, false)] {
            let has =
                |options| argv(kind, options).unwrap().contains(&"--skip-plugin-pre-install".to_owned());
            assert_eq!((has(&with), has(&without)), (false, skips), "{kind:?}");
        }
    }

    #[test]
    fn selections_repeat_their_flag() {
        let select = Select {
            targets: vec!["a".to_owned(), "b".to_owned()],
            target_dependents: true,
            replace: vec!["c".to_owned()],
            ..Select::default()
        };
        let options = Options { select, parallel: Some(4), ..Options::default() };
        check(
            Kind::Up,
            &options,
            &["--parallel=4", "--target=a", "--target=b", "--target-dependents", "--replace=c"],
        );
    }

    #[test]
    fn a_message_of_any_words_is_one_argument() {
        let options = Options { message: Some("it's \"so\" --yes".to_owned()), ..Options::default() };
        check(Kind::Destroy, &options, &["--message=it's \"so\" --yes"]);
    }

    #[test]
    fn a_pending_create_is_imported_by_urn_and_id() {
        let pending = Pending { import: vec![("urn".to_owned(), "id".to_owned())], ..Pending::default() };
        let options = Options { pending, ..Options::default() };
        check(Kind::Refresh, &options, &["--import-pending-creates=urn", "--import-pending-creates=id"]);
    }

    #[test]
    fn what_an_operation_does_not_know_is_refused_by_name() {
        let save = Plan { save: Some("plan.json".into()), ..Plan::default() };
        for (kind, options, option) in [
            (Kind::Refresh, Options { continue_on_error: true, ..Options::default() }, "continue_on_error"),
            (Kind::Destroy, Options { plan: save.clone(), ..Options::default() }, "plan.save"),
            (Kind::Up, Options { plan: save, ..Options::default() }, "plan.save"),
            (Kind::Up, Options { remove: true, ..Options::default() }, "remove"),
            (Kind::Import, Options { refresh: true, ..Options::default() }, "refresh"),
        ] {
            let error = argv(kind, &options).unwrap_err();
            let Error::Option { option: refused, .. } = error else { panic!("{error}") };
            assert_eq!(refused, option);
        }
    }

    #[test]
    fn progress_and_colours_are_printed_on_request() {
        let display =
            DisplayOptions { progress: true, color: Some("always".to_owned()), diff: true, ..DisplayOptions::default() };
        let options = Options { display, ..Options::default() };
        let argv = argv(Kind::Up, &options).unwrap();
        assert!(!argv.contains(&"--suppress-progress".to_owned()));
        assert!(argv.contains(&"--color=always".to_owned()) && argv.contains(&"--diff".to_owned()));
    }
}
