use super::*;
use crate::options::{DebugOptions, DisplayOptions, Pending, Plan, Policy, Select};

/// Every option with a value that makes an argument. A new field does not compile until it is here.
fn everything() -> Options {
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
fn every_option_has_a_value_when_it_is_set() {
    let all = everything();
    let silent: Vec<_> =
        rows(&all).into_iter().filter(|row| row.value.is_none()).map(|row| row.option).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

fn argv(kind: OperationKind, options: &Options) -> Result<Vec<String>> {
    of_cli_operation(&Operation::new(kind, "s", Source::Project, options)).map(|command| of_command(&command))
}

/// What follows the arguments that every operation has.
fn check(kind: OperationKind, options: &Options, expected: &[&str]) {
    let argv = argv(kind, options).unwrap();
    let known = [
        "--yes",
        "--skip-preview",
        "--exec-kind=auto.local",
        "--color=never",
        "--stack=s",
        "--suppress-progress",
    ];
    let extra: Vec<&str> = argv[1..].iter().map(String::as_str).filter(|arg| !known.contains(arg)).collect();
    assert_eq!(extra, expected);
}

#[test]
fn changes_are_confirmed_in_advance_and_previews_are_not() {
    let options = Options::default();
    let line = |kind| argv(kind, &options).unwrap().join(" ");
    let all = "--color=never --exec-kind=auto.local";
    assert_eq!(
        line(OperationKind::Up),
        format!("up {all} --skip-preview --stack=s --suppress-progress --yes")
    );
    // `--yes` and `--preview-only` exclude each other.
    for (kind, word) in
        [(OperationKind::PreviewRefresh, "refresh"), (OperationKind::PreviewDestroy, "destroy")]
    {
        assert_eq!(line(kind), format!("{word} {all} --preview-only --stack=s --suppress-progress"));
    }
    assert_eq!(line(OperationKind::Preview), format!("preview {all} --stack=s --suppress-progress"));
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
        &["--parallel=4", "--replace=c", "--target=a", "--target=b", "--target-dependents"],
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

#[test]
fn a_command_becomes_arguments_in_which_data_stays_data() {
    let command = Command::new(["stack", "rename"])
        .stack("-a")
        .option("off", Some(false))
        .option("count", Some(0))
        .option("json", Some(serde_json::json!({"k": "v"})))
        .values("each", ["x", "--y"])
        .values("none", [""; 0])
        .flag("unset", false)
        .option("absent", None::<&str>)
        .args(["--z", "b"]);
    assert_eq!(
        of_command(&command),
        [
            "stack",
            "rename",
            "--count=0",
            "--each=x",
            "--each=--y",
            r#"--json={"k":"v"}"#,
            "--off=false",
            "--stack=-a",
            "--",
            "--z",
            "b"
        ]
    );
}

#[test]
fn each_option_of_an_operation_is_the_hosts_or_one_that_only_the_cli_has() {
    let protocol: Json = serde_json::from_str(include_str!("../../protocol.json")).unwrap();
    let of_host = protocol["operations"]["options"].as_object().unwrap();
    let everything = rows(&everything());
    let of_cli = everything.iter().filter(|row| !of_host.contains_key(row.flag)).map(|row| row.option);
    let expected = [
        "plan.import_file",
        "display.json",
        "debug.log_to_stderr",
        "debug.verbosity",
        "debug.log_flow",
        "debug.tracing",
        "debug.disable_integrity_checking",
        "debug.attach_debugger",
    ];
    assert_eq!(of_cli.collect::<Vec<_>>(), expected);
    let said_by_kind = ["exec-kind", "preview-only", "skip-plugin-pre-install"];
    for (flag, type_of) in of_host {
        let row = everything.iter().find(|row| row.flag == flag);
        let value = row.and_then(|row| row.value.as_ref());
        assert!(value.is_some() || said_by_kind.contains(&flag.as_str()), "nobody sets {flag}");
        assert!(value.is_none_or(|value| is_of_type(value, type_of)), "{flag} is no {type_of}");
    }
}

/// In the words of the protocol.
fn is_of_type(value: &Json, type_of: &Json) -> bool {
    match value {
        Json::Bool(_) => type_of == "boolean",
        Json::Number(_) => type_of == "number",
        Json::String(_) => type_of == "string",
        Json::Array(values) => type_of == "strings" && values.iter().all(Json::is_string),
        _ => false,
    }
}
