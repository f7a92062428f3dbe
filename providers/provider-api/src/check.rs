//! Inputs against the schema, and inputs of before against those of now: the defaults of
//! [`crate::Resource::check`] and [`crate::Resource::diff`].

use serde_json::{Map, Value};

use crate::resource::{CheckFailure, Diff, DiffRequest, Properties};
use crate::schema::{EnumType, Property, PropertyType, ResourceSchema};

/// Every problem that the schema finds, all at once.
pub(crate) fn failures(schema: &ResourceSchema, inputs: &Properties) -> Vec<CheckFailure> {
    let mut failures = Vec::new();
    check_properties(schema.token, &schema.inputs, inputs, "", &mut failures);
    failures
}

/// `owner` is the type that has these properties, `path` where its value is.
fn check_properties(
    owner: &str,
    properties: &[Property],
    given: &Map<String, Value>,
    path: &str,
    failures: &mut Vec<CheckFailure>,
) {
    for name in given.keys().filter(|name| !properties.iter().any(|property| property.name == *name)) {
        let known: Vec<_> = properties.iter().map(|property| property.name).collect();
        let reason = format!("{owner} has no such property; it has {}", known.join(", "));
        failures.push(CheckFailure { property: below(path, name), reason });
    }
    for property in properties {
        let path = below(path, property.name);
        match given.get(property.name) {
            None | Some(Value::Null) if property.required => {
                failures.push(CheckFailure { property: path, reason: "it is required".to_owned() });
            }
            None | Some(Value::Null) => {}
            Some(value) => check_value(property.kind, value, path, failures),
        }
    }
}

fn check_value(kind: PropertyType, value: &Value, path: String, failures: &mut Vec<CheckFailure>) {
    let fits = match (kind, value) {
        (PropertyType::String, value) => value.is_string(),
        (PropertyType::Integer, value) => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        (PropertyType::Number, value) => value.is_number(),
        (PropertyType::Boolean, value) => value.is_boolean(),
        (PropertyType::Enum(EnumType { values, .. }), value) => {
            value.as_str().is_some_and(|text| values.iter().any(|(known, _)| *known == text))
        }
        (PropertyType::List(of), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_value(*of, item, format!("{path}[{index}]"), failures);
            }
            return;
        }
        (PropertyType::Map(of), Value::Object(entries)) => {
            for (key, value) in entries {
                check_value(*of, value, format!("{path}[{key:?}]"), failures);
            }
            return;
        }
        (PropertyType::Object(of), Value::Object(entries)) => {
            return check_properties(of.name, of.properties, entries, &path, failures);
        }
        (PropertyType::List(_) | PropertyType::Map(_) | PropertyType::Object(_), _) => false,
    };
    if !fits {
        failures.push(CheckFailure { property: path, reason: format!("it must be {kind}") });
    }
}

