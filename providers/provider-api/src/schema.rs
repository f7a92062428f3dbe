//! The shape of a resource type: what the engine checks, what documentation and SDKs are made from.

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
        Self { name, kind, description, required: true, secret: false, replaces: false }
    }

    /// One that may be left out.
    pub const fn optional(name: &'static str, kind: PropertyType, description: &'static str) -> Self {
        Self { name, kind, description, required: false, secret: false, replaces: false }
    }

    /// The same input, and its change replaces.
    pub const fn replaces(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// The same property, never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}
