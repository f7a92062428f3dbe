use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;

fn word() -> impl Strategy<Value = String> {
    "[a-z]{1,8}"
}

fn any_asset() -> impl Strategy<Value = Asset> {
    let source = prop_oneof![
        "[a-z]{0,8}".prop_map(AssetSource::Text),
        word().prop_map(AssetSource::Path),
        word().prop_map(AssetSource::Uri),
    ];
    (source, "[0-9a-f]{0,4}").prop_map(|(source, hash)| Asset { source, hash })
}

fn any_archive() -> impl Strategy<Value = Archive> {
    let archive = |(source, hash)| Archive { source, hash };
    let leaf = prop_oneof![word().prop_map(ArchiveSource::Path), word().prop_map(ArchiveSource::Uri)];
    let leaf = (leaf, "[0-9a-f]{0,4}").prop_map(archive);
    leaf.prop_recursive(2, 8, 3, move |inner| {
        let entry =
            prop_oneof![any_asset().prop_map(ArchiveEntry::Asset), inner.prop_map(ArchiveEntry::Archive)];
        (btree_map(word(), entry, 0..3).prop_map(ArchiveSource::Assets), "[0-9a-f]{0,4}").prop_map(archive)
    })
}

fn any_reference() -> impl Strategy<Value = ResourceReference> {
    let id = prop_oneof![Just(Value::Unknown), word().prop_map(Value::String)];
    let id = proptest::option::of(id.prop_map(Box::new));
    (word(), id, "[a-z]{0,3}", "[a-z]{0,3}", "[0-9]{0,3}").prop_map(
        |(urn, id, name, resource_type, package_version)| ResourceReference {
            urn,
            id,
            name,
            resource_type,
            package_version,
        },
    )
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::Unknown),
        any::<bool>().prop_map(Value::Bool),
        (-1e9..1e9f64).prop_map(Value::Number),
        "[a-z]{0,8}".prop_map(Value::String),
        vec(any::<u8>(), 0..8).prop_map(Value::bytes),
        any_asset().prop_map(Value::Asset),
        any_archive().prop_map(Value::Archive),
        any_reference().prop_map(Value::Resource),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            btree_map("[a-z]{1,4}", inner.clone(), 0..4).prop_map(Value::Object),
            inner.clone().prop_map(|value| Value::Secret(Box::new(value))),
            (inner, btree_set(word(), 1..3))
                .prop_map(|(value, dependencies)| Value::Output { value: Box::new(value), dependencies }),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_survives_the_wire(value in any_value()) {
        let properties = BTreeMap::from([("p".to_owned(), value)]);
        prop_assert_eq!(properties_of(Some(&struct_of(&properties))), properties);
    }

    #[test]
    fn a_value_without_dependencies_has_no_output_value_on_the_wire(value in any_value()) {
        let plain = value.without_dependencies();
        prop_assert!(plain.dependencies().is_empty());
        let sent = format!("{:?}", to_wire(&plain));
        prop_assert!(!sent.contains(OUTPUT));
    }
}

#[test]
fn text_that_is_not_utf_8_is_signed_on_the_wire_and_other_text_is_plain() {
    let sent = signed(BYTE_STRING, [("value", text("/wA="))]);
    assert_eq!(to_wire(&Value::Bytes(vec![0xff, 0])), sent);
    assert_eq!(from_wire(&sent), Value::Bytes(vec![0xff, 0]));
    assert_eq!(to_wire(&Value::Bytes(b"plain".to_vec())), text("plain"));
    for encoded in ["", "cGxhaW4="] {
        assert!(matches!(from_wire(&signed(BYTE_STRING, [("value", text(encoded))])), Value::String(_)));
    }
}

#[test]
fn all_seven_unknown_strings_are_understood() {
    for string in UNKNOWNS {
        assert_eq!(from_wire(&text(string)), Value::Unknown);
    }
}

#[test]
fn an_output_value_without_a_value_is_unknown_and_keeps_its_secrecy() {
    let sent = signed(OUTPUT, [("secret", wire(Kind::Bool(true)))]);
    assert_eq!(from_wire(&sent), Value::Secret(Box::new(Value::Unknown)));
}

#[test]
fn an_unknown_secret_output_is_sent_without_a_value_and_with_its_dependencies() {
    let value = Value::Output {
        value: Box::new(Value::Secret(Box::new(Value::Unknown))),
        dependencies: BTreeSet::from(["urn:a".to_owned()]),
    };
    let Some(Kind::Object(sent)) = to_wire(&value).kind else { panic!("no object") };
    assert!(!sent.fields.contains_key("value"));
    assert_eq!(sent.fields["secret"], wire(Kind::Bool(true)));
    assert_eq!(sent.fields["dependencies"], list([text("urn:a")].into_iter()));
}

#[test]
fn an_asset_whose_content_was_left_out_keeps_its_hash() {
    let sent = signed(ASSET, [("hash", text("abc"))]);
    let asset = Asset { source: AssetSource::Text(String::new()), hash: "abc".to_owned() };
    assert_eq!(from_wire(&sent), Value::Asset(asset));
}