fn below(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Every input of the schema that differs, but for those that only a create reads: the default of [`crate::Resource::diff`], for modules that add to it.
/// A change of a part of an input is a change of the whole.
pub fn differences(schema: &ResourceSchema, request: &DiffRequest) -> Diff {
    let mut diff = Diff::default();
    for property in &schema.inputs {
        let (old, new) = (request.old_inputs.get(property.name), request.new_inputs.get(property.name));
        if property.at_create || same(old, new) {
            continue;
        }
        diff.changed.push(property.name.to_owned());
        if property.replaces {
            diff.replaces.push(property.name.to_owned());
        }
    }
    diff
}

/// Numbers cross the wire as floating point, so `1` and `1.0` are the same; so are null and absent.
fn same(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (None | Some(Value::Null), None | Some(Value::Null)) => true,
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.keys().chain(b.keys()).all(|key| same(a.get(key), b.get(key)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::ObjectType;

    const MODE: EnumType =
        EnumType { name: "Mode", description: "", values: &[("ro", "read"), ("rw", "write")] };

    const MOUNT: ObjectType = ObjectType {
        name: "Mount",
        description: "",
        properties: &[
            Property::required("target", PropertyType::String, ""),
            Property::optional("mode", PropertyType::Enum(&MODE), ""),
            Property::optional("sizes", PropertyType::Map(&PropertyType::Integer), ""),
        ],
    };

    fn schema() -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test:Thing",
            description: "",
            inputs: vec![
                Property::required("name", PropertyType::String, "").replaces(),
                Property::optional("size", PropertyType::Integer, ""),
                Property::optional("mounts", PropertyType::List(&PropertyType::Object(&MOUNT)), ""),
            ],
            outputs: vec![],
        }
    }

    fn object(value: Value) -> Properties {
        value.as_object().cloned().unwrap()
    }

    fn found(inputs: Value) -> Vec<(String, String)> {
        failures(&schema(), &object(inputs)).into_iter().map(|one| (one.property, one.reason)).collect()
    }

    #[test]
    fn check_reports_unknown_missing_and_mistyped_properties_together() {
        let failures = found(json!({"size": "big", "colour": 1}));
        let properties: Vec<_> = failures.iter().map(|(property, _)| property.as_str()).collect();
        assert_eq!(properties, ["colour", "name", "size"]);
        assert_eq!(failures[2].1, "it must be a whole number");
    }

    #[test]
    fn what_is_wrong_inside_a_property_is_named_with_its_place() {
        let mounts = json!([
            {"target": "/a", "mode": "rw", "sizes": {"b c": 1}},
            {"mode": "wr", "sizes": {"b c": "x"}, "tarket": "/b"},
            "/c",
        ]);
        let failures = found(json!({"name": "n", "mounts": mounts}));
        let expected = [
            ("mounts[1].tarket", "Mount has no such property; it has target, mode, sizes"),
            ("mounts[1].target", "it is required"),
            ("mounts[1].mode", "it must be one of ro, rw"),
            ("mounts[1].sizes[\"b c\"]", "it must be a whole number"),
            ("mounts[2]", "it must be an object of the type Mount"),
        ];
        let expected = expected.map(|(property, reason)| (property.to_owned(), reason.to_owned()));
        assert_eq!(failures, expected);
        let failures = found(json!({"name": "n", "mounts": {}}));
        assert_eq!(failures[0].1, "it must be a list, each item an object of the type Mount");
    }

    fn differing(old: Value, new: Value) -> Diff {
        let request = DiffRequest {
            id: "x".to_owned(),
            old_inputs: object(old),
            old_outputs: Properties::new(),
            new_inputs: object(new),
        };
        differences(&schema(), &request)
    }

    #[test]
    fn a_number_that_went_over_the_wire_is_still_the_same_number_at_any_depth() {
        let old = json!({"name": "a", "size": 1.0, "mounts": [{"target": "/a", "sizes": {"b": 2.0}}]});
        let new =
            json!({"name": "a", "size": 1, "mounts": [{"target": "/a", "sizes": {"b": 2}, "mode": null}]});
        assert_eq!(differing(old, new), Diff::default());
    }

    #[test]
    fn only_properties_that_say_so_replace() {
        let diff = differing(json!({"name": "a", "size": 1}), json!({"name": "b"}));
        assert_eq!(diff.changed, ["name", "size"]);
        assert_eq!(diff.replaces, ["name"]);
    }

    #[test]
    fn a_change_inside_a_property_changes_the_property() {
        let diff = differing(
            json!({"name": "a", "mounts": [{"target": "/a", "sizes": {"b": 2}}]}),
            json!({"name": "a", "mounts": [{"target": "/a", "sizes": {"b": 3}}]}),
        );
        assert_eq!((diff.changed, diff.replaces), (vec!["mounts".to_owned()], vec![]));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,2}", inner, 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_the_same_as_itself_and_is_checked_without_a_panic(value in any_json()) {
            prop_assert!(same(Some(&value), Some(&value)));
            let _ = found(json!({"name": "n", "mounts": value}));
        }
    }
}
