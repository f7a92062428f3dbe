//! Resources as plain values: what a provider declares for one runtime, before any engine sees it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A value of an input: known now, or the output of another resource once it exists.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Known when the stack is made.
    Value(Value),
    /// Encrypted in state and hidden in every output.
    Secret(Box<Expr>),
    /// `property` of the resource with this logical name in the same declaration.
    Output {
        /// The logical name.
        resource: String,
        /// One of its outputs.
        property: String,
    },
    /// Values in order, of which some are not known yet.
    List(Vec<Expr>),
    /// Values by name, of which some are not known yet.
    Object(BTreeMap<String, Expr>),
}

impl Expr {
    /// What another resource of the declaration gives.
    pub fn output(resource: &str, property: &str) -> Self {
        Expr::Output { resource: resource.to_owned(), property: property.to_owned() }
    }

    /// An object with these properties.
    pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Expr)>) -> Self {
        Expr::Object(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Logical names of the resources whose outputs it needs, at any depth.
    pub fn references(&self) -> BTreeSet<&str> {
        match self {
            Expr::Value(_) => BTreeSet::new(),
            Expr::Secret(inner) => inner.references(),
            Expr::Output { resource, .. } => BTreeSet::from([resource.as_str()]),
            Expr::List(items) => items.iter().flat_map(Expr::references).collect(),
            Expr::Object(entries) => entries.values().flat_map(Expr::references).collect(),
        }
    }

    /// What it is as far as the declaration itself says: what only a run knows, and what is secret, is an empty text.
    pub fn known(&self) -> Value {
        match self {
            Expr::Value(value) => value.clone(),
            Expr::Secret(_) | Expr::Output { .. } => "".into(),
            Expr::List(items) => items.iter().map(Expr::known).collect(),
            Expr::Object(entries) => {
                entries.iter().map(|(name, value)| (name.clone(), value.known())).collect()
            }
        }
    }
}

impl<T: Into<Value>> From<T> for Expr {
    fn from(value: T) -> Self {
        Expr::Value(value.into())
    }
}

/// One resource. `name` is unique within the runtime's stack and never changes between versions: it
/// is part of the identity that Pulumi tracks.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// The logical name.
    pub name: String,
    /// The schema token, for example `pilot:docker:Container`.
    pub token: String,
    /// By the schema's property names.
    pub inputs: BTreeMap<String, Expr>,
    /// Logical names that must exist before this one, beyond those that `inputs` refer to.
    pub depends_on: Vec<String>,
    /// It holds what cannot be made again: no run of Pulumi deletes or replaces it, until Pilot itself takes that back.
    pub protect: bool,
    /// On replacement delete the old object first; for names that can exist only once.
    pub delete_before_replace: bool,
}

impl Declaration {
    /// Without inputs.
    pub fn new(name: &str, token: &str) -> Self {
        Self {
            name: name.to_owned(),
            token: token.to_owned(),
            inputs: BTreeMap::new(),
            depends_on: Vec::new(),
            protect: false,
            delete_before_replace: false,
        }
    }

    /// The same declaration with one more input.
    pub fn input(mut self, name: &str, value: impl Into<Expr>) -> Self {
        self.inputs.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the input only when there is a value.
    pub fn optional_input(self, name: &str, value: Option<impl Into<Expr>>) -> Self {
        match value {
            Some(value) => self.input(name, value),
            None => self,
        }
    }

    /// The same declaration, made after this one.
    pub fn depends_on(mut self, name: &str) -> Self {
        self.depends_on.push(name.to_owned());
        self
    }

    /// The same declaration, for what holds the user's files.
    pub fn protected(mut self) -> Self {
        self.protect = true;
        self
    }

    /// The same declaration, for names that can exist only once.
    pub fn delete_before_replace(mut self) -> Self {
        self.delete_before_replace = true;
        self
    }
}

/// Everything one runtime needs, and the stack outputs that people and programs read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declared {
    /// In an order in which they can be made.
    pub resources: Vec<Declaration>,
    /// Of the stack.
    pub outputs: BTreeMap<String, Expr>,
}
