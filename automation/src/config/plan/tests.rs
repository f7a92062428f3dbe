use proptest::prelude::*;

use super::*;
use crate::argv::of_command;

fn plan(entries: &[(&str, ConfigValue)], options: &ConfigOptions) -> Result<Vec<Command>> {
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    write_commands("dev", &entries, options)
}

fn lines(commands: &[Command]) -> Vec<String> {
    commands.iter().map(|command| of_command(command).join(" ")).collect()
}

const PATH: ConfigOptions = ConfigOptions { path: true, file: None };

#[test]
fn plain_entries_share_a_command_and_each_secret_has_its_own_input() {
    let entries = [
        ("a", ConfigValue::plain("-x")),
        ("b", ConfigValue::object(json!({"c": [1]}))),
        ("pin", ConfigValue::secret("hush")),
    ];
    let commands = plan(&entries, &ConfigOptions::default()).unwrap();
    assert_eq!(
        lines(&commands),
        [
            r#"config set-all --json={"a":{"secret":false,"value":"-x"},"b":{"objectValue":{"c":[1]},"secret":false,"value":"{\"c\":[1]}"}} --stack=dev"#,
            "config set --raw --secret --stack=dev -- pin",
        ]
    );
    assert_eq!(commands[1].input.as_deref(), Some("hush"));
}

#[test]
fn paths_go_as_pairs_unless_a_pair_could_be_misread() {
    let options = ConfigOptions { file: Some("other.yaml".into()), ..PATH };
    let entries = [("a.b", "1".into()), ("c=d", "2".into()), ("n[0]", "x=y".into())];
    let commands = plan(&entries, &options).unwrap();
    assert_eq!(
        lines(&commands),
        [
            "config set-all --config-file=other.yaml --path --plaintext=a.b=1 --plaintext=n[0]=x=y --stack=dev",
            "config set --config-file=other.yaml --path --plaintext --raw --stack=dev -- c=d",
        ]
    );
}

#[test]
fn a_secret_map_is_set_leaf_by_leaf_after_the_old_one_is_gone() {
    let object = json!({"k\"ey": ["x", true], "n": 1});
    let commands = plan(&[("a.b", ConfigValue::secret_object(object))], &ConfigOptions::default()).unwrap();
    assert_eq!(
        lines(&commands),
        [
            "config rm --stack=dev -- a.b",
            r#"config set --path --raw --secret --stack=dev -- ["a.b"]["k\"ey"][0]"#,
            r#"config set --path --raw --secret --stack=dev -- ["a.b"]["k\"ey"][1]"#,
            r#"config set --path --raw --secret --stack=dev -- ["a.b"]["n"]"#,
        ]
    );
    let inputs: Vec<_> = commands.iter().map(|command| command.input.as_deref()).collect();
    assert_eq!(inputs, [None, Some("x"), Some("true"), Some("1")]);
}

#[test]
fn an_empty_secret_map_is_refused() {
    let error = plan(&[("a", ConfigValue::secret_object(json!({"b": []})))], &PATH).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[test]
fn keys_with_a_namespace_keep_it_in_paths() {
    assert_eq!(path_of_key("aws:region"), "aws:region");
    assert_eq!(path_of_key("aws:a.b"), "aws:[\"a.b\"]");
}

#[test]
fn large_values_never_become_arguments_and_many_are_spread() {
    let large = "x".repeat(200 * 1024);
    let commands = plan(&[("large", large.as_str().into())], &ConfigOptions::default()).unwrap();
    assert_eq!(lines(&commands), ["config set --plaintext --raw --stack=dev -- large"]);
    let many: BTreeMap<_, _> = (0..40).map(|n| (format!("k{n:02}"), "y".repeat(9000).into())).collect();
    let commands = write_commands("dev", &many, &ConfigOptions::default()).unwrap();
    assert!(commands.len() > 3);
    assert!(commands.iter().all(|command| of_command(command).iter().all(|arg| arg.len() <= ARGUMENT_LIMIT)));
}

#[test]
fn json_of_entries_is_read_and_its_errors_do_not_quote_it() {
    let text = r#"{"a": {"value": "1"}, "s": {"value": "hush", "secret": true}}"#;
    let entries = parse_json(text).unwrap();
    assert_eq!(entries["a"], ConfigValue::plain("1"));
    assert_eq!(entries["s"], ConfigValue::secret("hush"));
    for broken in [
        r#"{"a": "hush"}"#,
        r#"{"a": {"secret": true}}"#,
        r#"["hush"]"#,
        r#"{"a": {"value": "hush", "secret": 1}}"#,
    ] {
        let error = parse_json(broken).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

fn any_value() -> impl Strategy<Value = ConfigValue> {
    let object = prop_oneof![Just(None), Just(Some(json!({"k": "SECRET-object"})))];
    ("\\PC{0,8}", any::<bool>(), object).prop_map(|(text, secret, object)| ConfigValue {
        value: if secret { format!("SECRET{text}") } else { text },
        secret,
        object: object.filter(|_| secret),
    })
}

proptest! {
    #[test]
    fn no_secret_is_ever_an_argument(
        entries in proptest::collection::btree_map("[a-zS=\"'.:-]{1,8}", any_value(), 0..6),
        path: bool,
    ) {
        let options = ConfigOptions { path, file: None };
        for command in write_commands("dev", &entries, &options).unwrap() {
            prop_assert!(!of_command(&command).iter().any(|arg| arg.contains("SECRET")), "{:?}", command);
        }
    }

    #[test]
    fn every_entry_is_set_by_exactly_one_command(
        entries in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,8}".prop_map(ConfigValue::plain), 0..6),
    ) {
        let commands = write_commands("dev", &entries, &ConfigOptions::default()).unwrap();
        let mut seen = BTreeMap::new();
        for command in commands {
            seen.extend(parse_json(command.options["json"].as_str().unwrap()).unwrap());
        }
        prop_assert_eq!(seen, entries);
    }
}

#[test]
fn a_text_that_the_settings_would_not_keep_is_refused() {
    let set = |value: ConfigValue| {
        let entries = BTreeMap::from([("k".to_owned(), value)]);
        write_commands("dev", &entries, &ConfigOptions::default()).map(drop)
    };
    let refused = set("\n x\n".into());
    assert!(matches!(&refused, Err(Error::Invalid { message, .. }) if message.contains("make it a secret")));
    for kept in ["x\n".into(), "".into(), " \n".into(), ConfigValue::secret("\n x")] {
        set(kept).unwrap();
    }
}
