//! One kind of external object, as the engine drives it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::declare::Expr;
use crate::error::{ProviderError, Result};
use crate::schema::{PropertyType, ResourceSchema};

/// Inputs or outputs by name. Secrets arrive as plain values here and are marked by the schema.
pub type Properties = Map<String, Value>;

/// One input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure {
    /// Its name.
    pub property: String,
    /// Completes "the property ...".
    pub reason: String,
}

/// What the state has and the program wants.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    /// As create gave it.
    pub id: String,
    /// Of the last create or update.
    pub old_inputs: Properties,
    /// What came back from it.
    pub old_outputs: Properties,
    /// As the program has them now.
    pub new_inputs: Properties,
}

/// Which input properties differ. `replaces` is a subset of `changed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// All that differ.
    pub changed: Vec<String>,
    /// Those that cannot change in place.
    pub replaces: Vec<String>,
}

/// Something to create or adopt.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// Unique in the installation; for logs only, identity comes from the inputs.
    pub urn: String,
    /// Checked, with every output that they refer to.
    pub inputs: Properties,
    /// The engine's limit for this call, when the user set one.
    pub timeout: Option<Duration>,
    /// Of the operation that this call is a part of, see [`crate::fence`]. It is no input.
    pub fence: Option<u64>,
}

/// `outputs` holds every property of the schema, inputs included.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// By which it is read, updated and deleted. Never changes.
    pub id: String,
    /// Every property of the schema.
    pub outputs: Properties,
}

/// Something to look at.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// As create gave it, or as a person typed it.
    pub id: String,
    /// Empty on import.
    pub inputs: Properties,
    /// As state has them.
    pub outputs: Properties,
}

/// What is there now.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadState {
    /// As it was asked for.
    pub id: String,
    /// What would make it as it is.
    pub inputs: Properties,
    /// Every property of the schema.
    pub outputs: Properties,
}

/// Something to change in place.
#[derive(Debug, Clone)]
pub struct UpdateRequest {
    /// As create gave it.
    pub id: String,
    /// For logs.
    pub urn: String,
    /// Of the last create or update.
    pub old_inputs: Properties,
    /// What came back from it.
    pub old_outputs: Properties,
    /// As the program has them now.
    pub new_inputs: Properties,
    /// Of the operation that this call is a part of, see [`crate::fence`]. It is no input.
    pub fence: Option<u64>,
}

/// Something to delete.
#[derive(Debug, Clone)]
pub struct DeleteRequest {
    /// As create gave it.
    pub id: String,
    /// For logs.
    pub urn: String,
    /// Of the last create or update.
    pub inputs: Properties,
    /// What came back from it.
    pub outputs: Properties,
    /// Of the operation that this call is a part of, see [`crate::fence`]. It is no input.
    pub fence: Option<u64>,
}

impl DeleteRequest {
    /// For what no state knows: with no id, no outputs, and of the inputs what the declaration itself says. What only a run knows
    /// is an empty text. Such a delete goes by whose the object is.
    pub fn blind<'a>(
        urn: String,
        declared: impl IntoIterator<Item = (&'a String, &'a Expr)>,
        fence: Option<u64>,
    ) -> Self {
        let known = declared.into_iter().map(|(name, expr)| match expr {
            Expr::Value(value) => (name.clone(), value.clone()),
            Expr::Secret(_) | Expr::Output { .. } => (name.clone(), "".into()),
        });
        Self { id: String::new(), urn, inputs: known.collect(), outputs: Properties::new(), fence }
    }
}

/// Every method may be called again after a crash with the same arguments, and more than one process
/// may have done so before: look first, then act. Calls run detached from the engine's connection, so
/// they are never dropped half-way; they end by themselves or at their own deadline.
///
/// `create`, `update` and `delete` are refused with `fenced`, and change nothing, when a write of the same
/// runtime with a higher fence was finished before they arrived; each makes a higher fence known, also when
/// there is nothing else to do. [`crate::fence`] has the whole promise.
#[async_trait]
pub trait Resource: Send + Sync {
    /// The type's shape. Called often; keep it cheap.
    fn schema(&self) -> ResourceSchema;

    /// Find by deterministic name and labels, adopt if it is this installation's, else create; on a
    /// conflict find again. After a timeout return [`crate::Outcome::Unknown`].
    async fn create(&self, request: CreateRequest) -> Result<Created>;

    /// The object as it is now, or `None` when it is surely gone. A host that does not answer is an
    /// error, never `None`.
    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>>;

    /// Changes in place what `diff` did not mark as replacing, and returns the new outputs. Must not
    /// touch user data. What is gone cannot be changed, and is not made anew: [`ProviderError::gone`].
    async fn update(&self, request: UpdateRequest) -> Result<Properties>;

