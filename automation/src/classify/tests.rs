use super::*;

fn check(code: i32, stderr: &str) -> Error {
    let ended = Ended { stack: "rt-1", command: "up", code: Some(code), stderr, ..Ended::default() };
    classify(ended, Failures::default())
}

#[test]
fn a_cli_that_breaks_down_is_no_configuration_that_is_wrong() {
    let stderr = "Updating:\npanic: fatal: An assertion has failed [recovered]\n\tpanic: fatal: An assertion has failed\n\n\
                  goroutine 1 [running]:\nmain.main()\n";
    let Error::EngineBug { message } = check(2, stderr) else { panic!("it broke down") };
    assert_eq!(message, "fatal: An assertion has failed");
    assert!(matches!(check(2, "error: panic: not in Go's way"), Error::Invalid { .. }));
}

#[test]
fn a_lock_conflict_names_its_owner() {
    let stderr = "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) \
                  to end or delete the lock file with `pulumi cancel`.\n  \
                  file:///s/.pulumi/locks/organization/pilot/rt-1/6e.json: created by me@box (pid 42) at \
                  2026-11-23T10:00:00Z\n";
    let Error::ConcurrentUpdate { owner, .. } = check(1, stderr) else { panic!() };
    assert_eq!(owner, "me@box (pid 42) at 2026-11-23T10:00:00Z");
}

#[test]
fn exit_codes_decide_before_words() {
    assert!(matches!(check(2, "error: no stack named 'a' found"), Error::Invalid { .. }));
    assert!(matches!(check(6, ""), Error::StackNotFound { .. }));
    assert!(matches!(check(7, ""), Error::NoChangesExpected));
    assert!(matches!(check(8, ""), Error::Canceled));
    assert!(matches!(check(3, "error: log in"), Error::Auth { .. }));
}

#[test]
fn existing_stacks_and_wrong_passphrases_are_told_apart() {
    assert!(matches!(check(1, "error: stack 'organization/p/s' already exists"), Error::StackExists { .. }));
    assert!(matches!(check(255, "error: incorrect passphrase"), Error::Secrets { .. }));
}

#[test]
fn a_failed_update_carries_the_providers_words_and_the_step() {
    let mut failures = Failures::default();
    failures.observe(&EngineEvent::parse(
        r#"{"diagnosticEvent":{"urn":"u","message":"<{%fg 1%}>quota used up\n","severity":"error"}}"#,
    ));
    failures.observe(&EngineEvent::parse(
        r#"{"resOpFailedEvent":{"metadata":{"op":"create","urn":"u","type":"t"},"status":2}}"#,
    ));
    let ended = Ended { command: "up", code: Some(1), ..Ended::default() };
    let error = classify(ended, failures);
    assert_eq!(error.to_string(), "up failed: quota used up");
    let Error::UpdateFailed { failed_operations, .. } = error else { panic!() };
    assert!(failed_operations[0].outcome_unknown);
}

#[test]
fn a_failed_step_counts_before_what_the_cut_off_program_says() {
    let mut failures = Failures::default();
    failures.observe(&EngineEvent::parse(
        r#"{"resOpFailedEvent":{"metadata":{"op":"create","urn":"u","type":"t"},"status":0}}"#,
    ));
    let program_error = Some("transport error".to_owned());
    let ended = Ended { command: "up", code: Some(1), program_error, ..Ended::default() };
    assert!(matches!(classify(ended, failures), Error::UpdateFailed { .. }));
}

#[test]
fn any_other_failure_keeps_the_code_and_the_error_line() {
    let Error::Command { code, message, .. } = check(1, "noise\nerror: something else\n") else { panic!() };
    assert_eq!((code, message.as_str()), (1, "something else"));
}

#[test]
fn the_reasons_below_an_error_line_are_part_of_it() {
    let stderr = "error: 2 errors occurred:\n    * resource 'a' is from a different stack (x != y)\n    * it is \
                  dangerous\n\nnoise\n";
    let Error::Command { message, .. } = check(1, stderr) else { panic!() };
    let expected = "2 errors occurred:; * resource 'a' is from a different stack (x != y); * it is dangerous";
    assert_eq!(message, expected);
}

