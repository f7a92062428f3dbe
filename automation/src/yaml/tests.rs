use proptest::prelude::*;
use serde_json::json;

use super::*;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

const TEXT: &str = "\
# The shop.
name: shop  # short

# It is YAML.
runtime:
  name: yaml   # the host
  options: {a: 1}
list:
- one
- two
# About the end.
description: 'it''s'
";

#[test]
fn a_document_is_read_with_its_types() {
    let read = read(TEXT).unwrap();
    let expected = json!({
        "name": "shop",
        "runtime": {"name": "yaml", "options": {"a": 1}},
        "list": ["one", "two"],
        "description": "it's",
    });
    assert_eq!(read, map(expected));
}

#[test]
fn nothing_and_comments_are_an_empty_document() {
    for text in ["", "\n", "# only words\n", "---\n", "null\n"] {
        assert!(read(text).unwrap().is_empty(), "{text:?}");
    }
    assert!(read("- a\n").is_err() && read("a: [").is_err());
}

#[test]
fn a_changed_entry_is_rewritten_and_the_rest_keeps_its_text() {
    let mut wanted = read(TEXT).unwrap();
    wanted.insert("list".to_owned(), json!(["three"]));
    wanted.insert("main".to_owned(), json!("src"));
    let expected = TEXT.replace("list:\n- one\n- two\n", "list: [\"three\"]\n") + "main: \"src\"\n";
    assert_eq!(edit(TEXT, &wanted), expected);
}

#[test]
fn a_removed_entry_leaves_the_comment_of_the_next_one() {
    let mut wanted = read(TEXT).unwrap();
    wanted.remove("list");
    assert_eq!(edit(TEXT, &wanted), TEXT.replace("list:\n- one\n- two\n", ""));
}

#[test]
fn an_unchanged_document_is_the_same_text() {
    assert_eq!(edit(TEXT, &read(TEXT).unwrap()), TEXT);
}

#[test]
fn a_document_in_flow_style_is_written_anew() {
    let wanted = map(json!({"a": 2, "b": {"c": "d"}}));
    assert_eq!(edit("{a: 1}\n", &wanted), "a: 2\nb:\n  c: \"d\"\n");
}

#[test]
fn a_text_without_a_last_line_break_can_be_added_to() {
    let wanted = map(json!({"a": 1, "b": 2}));
    assert_eq!(edit("a: 1", &wanted), "a: 1\nb: 2\n");
}

#[test]
fn a_block_text_that_looks_like_an_entry_is_left_alone() {
    let text = "a: |\n  b: 1\n  # no comment\nb: 2\n";
    let mut wanted = read(text).unwrap();
    wanted.insert("b".to_owned(), json!(3));
    assert_eq!(edit(text, &wanted), "a: |\n  b: 1\n  # no comment\nb: 3\n");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[yn~:#&*!|>%@`\"' -]{0,6}".prop_map(Value::from),
        Just(Value::from("a\u{85}b\u{2028}c\u{feff}\u{7f}\r\n\0")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof!["[a-z:]{1,4}", "\\PC{0,6}"];
    proptest::collection::btree_map(key, any_json(), 0..5).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn whatever_is_written_reads_the_same(map in any_map()) {
        prop_assert_eq!(read(&write(&map)).unwrap(), map);
    }

    #[test]
    fn any_document_can_be_edited_into_any_other(old in any_map(), new in any_map()) {
        prop_assert_eq!(read(&edit(&write(&old), &new)).unwrap(), new);
    }

    #[test]
    fn reading_and_editing_any_text_never_panics(text in "(a|b|:| |\\n|-|#|'|\"|\\{|\\}|\\||1){0,40}", new in any_map()) {
        let _ = read(&text);
        prop_assert_eq!(read(&edit(&text, &new)).unwrap(), new);
    }
}
