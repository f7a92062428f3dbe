//! The shape of a resource type: what the engine checks, what documentation and SDKs are made from.

use serde_json::Value;

/// One resource type. The default `check` and `diff` of [`crate::Resource`] follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSchema {
    /// `pilot:<provider>:<Type>`
    pub token: &'static str,
    /// For documentation.
    pub description: &'static str,
    /// What a program gives.
    pub inputs: Vec<Property>,
    /// Properties that exist only after create. Inputs are outputs as well.
    pub outputs: Vec<Property>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// In camelCase.
    pub name: &'static str,
    /// What values it takes.
    pub kind: PropertyType,
    /// For documentation.
    pub description: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Encrypted in state and hidden in every output.
    pub secret: bool,
    /// A change of this input replaces the resource instead of updating it.
    pub replaces: bool,
    /// Only a create reads this input: another value of it later changes nothing.
    pub at_create: bool,
    /// What an absent input means, as text: see [`PropertyType::read`].
    pub default: Option<&'static str>,
    /// A likely value, as text, for the examples in documentation.
    pub example: Option<&'static str>,
}

/// The type of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// Text to text.
    StringMap,
    /// A list of texts.
    StringList,
}

impl Property {
    /// One that must be there.
    pub const fn required(name: &'static str, kind: PropertyType, description: &'static str) -> Self {
        Self {
            name,
            kind,
            description,
            required: true,
            secret: false,
            replaces: false,
            at_create: false,
            default: None,
            example: None,
        }
    }

    /// One that may be left out.
    pub const fn optional(name: &'static str, kind: PropertyType, description: &'static str) -> Self {
        Self { required: false, ..Self::required(name, kind, description) }
    }

    /// The same input, and its change replaces.
    pub const fn replaces(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// The same input, which only a create reads.
    pub const fn at_create(mut self) -> Self {
        self.at_create = true;
        self
    }

    /// The same property, never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// For optional inputs only: what is required has no default.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// A value that a reader of the documentation could have typed.
    pub const fn example(mut self, value: &'static str) -> Self {
        self.example = Some(value);
        self
    }
}

impl PropertyType {
    /// A value that is written as text in a declaration: JSON, and for text the text itself. Text that is
    /// no value of this type stays text, so that `check` finds it.
    pub fn read(self, text: &str) -> Value {
        match self {
            PropertyType::String => text.into(),
            _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_declaration_is_read_as_its_type() {
        assert_eq!(PropertyType::String.read("1"), Value::from("1"));
        assert_eq!(PropertyType::Integer.read("1"), Value::from(1));
        assert_eq!(PropertyType::StringList.read(r#"["a"]"#), serde_json::json!(["a"]));
        assert_eq!(PropertyType::Boolean.read("yes"), Value::from("yes"));
    }
}
