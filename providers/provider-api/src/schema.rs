//! The shape of a resource type: what the engine checks, what documentation and SDKs are made from.

/// One resource type. The default `check` and `diff` of [`crate::Resource`] follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSchema {
    /// `pilot:<provider>:<Type>`
    pub token: &'static str,
    pub description: &'static str,
    pub inputs: Vec<Property>,
    /// Properties that exist only after create. Inputs are outputs as well.
    pub outputs: Vec<Property>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    pub name: &'static str,
    pub kind: PropertyType,
    pub description: &'static str,
    pub required: bool,
    pub secret: bool,
    /// A change of this input replaces the resource instead of updating it.
    pub replaces: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyType {
    String,
    Integer,
    Number,
    Boolean,
    /// Text to text.
    StringMap,
    StringList,
}

impl Property {
    pub const fn required(name: &'static str, kind: PropertyType, description: &'static str) -> Self {
        Self { name, kind, description, required: true, secret: false, replaces: false }
    }

    pub const fn optional(name: &'static str, kind: PropertyType, description: &'static str) -> Self {
        Self { name, kind, description, required: false, secret: false, replaces: false }
    }

    pub const fn replaces(mut self) -> Self {
        self.replaces = true;
        self
    }

    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}
