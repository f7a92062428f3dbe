//! Between the wire's values, which know secrets and unknowns, and the plain JSON that providers see.

use std::collections::{BTreeMap, BTreeSet};

use automation::Value;
use automation::value::{from_struct, to_struct};
use prost_types::Struct;
use provider_api::{Properties, Property, PropertyType, ResourceSchema};

/// Properties as they came, with their marks.
#[derive(Debug, Clone, Default)]
pub struct WireProperties(BTreeMap<String, Value>);

impl WireProperties {
    pub fn read(object: Option<&Struct>) -> Self {
        Self(from_struct(object))
    }

    /// What a provider sees: secrets plain, unknown properties absent.
    pub fn plain(&self) -> Properties {
        let known = self.0.iter().filter(|(_, value)| !value.has_unknowns());
        known.map(|(name, value)| (name.clone(), value.reveal())).collect()
    }

    pub fn unknown(&self) -> BTreeSet<String> {
        self.0.iter().filter(|(_, value)| value.has_unknowns()).map(|(name, _)| name.clone()).collect()
    }

    /// The inputs as they become the goal: nulls are absent, defaults are filled in, and what the schema
    /// calls secret is secret, also when the program sent it plain.
    pub fn normalized(mut self, schema: &ResourceSchema) -> Self {
        normalize(&schema.inputs, &mut self.0);
        self
    }

    pub fn write(&self) -> Struct {
        to_struct(&self.0)
    }

    /// Outputs for the wire: what the schema or the inputs marked secret stays secret.
    pub fn outputs(&self, schema: &ResourceSchema, outputs: Properties) -> Struct {
        let marked = outputs.into_iter().map(|(name, value)| {
            let value = Value::from(value);
            let secret = self.is_secret(&name) || declares_secret(schema, &name);
            (name, if secret { Value::Secret(Box::new(value)) } else { value })
        });
        to_struct(&marked.collect())
    }

    /// The outputs of a preview: the inputs, and unknown for what only a create can tell.
    pub fn previewed(&self, schema: &ResourceSchema) -> Struct {
        let mut outputs = self.0.clone();
        for property in &schema.outputs {
            outputs.entry(property.name.to_owned()).or_insert(Value::Unknown);
        }
        to_struct(&outputs)
    }

    /// The outputs of a previewed update: what was there, with the new inputs for the old.
    pub fn previewed_over(&self, old_outputs: &WireProperties, schema: &ResourceSchema) -> Struct {
        let mut outputs = old_outputs.0.clone();
        outputs.retain(|name, _| !schema.inputs.iter().any(|input| input.name == name));
        outputs.extend(self.0.clone());
        to_struct(&outputs)
    }

    fn is_secret(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::has_secrets)
    }
}

/// What is secret inside of an output hides all of it: outputs have no marks of their own to say where.
fn declares_secret(schema: &ResourceSchema, name: &str) -> bool {
    let mut properties = schema.inputs.iter().chain(&schema.outputs);
    properties.any(|property| property.name == name && property.has_secrets())
}

fn normalize(properties: &[Property], values: &mut BTreeMap<String, Value>) {
    values.retain(|_, value| *value != Value::Null);
    for property in properties {
        if let Some(default) = property.default.filter(|_| !values.contains_key(property.name)) {
            values.insert(property.name.to_owned(), Value::from(property.kind.read(default)));
        }
        let Some(value) = values.get_mut(property.name) else { continue };
        normalize_inside(property.kind, value);
        if property.secret && !matches!(value, Value::Secret(_)) {
            *value = Value::Secret(Box::new(value.clone()));
        }
    }
}