/// What Pulumi 3.255.0 wrote for each case, captured from the real CLI unless a comment says otherwise; the
/// first word after the code is the variant that it must become.
const CAPTURED: [(&str, i32, &str, &str); 28] = [
    ("stack export", 6, "StackNotFound", "error: no stack named 'nope' found\n"),
    ("stack init", 1, "StackExists", "error: stack 'organization/p/dev' already exists\n"),
    ("stack rename", 1, "StackExists", "error: a stack named dev already exists\n"),
    (
        "up",
        1,
        "ConcurrentUpdate",
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or \
         delete the lock file with `pulumi cancel`.\n  file:///s/x.json?no_tmp_dir=true: created by \
         me@elsewhere (pid 1) at 2026-11-25T13:22:53Z\n",
    ),
    // From the source: what Pulumi Cloud answers.
    ("up", 1, "ConcurrentUpdate", "error: [409] Conflict: Another update is currently in progress.\n"),
    ("stack rename", 1, "StackExists", "error: [409] Conflict: Stack 'acme/shop/dev' already exists\n"),
    (
        "whoami",
        3,
        "Auth",
        "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions\n",
    ),
    (
        "stack init",
        1,
        "Secrets",
        "error: could not create secrets manager for new stack: passphrase must be set with \
         PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment variables\n",
    ),
    ("config", 1, "Secrets", "error: incorrect passphrase\n"),
    (
        "stack export",
        1,
        "Secrets",
        "error: could not deserialize deployment: constructing secrets manager of type \"passphrase\": unable to read \
         PULUMI_CONFIG_PASSPHRASE_FILE: open /no/such: no such file or directory\n",
    ),
    (
        "up",
        1,
        "StorageFull",
        "error: blob (key \".pulumi/locks/organization/p/dev/1.json\") (code=Unknown): write \
         /s/.pulumi/locks/organization/p/dev/1.json.18.tmp: no space left on device\n",
    ),
    (
        "up",
        1,
        "Secrets",
        "error: getting stack configuration: get stack secrets manager: incorrect passphrase\n",
    ),
    (
        "destroy",
        2,
        "Invalid",
        "error: --yes or --skip-preview or --preview-only must be passed in to proceed when running in \
         non-interactive mode\n",
    ),
    (
        "frobnicate",
        1,
        "Invalid",
        "error: unknown command \"frobnicate\" for \"pulumi\"\nRun 'pulumi --help'\n",
    ),
    ("stack ls", 1, "Invalid", "error: unknown flag: --whatever\n"),
    ("stack init", 1, "Invalid", "error: accepts at most 1 arg(s), received 4\n"),
    (
        "stack import",
        1,
        "Invalid",
        "error: could not deserialize deployment: resource 'bad' missing required 'type' field\n",
    ),
    (
        "stack export",
        1,
        "StateCorrupt",
        "error: failed to load checkpoint: place 1: unexpected end of JSON input\n",
    ),
    (
        "stack export",
        1,
        "StateCorrupt",
        "error: failed to load checkpoint: unsupported checkpoint version 99\n",
    ),
    // From the source: exit codes 7 and 8, and the banner of a panic.
    ("up", 7, "NoChangesExpected", "error: no changes were expected but changes were proposed\n"),
    ("up", 8, "Canceled", "error: operation cancelled\n"),
    (
        "up",
        1,
        "EngineBug",
        "==========\nThe Pulumi CLI encountered a fatal error. This is a bug!\nWe would appreciate a report: \
         https://github.com/pulumi/pulumi/issues/\n==========\nPulumi Version:   v3.255.0\n\
         Panic:            runtime error: index out of range\n\ngoroutine 1 [running]:\n",
    ),
    // From the fact sheet: the words of compilers, as the language hosts pass them on.
    ("up", 1, "Compilation", "    ./main.go:9:2: syntax error: unexpected }\n"),
    ("up", 1, "Compilation", "    ./main.go:9:2: undefined: foo\n"),
    ("up", 1, "Compilation", "    Build FAILED.\n"),
    ("up", 1, "Compilation", "    TSError: Unable to compile TypeScript:\n"),
    ("stack tag get", 1, "Command", "error: stack tag 'nope' not found for stack 'dev'\n"),
    ("config get", 1, "Command", "error: configuration key 'nope' not found for stack 'dev'\n"),
];

#[test]
fn every_captured_text_becomes_its_variant() {
    for (command, code, variant, stderr) in CAPTURED {
        let ended = Ended { stack: "dev", command, code: Some(code), stderr, ..Ended::default() };
        let error = classify(ended, Failures::default());
        let named = format!("{error:?}");
        assert!(named.starts_with(variant), "{command}: {stderr}\nbecame {named}");
        assert_eq!(is_absent_key(&error), variant == "Command", "{named}");
    }
}

#[test]
fn a_panic_of_the_engine_is_told_by_its_own_words() {
    let (_, code, _, stderr) = CAPTURED.iter().find(|(_, _, variant, _)| *variant == "EngineBug").unwrap();
    let Error::EngineBug { message } = check(*code, stderr) else { panic!() };
    assert_eq!(message, "runtime error: index out of range");
}

