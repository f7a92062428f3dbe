//! Properties and the types that they name, as the package schema has them.

use std::collections::BTreeMap;

use provider_api::{EnumType, ObjectType, Property, PropertyType, ResourceSchema};
use serde_json::{Map, Value, json};

/// The middle of a token, which is also that of the types that the resource names.
pub(super) fn module(schema: &ResourceSchema) -> &'static str {
    schema.token.split(':').nth(1).unwrap_or_default()
}

/// The types that resources name, at any depth, by token.
pub(super) fn named<'a>(schemas: impl Iterator<Item = &'a ResourceSchema>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for schema in schemas {
        for property in schema.inputs.iter().chain(&schema.outputs) {
            collect(module(schema), property.kind, &mut found);
        }
    }
    found
}

fn collect(module: &str, kind: PropertyType, found: &mut BTreeMap<String, Value>) {
    match kind {
        PropertyType::List(of) | PropertyType::Map(of) => collect(module, *of, found),
        PropertyType::Object(of) => {
            for property in of.properties {
                collect(module, property.kind, found);
            }
            found.insert(token(module, of.name), object(module, of));
        }
        PropertyType::Enum(of) => {
            found.insert(token(module, of.name), choice(of));
        }
        PropertyType::String | PropertyType::Integer | PropertyType::Number | PropertyType::Boolean => {}
    }
}

fn token(module: &str, name: &str) -> String {
    format!("{}:{module}:{name}", crate::PACKAGE)
}

fn object(module: &str, of: &ObjectType) -> Value {
    let properties: Map<String, Value> = of
        .properties
        .iter()
        .map(|property| (property.name.to_owned(), self::property(module, property, false)))
        .collect();
    let required: Vec<_> =
        of.properties.iter().filter(|property| property.required).map(|property| property.name).collect();
    json!({ "type": "object", "description": of.description, "properties": properties, "required": required })
}

fn choice(of: &EnumType) -> Value {
    let values: Vec<Value> = of
        .values
        .iter()
        .map(|(value, meaning)| json!({ "name": member(value), "value": value, "description": meaning }))
        .collect();
    json!({ "type": "string", "description": of.description, "enum": values })
}

/// What a value is called in programs: `read-only` is `ReadOnly`.
fn member(value: &str) -> String {
    let words = value.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.map(super::example::pascal).collect()
}

/// One property; `input` where its default is told.
pub(super) fn property(module: &str, property: &Property, input: bool) -> Value {
    let mut described = reference(module, property.kind);
    described.insert("description".to_owned(), property.description.into());
    if property.secret {
        described.insert("secret".to_owned(), true.into());
    }
    if property.replaces {
        described.insert("willReplaceOnChanges".to_owned(), true.into());
    }
    // SDKs know defaults of these only; `Check` fills in the others.
    let composite =
        matches!(property.kind, PropertyType::List(_) | PropertyType::Map(_) | PropertyType::Object(_));
    if let Some(default) = property.default.filter(|_| input && !composite) {
        described.insert("default".to_owned(), property.kind.read(default));
    }
    described.into()
}

fn reference(module: &str, kind: PropertyType) -> Map<String, Value> {
    let plain = |name: &str| json!({ "type": name });
    let shape = match kind {
        PropertyType::String => plain("string"),
        PropertyType::Integer => plain("integer"),
        PropertyType::Number => plain("number"),
        PropertyType::Boolean => plain("boolean"),
        PropertyType::List(of) => json!({ "type": "array", "items": reference(module, *of) }),
        PropertyType::Map(of) => json!({ "type": "object", "additionalProperties": reference(module, *of) }),
        PropertyType::Object(ObjectType { name, .. }) | PropertyType::Enum(EnumType { name, .. }) => {
            json!({ "$ref": format!("#/types/{}", token(module, name)) })
        }
    };
    shape.as_object().cloned().unwrap_or_default()
}
