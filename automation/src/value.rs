//! Property values and their encoding in `google.protobuf.Struct`.
//!
//! Secrets are objects with a signature key, unknowns are reserved strings (see `sdk/go/common/resource`
//! of Pulumi for the constants).

use std::collections::BTreeMap;

use prost_types::{ListValue, Struct, Value as WireValue, value::Kind};

/// A property value as a program or a provider sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
    /// Encrypted in state, hidden in output.
    Secret(Box<Value>),
    /// Not known before the resource exists; only in previews.
    Unknown,
}

const SIGNATURE_KEY: &str = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE: &str = "1b47061264138c4ac30d75fd1eb44270";
const OUTPUT_SIGNATURE: &str = "d0e6a833031e9bbcd3f4e8bde6ca49a4";
const UNKNOWN: &str = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/// Every type has a reserved string of its own; SDKs send the first only.
const UNKNOWNS: [&str; 7] = [
    UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
];

impl Value {
    pub fn secret(value: impl Into<Value>) -> Self {
        Value::Secret(Box::new(value.into()))
    }

    /// True when the value or anything in it is unknown.
    pub fn has_unknowns(&self) -> bool {
        match self {
            Value::Unknown => true,
            Value::Secret(inner) => inner.has_unknowns(),
            Value::List(items) => items.iter().any(Value::has_unknowns),
            Value::Object(map) => map.values().any(Value::has_unknowns),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// True when the value or anything in it is secret.
    pub fn has_secrets(&self) -> bool {
        match self {
            Value::Secret(_) => true,
            Value::List(items) => items.iter().any(Value::has_secrets),
            Value::Object(map) => map.values().any(Value::has_secrets),
            Value::Unknown | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// Plain JSON: secrets become their plain value, unknowns become null. For code that is trusted
    /// with the secret; never for logs.
    pub fn reveal(&self) -> serde_json::Value {
        match self {
            Value::Null | Value::Unknown => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => json_number(*number),
            Value::String(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Value::reveal).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.reveal())).collect(),
            Value::Secret(inner) => inner.reveal(),
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Secret(inner) => inner.as_str(),
            _ => None,
        }
    }
}

/// Whole numbers stay whole, so that `8080.0` from the wire reads as `8080`.
fn json_number(number: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return (number as i64).into();
    }
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(flag),
            serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Value::from).collect()),
            serde_json::Value::Object(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (key, Value::from(value))).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

/// Encodes an object's properties.
pub fn to_struct(properties: &BTreeMap<String, Value>) -> Struct {
    Struct { fields: properties.iter().map(|(key, value)| (key.clone(), to_wire(value))).collect() }
}

/// Decodes an object's properties; an absent struct has none.
pub fn from_struct(object: Option<&Struct>) -> BTreeMap<String, Value> {
    object
        .map(|object| object.fields.iter().map(|(key, value)| (key.clone(), from_wire(value))).collect())
        .unwrap_or_default()
}

fn to_wire(value: &Value) -> WireValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(*number),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::List(items) => Kind::ListValue(ListValue { values: items.iter().map(to_wire).collect() }),
        Value::Object(map) => Kind::StructValue(to_struct(map)),
        Value::Unknown => Kind::StringValue(UNKNOWN.to_owned()),
        Value::Secret(inner) => {
            let signature = WireValue { kind: Some(Kind::StringValue(SECRET_SIGNATURE.to_owned())) };
            let fields = [(SIGNATURE_KEY.to_owned(), signature), ("value".to_owned(), to_wire(inner))];
            Kind::StructValue(Struct { fields: fields.into_iter().collect() })
        }
    };
    WireValue { kind: Some(kind) }
}

fn from_wire(value: &WireValue) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::NumberValue(number)) => Value::Number(*number),
        Some(Kind::StringValue(text)) if UNKNOWNS.contains(&text.as_str()) => Value::Unknown,
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::List(list.values.iter().map(from_wire).collect()),
        Some(Kind::StructValue(object)) => from_wire_object(object),
    }
}

fn from_wire_object(object: &Struct) -> Value {
    let signature = object.fields.get(SIGNATURE_KEY).and_then(|value| match &value.kind {
        Some(Kind::StringValue(text)) => Some(text.as_str()),
        _ => None,
    });
    let inner = object.fields.get("value");
    match signature {
        Some(SECRET_SIGNATURE) => Value::Secret(Box::new(inner.map_or(Value::Null, from_wire))),
        // An output without a value is one that is not known yet.
        Some(OUTPUT_SIGNATURE) => {
            let plain = inner.map_or(Value::Unknown, from_wire);
            match object.fields.get("secret").and_then(|flag| flag.kind.as_ref()) {
                Some(Kind::BoolValue(true)) => Value::Secret(Box::new(plain)),
                _ => plain,
            }
        }
        _ => Value::Object(from_struct(Some(object))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(Value::Unknown),
            any::<bool>().prop_map(Value::Bool),
            (-1e9..1e9f64).prop_map(Value::Number),
            "[a-z]{0,8}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                proptest::collection::btree_map("[a-z]{1,4}", inner.clone(), 0..4).prop_map(Value::Object),
                inner.prop_map(|value| Value::Secret(Box::new(value))),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_the_wire(value in any_value()) {
            let properties = BTreeMap::from([("p".to_owned(), value)]);
            prop_assert_eq!(from_struct(Some(&to_struct(&properties))), properties);
        }
    }

    #[test]
    fn all_seven_unknown_strings_are_understood() {
        for text in UNKNOWNS {
            let wire = WireValue { kind: Some(Kind::StringValue(text.to_owned())) };
            assert_eq!(from_wire(&wire), Value::Unknown);
        }
    }

    #[test]
    fn an_output_value_without_a_value_is_unknown_and_keeps_its_secrecy() {
        let field = |kind| WireValue { kind: Some(kind) };
        let fields = [
            (SIGNATURE_KEY.to_owned(), field(Kind::StringValue(OUTPUT_SIGNATURE.to_owned()))),
            ("secret".to_owned(), field(Kind::BoolValue(true))),
        ];
        let wire = field(Kind::StructValue(Struct { fields: fields.into_iter().collect() }));
        assert_eq!(from_wire(&wire), Value::Secret(Box::new(Value::Unknown)));
    }

    #[test]
    fn whole_numbers_are_revealed_as_integers() {
        assert_eq!(Value::Number(8080.0).reveal(), serde_json::json!(8080));
        assert_eq!(Value::Number(0.5).reveal(), serde_json::json!(0.5));
    }
}