fn normalize_inside(kind: PropertyType, value: &mut Value) {
    match (kind, value) {
        (kind, Value::Secret(inner)) => normalize_inside(kind, inner),
        (kind, Value::Output { value, .. }) => normalize_inside(kind, value),
        (PropertyType::List(of), Value::List(items)) => {
            items.iter_mut().for_each(|item| normalize_inside(*of, item));
        }
        (PropertyType::Map(of), Value::Object(entries)) => {
            entries.values_mut().for_each(|value| normalize_inside(*of, value));
        }
        (PropertyType::Object(of), Value::Object(entries)) => normalize(of.properties, entries),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use provider_api::ObjectType;

    use super::*;

    fn schema() -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test:Thing",
            description: "",
            inputs: vec![Property::required("name", PropertyType::String, "")],
            outputs: vec![Property::required("key", PropertyType::String, "").secret()],
        }
    }

    fn marked(properties: &[(&str, Value)]) -> WireProperties {
        WireProperties(properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn a_secret_input_and_a_secret_output_of_the_schema_stay_secret() {
        let inputs = marked(&[("name", Value::secret("n"))]);
        let outputs = serde_json::json!({"name": "n", "key": "k"});
        let written = inputs.outputs(&schema(), outputs.as_object().cloned().unwrap());
        let read = from_struct(Some(&written));
        assert_eq!(read["name"], Value::secret("n"));
        assert_eq!(read["key"], Value::secret("k"));
    }

    #[test]
    fn inputs_become_the_goal_with_defaults_and_secrets_and_without_nulls() {
        let schema = ResourceSchema {
            inputs: vec![
                Property::optional("size", PropertyType::Integer, "").default("2"),
                Property::optional("token", PropertyType::String, "").secret(),
                Property::optional("note", PropertyType::String, ""),
            ],
            ..schema()
        };
        let given = marked(&[("size", Value::Null), ("token", "t".into()), ("note", Value::Null)]);
        let goal = from_struct(Some(&given.normalized(&schema).write()));
        assert_eq!(goal["size"], Value::Number(2.0));
        assert_eq!(goal["token"], Value::secret("t"));
        assert!(!goal.contains_key("note"));
        let chosen =
            marked(&[("size", Value::Number(5.0)), ("token", Value::secret("t"))]).normalized(&schema);
        let goal = from_struct(Some(&chosen.write()));
        assert_eq!((&goal["size"], &goal["token"]), (&Value::Number(5.0), &Value::secret("t")));
    }

    #[test]
    fn defaults_and_secrets_inside_of_an_input_are_filled_in_and_hidden_where_they_are() {
        const KEY: ObjectType = ObjectType {
            name: "Key",
            description: "",
            properties: &[
                Property::required("value", PropertyType::String, "").secret(),
                Property::optional("bits", PropertyType::Integer, "").default("256"),
                Property::optional("note", PropertyType::String, ""),
            ],
        };
        const KEYS: PropertyType = PropertyType::List(&PropertyType::Object(&KEY));
        let schema = ResourceSchema { inputs: vec![Property::required("keys", KEYS, "")], ..schema() };
        let given = serde_json::json!([{ "value": "k", "note": null }]);
        let goal = marked(&[("keys", Value::from(given.clone()))]).normalized(&schema);
        let expected = BTreeMap::from([
            ("value".to_owned(), Value::secret("k")),
            ("bits".to_owned(), Value::Number(256.0)),
        ]);
        assert_eq!(goal.0["keys"], Value::List(vec![Value::Object(expected)]));
        // A program that did not ask, as a refresh, hides the whole of it.
        let outputs = serde_json::json!({ "keys": given });
        let written = marked(&[]).outputs(&schema, outputs.as_object().cloned().unwrap());
        assert!(matches!(from_struct(Some(&written))["keys"], Value::Secret(_)));
    }

    #[test]
    fn a_previewed_update_forgets_an_input_that_is_no_longer_there() {
        let schema =
            ResourceSchema { inputs: vec![Property::optional("note", PropertyType::String, "")], ..schema() };
        let old = marked(&[("note", "n".into()), ("key", "k".into())]);
        let read = from_struct(Some(&marked(&[]).previewed_over(&old, &schema)));
        assert!(!read.contains_key("note") && read["key"] == "k".into());
    }

    #[test]
    fn providers_never_see_an_unknown() {
        let inputs = marked(&[("name", Value::List(vec![Value::Unknown])), ("size", Value::Number(1.0))]);
        assert_eq!(serde_json::Value::Object(inputs.plain()), serde_json::json!({"size": 1}));
        assert_eq!(inputs.unknown(), BTreeSet::from(["name".to_owned()]));
    }

    #[test]
    fn a_preview_leaves_unknown_what_only_a_create_can_tell() {
        let read = from_struct(Some(&marked(&[("name", "n".into())]).previewed(&schema())));
        assert_eq!(read["key"], Value::Unknown);
        assert_eq!(read["name"], "n".into());
    }
}