#[test]
fn a_program_that_does_not_compile_is_told_from_one_that_fails() {
    let mut failures = Failures::default();
    failures.observe(&EngineEvent::parse(
        r#"{"diagnosticEvent":{"urn":"urn:pulumi:s::p::pulumi:pulumi:Stack::p-s",
            "message":"./main.go:9:2: undefined: foo\n","severity":"error"}}"#,
    ));
    let ended = Ended { command: "up", code: Some(1), ..Ended::default() };
    let Error::Compilation { message } = classify(ended, failures) else { panic!() };
    assert_eq!(message, "./main.go:9:2: undefined: foo");
}

/// Fails after the engine has told of one violation at this level.
fn violated(level: &str, others: &[&str]) -> Error {
    let mut failures = Failures::default();
    failures.observe(&EngineEvent::parse(&format!(
        r#"{{"sequence":5,"timestamp":1,"policyEvent":{{"resourceUrn":"urn:pulumi:s::p::t::n",
            "message":"<{{%fg 1%}}>[{level}]  it must be tagged\n\n","color":"raw","policyName":"tags",
            "policyPackName":"house","policyPackVersion":"1.2.0","policyPackVersionTag":"1.2.0",
            "enforcementLevel":"{level}","severity":"high"}}}}"#
    )));
    others.iter().for_each(|other| failures.observe(&EngineEvent::parse(other)));
    classify(Ended { command: "up", code: Some(1), ..Ended::default() }, failures)
}

#[test]
fn a_mandatory_policy_forbids_and_an_advisory_one_does_not() {
    // The engine adds a diagnostic of its own, which tells nothing more.
    let failed = r#"{"diagnosticEvent":{"urn":"","message":"update failed\n","severity":"error"}}"#;
    let error = violated("mandatory", &[failed]);
    assert!(matches!(&error, Error::Policy { violations } if violations.len() == 1), "{error:?}");
    assert_eq!(error.to_string(), "a policy forbids it: tags: [mandatory]  it must be tagged");
    for level in ["advisory", "remediate", "disabled"] {
        let error = violated(level, &[failed]);
        assert!(matches!(error, Error::UpdateFailed { .. }), "{level}: {error:?}");
    }
}

#[test]
fn a_failed_step_counts_before_a_policy() {
    let step = r#"{"resOpFailedEvent":{"metadata":{"op":"create","urn":"u","type":"t"},"status":0}}"#;
    assert!(matches!(violated("mandatory", &[step]), Error::UpdateFailed { .. }));
}

#[test]
fn a_host_is_named_as_known_hosts_names_it() {
    for (url, host) in [
        ("git@example.com:a/b.git", "example.com"),
        ("ssh://git@example.com/a", "example.com"),
        ("ssh://example.com:22/a", "example.com"),
        ("ssh://me@127.0.0.1:15022/a", "[127.0.0.1]:15022"),
        ("ssh://me@[::1]:2222/a", "[::1]:2222"),
    ] {
        let error = host_key(url, "No key is known.\nHost key verification failed.\n").unwrap();
        assert!(matches!(&error, Error::HostKey { host: told, changed: false } if told == host), "{error:?}");
        assert!(error.to_string().contains("known_hosts"), "{error}");
    }
    assert!(host_key("git@example.com:a", "Permission denied (publickey).").is_none());
}

/// Everything that this crate knows words for, said by a provider and printed by the CLI.
#[test]
fn the_words_of_a_provider_decide_nothing() {
    let words =
        CAPTURED.iter().filter(|(_, code, ..)| ![2, 3, 6, 7, 8].contains(code)).map(|(.., words)| *words);
    for words in words.chain(["error: [409] Conflict: the bucket already exists", "[409] Conflict"]) {
        let urn = "urn:pulumi:s::p::cloud:test:Thing::a";
        let said =
            serde_json::json!({"diagnosticEvent": {"urn": urn, "message": words, "severity": "error"}});
        let step = serde_json::json!({"resOpFailedEvent":
            {"metadata": {"op": "create", "urn": urn, "type": "cloud:test:Thing"}, "status": 0}});
        let end = serde_json::json!({"summaryEvent": {"result": "failed", "resourceChanges": {}}});
        let begin = serde_json::json!({"preludeEvent": {"config": {}}});
        for events in [vec![&begin, &said, &step, &end], vec![&said, &step], vec![&begin, &said, &end]] {
            let mut failures = Failures::default();
            events.iter().for_each(|event| failures.observe(&EngineEvent::parse(&event.to_string())));
            let ended = Ended {
                stack: "dev",
                command: "up",
                code: Some(1),
                stderr: words,
                stdout: words,
                ..Ended::default()
            };
            let error = classify(ended, failures);
            assert!(matches!(error, Error::UpdateFailed { .. }), "{words}: {error:?}");
        }
    }
}
