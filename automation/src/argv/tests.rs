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

fn argv(kind: OperationKind, options: &Options) -> Result<Vec<String>> {
    arguments(&Operation { kind, stack: "s", program: crate::Source::Project, args: Vec::new(), options })
}

/// What follows the arguments that every operation has.
fn check(kind: OperationKind, options: &Options, expected: &[&str]) {
    let argv = argv(kind, options).unwrap();
    let known = [
        "--yes",
        "--skip-preview",
        "--non-interactive",
        "--color=never",
        "--suppress-progress",
        "--exec-kind=auto.local",
    ];
    let extra: Vec<&str> = argv[1..].iter().map(String::as_str).filter(|arg| !known.contains(arg)).collect();
    assert_eq!(extra[0], "--stack=s");
    assert_eq!(&extra[1..], expected);
}

#[test]
fn changes_are_confirmed_in_advance_and_previews_are_not() {
    let options = Options::default();
    assert_eq!(
        argv(OperationKind::Up, &options).unwrap(),
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
        argv(OperationKind::PreviewRefresh, &options).unwrap()[..4],
        ["refresh", "--preview-only", "--non-interactive", "--stack=s"]
    );
    assert_eq!(argv(OperationKind::Preview, &options).unwrap()[..2], ["preview", "--non-interactive"]);
    assert_eq!(argv(OperationKind::PreviewDestroy, &options).unwrap()[..2], ["destroy", "--preview-only"]);
}

#[test]
fn plugins_are_left_alone_only_when_that_is_said() {
    let (with, without) = (Options::default(), Options { install_plugins: false, ..Options::default() });
    for (kind, skips) in
        [(OperationKind::Up, true), (OperationKind::Destroy, true), (OperationKind::Import, false)]
    {
        let has = |options| argv(kind, options).unwrap().contains(&"--skip-plugin-pre-install".to_owned());
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
        OperationKind::Up,
        &options,
        &["--parallel=4", "--target=a", "--target=b", "--target-dependents", "--replace=c"],
    );
}

#[test]
fn a_message_of_any_words_is_one_argument() {
    let options = Options { message: Some("it's \"so\" --yes".to_owned()), ..Options::default() };
    check(OperationKind::Destroy, &options, &["--message=it's \"so\" --yes"]);
}

#[test]
fn a_pending_create_is_imported_by_urn_and_id() {
    let pending = Pending { import: vec![("urn".to_owned(), "id".to_owned())], ..Pending::default() };
    let options = Options { pending, ..Options::default() };
    check(OperationKind::Refresh, &options, &["--import-pending-creates=urn", "--import-pending-creates=id"]);
}

#[test]
fn what_an_operation_does_not_know_is_refused_by_name() {
    let save = Plan { save: Some("plan.json".into()), ..Plan::default() };
    for (kind, options, option) in [
        (
            OperationKind::Refresh,
            Options { continue_on_error: true, ..Options::default() },
            "continue_on_error",
        ),
        (OperationKind::Destroy, Options { plan: save.clone(), ..Options::default() }, "plan.save"),
        (OperationKind::Up, Options { plan: save, ..Options::default() }, "plan.save"),
        (OperationKind::Up, Options { remove: true, ..Options::default() }, "remove"),
        (OperationKind::Import, Options { refresh: true, ..Options::default() }, "refresh"),
    ] {
        let error = argv(kind, &options).unwrap_err();
        let Error::Option { option: refused, .. } = error else { panic!("{error}") };
        assert_eq!(refused, option);
    }
}

#[test]
fn progress_and_colours_are_printed_on_request() {
    let display = DisplayOptions {
        progress: true,
        color: Some("always".to_owned()),
        diff: true,
        ..DisplayOptions::default()
    };
    let options = Options { display, ..Options::default() };
    let argv = argv(OperationKind::Up, &options).unwrap();
    assert!(!argv.contains(&"--suppress-progress".to_owned()));
    assert!(argv.contains(&"--color=always".to_owned()) && argv.contains(&"--diff".to_owned()));
}
