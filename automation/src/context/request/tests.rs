use proptest::prelude::*;

use super::*;
use crate::context::options::ResourceOptions;
use crate::context::resource::Resource;

const ALL: Features = Features { output_values: true, resource_references: true, byte_strings: true };
const NONE: Features = Features { output_values: false, resource_references: false, byte_strings: false };

fn run(features: Features, family: &Family) -> Run<'_> {
    Run { root: "urn:root", features, family }
}

fn from(value: Value, urn: &str) -> Input {
    Input { value, dependencies: BTreeSet::from([urn.to_owned()]) }
}

fn one(features: Features, family: &Family, input: Input) -> (Value, BTreeSet<String>) {
    let encoded = run(features, family).encode(BTreeMap::from([("p".to_owned(), input)])).unwrap();
    let value = crate::value::properties_of(Some(&encoded.object))["p"].clone();
    (value, encoded.by_property["p"].clone())
}

#[test]
fn an_input_with_dependencies_is_an_output_value_only_for_an_engine_that_takes_them() {
    let family = Family::default();
    let (value, urns) = one(ALL, &family, from(Value::secret("x"), "urn:a"));
    assert_eq!(value.dependencies(), urns);
    assert_eq!(value.without_dependencies(), Value::secret("x"));
    let (value, urns) = one(NONE, &family, from(Value::secret("x"), "urn:a"));
    assert_eq!((value, urns), (Value::secret("x"), BTreeSet::from(["urn:a".to_owned()])));
}

#[test]
fn dependencies_inside_a_value_stay_where_they_are_and_count_for_the_property() {
    let family = Family::default();
    let nested = Value::List(vec!["plain".into(), from("x".into(), "urn:a").into_value()]);
    let (value, urns) = one(ALL, &family, Input::from(nested.clone()));
    assert_eq!((value, urns), (nested, BTreeSet::from(["urn:a".to_owned()])));
}

#[test]
fn an_engine_that_does_not_take_references_gets_the_id() {
    let family = Family::default();
    let reference = crate::value::ResourceReference {
        urn: "urn:a".to_owned(),
        id: Some(Box::new("a-1".into())),
        ..Default::default()
    };
    let (value, _) = one(NONE, &family, Input::from(Value::from(vec![reference.into()])));
    assert_eq!(value, Value::from(vec!["a-1".into()]));
}

#[test]
fn an_engine_that_does_not_take_bytes_is_not_sent_any_and_the_error_names_the_property() {
    let family = Family::default();
    let bytes = || Input::from(Value::List(vec![Value::secret(Value::bytes([0xff]))]));
    assert_eq!(one(ALL, &family, bytes()).0, bytes().value);
    let none = run(NONE, &family);
    let refused = |property: &str| Err(ProgramError::BytesUnsupported { property: property.to_owned() });
    assert_eq!(none.encode(BTreeMap::from([("key".to_owned(), bytes())])).map(drop), refused("key"));
    let options = ResourceOptions::default().replacement_trigger(bytes());
    let args = ResourceArgs { options, ..Default::default() };
    assert_eq!(none.register(Kind::Custom, args, Vec::new()).map(drop), refused("replacementTrigger"));
    // What is UTF-8 after all is plain text.
    assert_eq!(one(NONE, &family, Value::Bytes(b"plain".to_vec()).into()).0, "plain".into());
}

#[test]
fn a_dependency_on_a_component_reaches_the_wire_as_what_is_in_it() {
    let family = Family::default();
    family.add_component("urn:c");
    family.add_child("urn:c", "urn:child");
    let options = ResourceOptions { depends_on: BTreeSet::from(["urn:c".to_owned()]), ..Default::default() };
    let args = ResourceArgs { options, ..Default::default() };
    let request = run(ALL, &family).register(Kind::Custom, args, Vec::new()).unwrap();
    assert_eq!(request.dependencies, ["urn:child"]);
    assert_eq!(request.parent, "urn:root");
}

