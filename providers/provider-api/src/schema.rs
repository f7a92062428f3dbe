//! The shape of a resource type: what the engine checks, what documentation and SDKs are made from.

use std::fmt;

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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The type of a property. Types are constants, so they nest by reference:
/// `PropertyType::List(&PropertyType::Object(&MOUNT))`.
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
    /// Values of one type, in order.
    List(&'static PropertyType),
    /// Text to values of one type.
    Map(&'static PropertyType),
    /// Properties with names and types of their own.
    Object(&'static ObjectType),
    /// One of some texts.
    Enum(&'static EnumType),
}

/// A type with properties of its own. In the package it is `pilot:MODULE:Name`, so two of one module with
/// the same name have to be the same. It may not contain itself.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectType {
    /// In PascalCase, and not the name of a resource type.
    pub name: &'static str,
    /// For documentation.
    pub description: &'static str,
    /// What it holds. A change of one is a change of the whole input, so none of them replaces by itself.
    pub properties: &'static [Property],
}

/// A choice of texts. Named as [`ObjectType`] is.
#[derive(Debug, PartialEq, Eq)]
pub struct EnumType {
    /// In PascalCase, and not the name of a resource type.
    pub name: &'static str,
    /// For documentation.
    pub description: &'static str,
    /// Each with what it means.
    pub values: &'static [(&'static str, &'static str)],
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

    /// Whether it, or a part of it, is never shown.
    pub fn has_secrets(&self) -> bool {
        self.secret || self.kind.has_secrets()
    }

    /// A value that a reader of the documentation could have typed.
    pub const fn example(mut self, value: &'static str) -> Self {
        self.example = Some(value);
        self
    }
}

impl PropertyType {
    /// Text to text.
    pub const STRING_MAP: Self = PropertyType::Map(&PropertyType::String);
    /// A list of texts.
    pub const STRING_LIST: Self = PropertyType::List(&PropertyType::String);

    /// A value that is written as text in a declaration: JSON, and for text and choices the text itself. Text
    /// that is no value of this type stays text, so that `check` finds it.
    pub fn read(self, text: &str) -> Value {
        match self {
            PropertyType::String | PropertyType::Enum(_) => text.into(),
            _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        }
    }

    /// Whether some part of a value is a secret by its declaration.
    pub fn has_secrets(self) -> bool {
        match self {
            PropertyType::List(of) | PropertyType::Map(of) => of.has_secrets(),
            PropertyType::Object(of) => of.properties.iter().any(Property::has_secrets),
            _ => false,
        }
    }
}

/// As messages name it: "it must be a list of Mount".
impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PropertyType::String => f.write_str("text"),
            PropertyType::Integer => f.write_str("a whole number"),
            PropertyType::Number => f.write_str("a number"),
            PropertyType::Boolean => f.write_str("true or false"),
            PropertyType::List(of) => write!(f, "a list, each item {of}"),
            PropertyType::Map(of) => write!(f, "a map, each value {of}"),
            PropertyType::Object(of) => write!(f, "an object of the type {}", of.name),
            PropertyType::Enum(of) => {
                f.write_str("one of")?;
                let mut separator = " ";
                for (value, _) in of.values {
                    write!(f, "{separator}{value}")?;
                    separator = ", ";
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ObjectType = ObjectType {
        name: "Key",
        description: "",
        properties: &[Property::required("value", PropertyType::String, "").secret()],
    };

    const MODE: EnumType = EnumType { name: "Mode", description: "", values: &[("ro", ""), ("rw", "")] };

    #[test]
    fn text_in_a_declaration_is_read_as_its_type() {
        assert_eq!(PropertyType::String.read("1"), Value::from("1"));
        assert_eq!(PropertyType::Enum(&MODE).read("1"), Value::from("1"));
        assert_eq!(PropertyType::Integer.read("1"), Value::from(1));
        assert_eq!(PropertyType::STRING_LIST.read(r#"["a"]"#), serde_json::json!(["a"]));
        assert_eq!(PropertyType::Boolean.read("yes"), Value::from("yes"));
    }

    #[test]
    fn a_secret_is_seen_at_any_depth() {
        const DEEP: PropertyType = PropertyType::Map(&PropertyType::List(&PropertyType::Object(&KEY)));
        assert!(DEEP.has_secrets());
        assert!(!PropertyType::Map(&PropertyType::Enum(&MODE)).has_secrets());
    }
}
