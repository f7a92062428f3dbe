//! The package schema: what `pulumi package get-schema` prints and Pulumi YAML checks programs against.

use provider_api::{Property, PropertyType, ResourceSchema};
use serde_json::{Map, Value, json};

use crate::{PACKAGE, Registry};

pub fn package_schema(registry: &Registry, version: &str) -> Value {
    let resources: Map<String, Value> =
        registry.schemas().map(|schema| (schema.token.to_owned(), resource(&schema))).collect();
    json!({
        "name": PACKAGE,
        "version": version,
        "displayName": "Pilot",
        "description": "Isolated machines with a coding agent, on the cloud the operator chose.",
        "license": "Apache-2.0",
        "provider": { "description": "Takes no configuration: each module reads its own from the process." },
        "config": {},
        "resources": resources,
    })
}

fn resource(schema: &ResourceSchema) -> Value {
    let required = |properties: &[Property]| -> Vec<&'static str> {
        properties.iter().filter(|property| property.required).map(|property| property.name).collect()
    };
    // Inputs come back as outputs, so both are properties of the resource.
    let all: Vec<Property> = schema.inputs.iter().chain(&schema.outputs).cloned().collect();
    json!({
        "description": schema.description,
        "inputProperties": properties(&schema.inputs),
        "requiredInputs": required(&schema.inputs),
        "properties": properties(&all),
        "required": required(&all),
    })
}

fn properties(properties: &[Property]) -> Value {
    properties
        .iter()
        .map(|property| (property.name.to_owned(), describe(property)))
        .collect::<Map<_, _>>()
        .into()
}

fn describe(property: &Property) -> Value {
    let mut described = match property.kind {
        PropertyType::String => json!({ "type": "string" }),
        PropertyType::Integer => json!({ "type": "integer" }),
        PropertyType::Number => json!({ "type": "number" }),
        PropertyType::Boolean => json!({ "type": "boolean" }),
        PropertyType::StringMap => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        PropertyType::StringList => json!({ "type": "array", "items": { "type": "string" } }),
    };
    if let Some(map) = described.as_object_mut() {
        map.insert("description".to_owned(), property.description.into());
        if property.secret {
            map.insert("secret".to_owned(), true.into());
        }
        if property.replaces {
            map.insert("willReplaceOnChanges".to_owned(), true.into());
        }
    }
    described
}