#[test]
fn a_provider_manages_its_own_package_only_and_components_hand_it_on() {
    let family = Family::default();
    let provider = |package: &str| {
        let urn = format!("urn:pulumi:s::p::pulumi:providers:{package}::mine");
        super::super::options::ProviderReference::new(package, &urn, "1")
    };
    let args = |resource_type: &str| ResourceArgs {
        resource_type: resource_type.to_owned(),
        options: ResourceOptions { provider: Some(provider("cloud")), ..Default::default() },
        ..Default::default()
    };
    let reference = provider("cloud").reference().to_owned();
    let run = run(ALL, &family);
    assert_eq!(run.register(Kind::Custom, args("cloud:test:Thing"), Vec::new()).unwrap().provider, reference);
    assert_eq!(run.register(Kind::Custom, args("other:test:Thing"), Vec::new()).unwrap().provider, "");
    let component = run.register(Kind::Component, args("my:Group"), Vec::new()).unwrap();
    assert_eq!((component.provider.as_str(), &component.providers["cloud"]), ("", &reference));
}

#[test]
fn false_is_sent_as_false_and_absent_as_absent() {
    let family = Family::default();
    let send = |flag| {
        let options = ResourceOptions {
            protect: flag,
            retain_on_delete: flag,
            delete_before_replace: flag,
            ..Default::default()
        };
        let args = ResourceArgs { options, ..Default::default() };
        let request = run(ALL, &family).register(Kind::Custom, args, Vec::new()).unwrap();
        assert!(!request.delete_before_replace);
        (request.protect, request.retain_on_delete, request.delete_before_replace_defined)
    };
    assert_eq!(send(Some(false)), (Some(false), Some(false), true));
    assert_eq!(send(None), (None, None, false));
}

#[test]
fn a_parent_that_is_a_resource_is_sent_by_its_urn() {
    let family = Family::default();
    let parent = Resource {
        urn: "urn:parent".to_owned(),
        id: String::new(),
        outputs: BTreeMap::new(),
        output_dependencies: HashMap::new(),
        providers: BTreeMap::new(),
        unknown: false,
        custom: false,
    };
    let options = ResourceOptions { parent: Some(parent.into()), ..Default::default() };
    let args = ResourceArgs { options, ..Default::default() };
    assert_eq!(run(ALL, &family).register(Kind::Custom, args, Vec::new()).unwrap().parent, "urn:parent");
}

#[test]
fn variables_of_a_provider_and_the_place_in_the_source_are_sent_as_they_are() {
    let family = Family::default();
    let options = ResourceOptions::default()
        .env_var_mappings([("CLOUD_TOKEN", "CLOUD_TOKEN_WEST")])
        .source_position(SourcePosition::new("/shop/main.rs", 7, 3));
    let args = ResourceArgs { options, ..Default::default() };
    let request = run(ALL, &family).register(Kind::Custom, args, Vec::new()).unwrap();
    assert_eq!(request.env_var_mappings["CLOUD_TOKEN"], "CLOUD_TOKEN_WEST");
    let position = request.source_position.unwrap();
    assert_eq!((position.uri.as_str(), position.line, position.column), ("file:///shop/main.rs", 7, 3));
    assert_eq!(request.stack_trace.unwrap().frames, [rpc::StackFrame { pc: Some(position) }]);
}

#[test]
fn durations_are_read_as_go_writes_them() {
    assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(duration("5m0s"), Some(Duration::from_secs(300)));
    assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
    for text in ["", "5", "m", "5x", "..s"] {
        assert_eq!(duration(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn timeouts_survive_the_wire(create in 1u64..10_000_000, update in proptest::option::of(1u64..10_000_000)) {
        let timeouts = CustomTimeouts {
            create: Some(Duration::from_millis(create)),
            update: update.map(Duration::from_millis),
            delete: None,
            read: update.map(Duration::from_millis),
        };
        let read = timeouts_from_wire(timeouts_to_wire(timeouts).as_ref());
        let close = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => a.abs_diff(b) < Duration::from_micros(1),
            (a, b) => a == b,
        };
        prop_assert!(close(read.create, timeouts.create) && close(read.update, timeouts.update));
        prop_assert_eq!((read.delete, read.read), (None, read.update));
    }

    #[test]
    fn aliases_survive_the_wire(name in "[a-z]{0,4}", urn in "[a-z]{1,4}", which in 0..4) {
        let alias = match which {
            0 => Alias::Urn(urn),
            1 => Alias::name(name),
            2 => Alias::parent(AliasParent::Urn(urn)),
            _ => Alias::parent(AliasParent::Stack),
        };
        prop_assert_eq!(alias_from_wire(alias_to_wire(&alias)), Some(alias));
    }
}
