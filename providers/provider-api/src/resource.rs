//! One kind of external object, as the engine drives it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::check::{differences, failures};
use crate::declare::Expr;
use crate::error::{ProviderError, Result};
use crate::schema::ResourceSchema;

/// Inputs or outputs by name. Secrets arrive as plain values here and are marked by the schema.
pub type Properties = Map<String, Value>;

/// One input that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure {
    /// Its name; for a part of one also where, as in `mounts[1].target`.
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

impl ReadRequest {
    /// The inputs in a provider's own type; `None` for an import, which has only an id.
    pub fn known<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>> {
        match self.inputs.is_empty() {
            true => Ok(None),
            false => parse(&self.inputs).map(Some),
        }
    }
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
        let known = declared.into_iter().map(|(name, expr)| (name.clone(), expr.known()));
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
    /// error, never `None`. An instance that was never started or has ended by itself is there and not well:
    /// [`crate::Outcome::Partial`] with all outputs. What was stopped or suspended is well.
    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>>;

    /// Changes in place what `diff` did not mark as replacing, and returns the new outputs. An instance that `read`
    /// tells as not well is started, also when nothing differs; what was stopped stays so. Must not touch user data. What is gone cannot be changed, and is not made anew: [`ProviderError::gone`].
    async fn update(&self, request: UpdateRequest) -> Result<Properties>;

    /// Idempotent: what is already gone is a success. Deletes what is this runtime's also where its id and outputs are lost, see
    /// [`DeleteRequest::blind`].
    async fn delete(&self, request: DeleteRequest) -> Result<()>;

    /// Problems with the inputs, before anything is done. The default checks names, types and required
    /// properties against the schema.
    fn check(&self, inputs: &Properties) -> Vec<CheckFailure> {
        failures(&self.schema(), inputs)
    }

    /// What differs between the inputs of state and the program. The default compares every input of
    /// the schema.
    fn diff(&self, request: &DiffRequest) -> Diff {
        differences(&self.schema(), request)
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

/// The same with more of them: outputs are the inputs, and what the vendor gave.
pub fn properties_with<'a>(
    value: &impl serde::Serialize,
    more: impl IntoIterator<Item = (&'a str, Value)>,
) -> Properties {
    let mut properties = properties(value);
    properties.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    properties
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Properties {
        value.as_object().cloned().unwrap()
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
    fn an_import_knows_no_inputs_and_what_cannot_be_read_is_no_import() {
        let request = |inputs: Value| ReadRequest {
            id: "x".to_owned(),
            inputs: object(inputs),
            outputs: Properties::new(),
        };
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Thing {
            name: String,
        }
        assert_eq!(request(json!({})).known::<Thing>().unwrap(), None);
        let known = request(json!({"name": "a"})).known().unwrap();
        assert_eq!(known, Some(Thing { name: "a".to_owned() }));
        assert!(request(json!({"name": 1})).known::<Thing>().is_err());
    }

    #[test]
    fn outputs_are_the_inputs_and_what_the_vendor_gave() {
        let outputs =
            properties_with(&json!({"name": "a", "size": 1}), [("id", "i".into()), ("size", 2.into())]);
        assert_eq!(outputs, object(json!({"name": "a", "size": 2, "id": "i"})));
    }
}
