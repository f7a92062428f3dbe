//! Another stack's outputs.

use std::collections::BTreeMap;

use super::Context;
use super::resource::{Resource, ResourceArgs};
use crate::program_error::ProgramError;
use crate::value::Input;
use crate::value::Value;

const TYPE: &str = "pulumi:pulumi:StackReference";

/// Another stack, as it was when this run asked for it (Pulumi: *stack reference*).
#[derive(Debug, Clone)]
pub struct StackReference {
    resource: Resource,
    stack: String,
    preview: bool,
}

impl Context {
    /// Reads the outputs of another stack of the same backend, named `organization/project/stack` (in a
    /// backend without organizations that word itself). When there is no such stack, the engine ends the
    /// run and tells the user so.
    pub async fn stack_reference(&self, stack: &str) -> Result<StackReference, ProgramError> {
        let args = ResourceArgs {
            resource_type: TYPE.to_owned(),
            name: stack.to_owned(),
            inputs: BTreeMap::from([("name".to_owned(), stack.into())]),
            ..ResourceArgs::default()
        };
        let resource = self.read(stack, args).await?;
        Ok(StackReference { resource, stack: stack.to_owned(), preview: self.is_preview() })
    }
}

impl StackReference {
    /// One output, secret when it is so in its own stack; none when the stack does not have it.
    pub fn output(&self, name: &str) -> Option<Input> {
        let outputs = self.resource.output("outputs");
        let value = plain(&outputs.value).get(name).cloned()?;
        let input = Input { value, dependencies: outputs.dependencies };
        Some(if self.is_secret(name) { input.into_secret() } else { input })
    }

    /// One output that must be there. In a preview a missing one is unknown: the other stack may not have
    /// been brought up yet. Else it is [`ProgramError::OutputMissing`].
    pub fn require_output(&self, name: &str) -> Result<Input, ProgramError> {
        match self.output(name) {
            Some(input) => Ok(input),
            None if self.preview => Ok(Input::from(Value::Unknown)),
            None => Err(ProgramError::OutputMissing { stack: self.stack.clone(), output: name.to_owned() }),
        }
    }

    /// The names of all its outputs.
    pub fn names(&self) -> Vec<String> {
        plain(&self.resource.output("outputs").value).keys().cloned().collect()
    }

    /// The reference as a resource of this stack.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    fn is_secret(&self, name: &str) -> bool {
        let names = self.resource.output("secretOutputNames").value;
        let Value::List(names) = names else { return false };
        names.iter().any(|secret| secret.reveal_str() == Some(name))
    }
}

/// The members of an object; the object as a whole may be secret.
fn plain(value: &Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(map) => map.clone(),
        Value::Secret(inner) => match inner.as_ref() {
            Value::Object(map) => {
                map.iter().map(|(key, value)| (key.clone(), Value::secret(value.clone()))).collect()
            }
            _ => BTreeMap::new(),
        },
        _ => BTreeMap::new(),
    }
}