    /// Idempotent: what is already gone is a success. Deletes what is this runtime's also where its id and outputs are lost, see
    /// [`DeleteRequest::blind`].
    async fn delete(&self, request: DeleteRequest) -> Result<()>;

    /// Problems with the inputs, before anything is done. The default checks names, types and required
    /// properties against the schema.
    fn check(&self, inputs: &Properties) -> Vec<CheckFailure> {
        check_against(&self.schema(), inputs)
    }

    /// What differs between the inputs of state and the program. The default compares every input of
    /// the schema.
    fn diff(&self, request: &DiffRequest) -> Diff {
        differences(&self.schema(), request)
    }
}

fn check_against(schema: &ResourceSchema, inputs: &Properties) -> Vec<CheckFailure> {
    let mut failures = Vec::new();
    for name in inputs.keys() {
        if !schema.inputs.iter().any(|property| property.name == name) {
            let known: Vec<_> = schema.inputs.iter().map(|property| property.name).collect();
            let reason = format!("{} has no such property; it has {}", schema.token, known.join(", "));
            failures.push(CheckFailure { property: name.clone(), reason });
        }
    }
    for property in &schema.inputs {
        let reason = match inputs.get(property.name) {
            None | Some(Value::Null) if property.required => "it is required".to_owned(),
            None | Some(Value::Null) => continue,
            Some(value) if fits(property.kind, value) => continue,
            Some(_) => format!("it must be of type {:?}", property.kind),
        };
        failures.push(CheckFailure { property: property.name.to_owned(), reason });
    }
    failures
}

fn fits(kind: PropertyType, value: &Value) -> bool {
    match kind {
        PropertyType::String => value.is_string(),
        PropertyType::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        PropertyType::Number => value.is_number(),
        PropertyType::Boolean => value.is_boolean(),
        PropertyType::StringMap => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        PropertyType::StringList => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
    }
}

/// Every input of the schema that differs, but for those that only a create reads: the default of [`Resource::diff`], for modules that add to it.
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
        (a, b) => a == b,
    }
}

/// Reads `inputs` or `outputs` into a provider's own type. Numbers cross the wire as floating point;
/// whole ones are read as integers again.
pub fn parse<T: serde::de::DeserializeOwned>(properties: &Properties) -> Result<T> {
    let mut properties = properties.clone();
    properties.values_mut().for_each(make_whole);
    serde_json::from_value(Value::Object(properties)).map_err(|error| {
        ProviderError::new(contracts::ErrorCode::BadRequest, format!("unusable properties: {error}"))
    })
}

fn make_whole(value: &mut Value) {
    /// Up to here every whole number has its own floating point value.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)
            {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(map) => map.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// Turns a provider's own type into properties.
pub fn properties<T: serde::Serialize>(value: &T) -> Properties {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Properties::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::Property;

    fn schema() -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test:Thing",
            description: "",
            inputs: vec![
                Property::required("name", PropertyType::String, "").replaces(),
                Property::optional("size", PropertyType::Integer, ""),
            ],
            outputs: vec![],
        }
    }

    fn object(value: Value) -> Properties {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn check_reports_unknown_missing_and_mistyped_properties_together() {
        let failures = check_against(&schema(), &object(json!({"size": "big", "colour": 1})));
        let properties: Vec<_> = failures.iter().map(|failure| failure.property.as_str()).collect();
        assert_eq!(properties, ["colour", "name", "size"]);
    }

    #[test]
    fn a_number_that_went_over_the_wire_is_still_the_same_number() {
        let request = DiffRequest {
            id: "x".to_owned(),
            old_inputs: object(json!({"name": "a", "size": 1.0})),
            old_outputs: Properties::new(),
            new_inputs: object(json!({"name": "a", "size": 1})),
        };
        assert_eq!(differences(&schema(), &request), Diff::default());
    }

    #[test]
    fn whole_numbers_from_the_wire_parse_as_integers() {
        #[derive(serde::Deserialize)]
        struct Thing {
            size: u64,
            ratio: f64,
        }
        let thing: Thing = parse(&object(json!({"size": 3.0, "ratio": 2.0}))).unwrap();
        assert_eq!((thing.size, thing.ratio), (3, 2.0));
    }

    #[test]
    fn only_properties_that_say_so_replace() {
        let request = DiffRequest {
            id: "x".to_owned(),
            old_inputs: object(json!({"name": "a", "size": 1})),
            old_outputs: Properties::new(),
            new_inputs: object(json!({"name": "b"})),
        };
        let diff = differences(&schema(), &request);
        assert_eq!(diff.changed, ["name", "size"]);
        assert_eq!(diff.replaces, ["name"]);
    }
}
