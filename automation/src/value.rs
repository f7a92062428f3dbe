//! Property values as programs and providers see them.

mod asset;
mod input;
mod reference;
mod state;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use asset::{Archive, ArchiveEntry, ArchiveSource, Asset, AssetSource};
pub use input::Input;
pub use reference::ResourceReference;
pub(crate) use state::from_state;
#[cfg(feature = "fake")]
pub(crate) use state::number_in_state;
pub(crate) use wire::{BYTE_STRING, SECRET, SIGNATURE_KEY, UNKNOWN_ID, from_wire, is_unknown, to_wire};
pub(crate) use wire::{properties_of, struct_of};

/// As providers and engines exchange properties, for whoever serves a provider.
pub fn to_struct(properties: &BTreeMap<String, Value>) -> prost_types::Struct {
    struct_of(properties).into()
}

/// The properties that a provider was given; an absent struct has none.
pub fn from_struct(object: Option<&prost_types::Struct>) -> BTreeMap<String, Value> {
    object.map(|object| properties_of(Some(&object.into()))).unwrap_or_default()
}

/// The outputs of a stack by name.
pub type Outputs = BTreeMap<String, Input>;

/// A property value (Pulumi: *property value*).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing; in a list or object, or an output that has no value.
    Null,
    /// A truth value.
    Bool(bool),
    /// Every number is a double on the wire: whole numbers are exact up to 2^53.
    Number(f64),
    /// UTF-8 text.
    String(String),
    /// Text that is not UTF-8 (Pulumi: *byte string*). [`Value::bytes`] makes one.
    Bytes(Vec<u8>),
    /// An array.
    List(Vec<Value>),
    /// A map with text keys.
    Object(BTreeMap<String, Value>),
    /// Encrypted in state, hidden in output.
    Secret(Box<Value>),
    /// Not known before the resource exists; only in previews (Pulumi: *unknown*, *computed*).
    Unknown,
    /// One file's content.
    Asset(Asset),
    /// A folder's or a packed folder's content.
    Archive(Archive),
    /// Another resource as a value.
    Resource(ResourceReference),
    /// A value that knows the resources it came from (Pulumi: *output value*). Decoding makes one only
    /// where there are dependencies to keep.
    Output {
        /// The value itself; secret or unknown as it may be.
        value: Box<Value>,
        /// URNs.
        dependencies: BTreeSet<String>,
    },
}

impl Value {
    /// The value, hidden as a whole; one that is so already stays as it is.
    pub fn secret(value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Secret(inner) => Value::Secret(inner),
            plain => Value::Secret(Box::new(plain)),
        }
    }

    /// Text of these bytes: as [`Value::String`] when they are UTF-8, as the engine has it, else as
    /// [`Value::Bytes`].
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        String::from_utf8(bytes.into()).map_or_else(|other| Value::Bytes(other.into_bytes()), Value::String)
    }

    /// The same value without any mark of secrecy in it. For code that is trusted with the secret and keeps
    /// the mark elsewhere; [`Input::map`] does both.
    pub fn expose_secrets(self) -> Self {
        match self {
            Value::Secret(inner) => inner.expose_secrets(),
            Value::List(items) => Value::List(items.into_iter().map(Value::expose_secrets).collect()),
            Value::Object(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (key, value.expose_secrets())).collect())
            }
            Value::Resource(mut reference) => {
                reference.id = reference.id.map(|id| Box::new(id.expose_secrets()));
                Value::Resource(reference)
            }
            Value::Output { value, dependencies } => {
                Value::Output { value: Box::new(value.expose_secrets()), dependencies }
            }
            plain => plain,
        }
    }

    /// True when the value or anything in it is unknown.
    pub fn has_unknowns(&self) -> bool {
        self.any(&|value| matches!(value, Value::Unknown))
    }

    /// True when the value or anything in it is secret.
    pub fn has_secrets(&self) -> bool {
        self.any(&|value| matches!(value, Value::Secret(_)))
    }

    /// True when the value or anything in it is text that is not UTF-8.
    pub fn has_bytes(&self) -> bool {
        self.any(&|value| matches!(value, Value::Bytes(bytes) if str::from_utf8(bytes).is_err()))
    }

    /// The URNs of every [`Value::Output`] in it.
    pub fn dependencies(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.collect_dependencies(&mut found);
        found
    }

    /// The same value with every [`Value::Output`] in it replaced by what it holds.
    pub fn without_dependencies(self) -> Self {
        match self {
            Value::Output { value, .. } => value.without_dependencies(),
            Value::Secret(inner) => Value::Secret(Box::new(inner.without_dependencies())),
            Value::List(items) => Value::List(items.into_iter().map(Value::without_dependencies).collect()),
            Value::Object(map) => Value::Object(
                map.into_iter().map(|(key, value)| (key, value.without_dependencies())).collect(),
            ),
            Value::Resource(mut reference) => {
                reference.id = reference.id.map(|id| Box::new(id.without_dependencies()));
                Value::Resource(reference)
            }
            plain => plain,
        }
    }

    /// Plain JSON: secrets become their plain value, unknowns become null. For code that is trusted
    /// with the secret; never for logs. An asset, archive or resource becomes an object of its parts, and
    /// text that is not UTF-8 one with its `base64`.
    pub fn reveal(&self) -> serde_json::Value {
        match self {
            Value::Null | Value::Unknown => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => json_number(*number),
            Value::String(text) => text.clone().into(),
            Value::Bytes(bytes) => serde_json::json!({"base64": BASE64.encode(bytes)}),
            Value::List(items) => items.iter().map(Value::reveal).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.reveal())).collect(),
            Value::Secret(inner) | Value::Output { value: inner, .. } => inner.reveal(),
            Value::Asset(asset) => asset.reveal(),
            Value::Archive(archive) => archive.reveal(),
            Value::Resource(reference) => reference.reveal(),
        }
    }

    /// The text of a value that is not secret; none of any other kind. To make something of a secret, see
    /// [`Input::map`].
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Output { value: inner, .. } => inner.as_str(),
            _ => None,
        }
    }

    /// The text, also of a secret. For code that is trusted with the secret; never for logs.
    pub fn reveal_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Secret(inner) | Value::Output { value: inner, .. } => inner.reveal_str(),
            _ => None,
        }
    }

    /// The bytes of a text that is not secret, UTF-8 or not.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Secret(_) => None,
            Value::Output { value: inner, .. } => inner.as_bytes(),
            text => text.reveal_bytes(),
        }
    }

    /// The bytes of a text, also of a secret. For code that is trusted with the secret; never for logs.
    pub fn reveal_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::String(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            Value::Secret(inner) | Value::Output { value: inner, .. } => inner.reveal_bytes(),
            _ => None,
        }
    }

    /// True when `is` holds for the value or anything in it.
    fn any(&self, is: &impl Fn(&Value) -> bool) -> bool {
        if is(self) {
            return true;
        }
        match self {
            Value::Secret(inner) | Value::Output { value: inner, .. } => inner.any(is),
            Value::List(items) => items.iter().any(|item| item.any(is)),
            Value::Object(map) => map.values().any(|value| value.any(is)),
            Value::Resource(reference) => reference.id.as_deref().is_some_and(|id| id.any(is)),
            _ => false,
        }
    }

    fn collect_dependencies(&self, found: &mut BTreeSet<String>) {
        match self {
            Value::Output { value, dependencies } => {
                found.extend(dependencies.iter().cloned());
                value.collect_dependencies(found);
            }
            Value::Secret(inner) => inner.collect_dependencies(found),
            Value::List(items) => items.iter().for_each(|item| item.collect_dependencies(found)),
            Value::Object(map) => map.values().for_each(|value| value.collect_dependencies(found)),
            Value::Resource(ResourceReference { id: Some(id), .. }) => id.collect_dependencies(found),
            _ => {}
        }
    }
}

/// Whole numbers stay whole, so that `8080.0` from the wire reads as `8080`.
fn json_number(number: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return (number as i64).into();
    }
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(flag),
            serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Value::from).collect()),
            serde_json::Value::Object(map) => {
                Value::Object(map.into_iter().map(|(key, value)| (key, Value::from(value))).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::Number(number.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::List(items)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(map: BTreeMap<String, Value>) -> Self {
        Value::Object(map)
    }
}

impl From<Asset> for Value {
    fn from(asset: Asset) -> Self {
        Value::Asset(asset)
    }
}

impl From<Archive> for Value {
    fn from(archive: Archive) -> Self {
        Value::Archive(archive)
    }
}

impl From<ResourceReference> for Value {
    fn from(reference: ResourceReference) -> Self {
        Value::Resource(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(value: Value, urn: &str) -> Value {
        Value::Output { value: Box::new(value), dependencies: BTreeSet::from([urn.to_owned()]) }
    }

    #[test]
    fn whole_numbers_are_revealed_as_integers() {
        assert_eq!(Value::Number(8080.0).reveal(), serde_json::json!(8080));
        assert_eq!(Value::Number(0.5).reveal(), serde_json::json!(0.5));
    }

    #[test]
    fn bytes_are_plain_text_when_they_are_utf_8_and_else_known_at_any_depth() {
        assert_eq!(Value::bytes("é"), Value::from("é"));
        let bytes = Value::bytes([0xff, 0]);
        assert_eq!((bytes.as_bytes(), bytes.as_str()), (Some(&[0xff, 0][..]), None));
        assert_eq!(bytes.reveal(), serde_json::json!({"base64": "/wA="}));
        let hidden = Value::secret(bytes);
        assert_eq!((hidden.as_bytes(), hidden.reveal_bytes()), (None, Some(&[0xff, 0][..])));
        assert!(Value::List(vec![output(hidden, "urn:a")]).has_bytes());
        // However it was made, the engine sees text.
        assert!(!Value::Bytes(b"plain".to_vec()).has_bytes());
    }

    #[test]
    fn dependencies_are_found_at_any_depth_and_can_be_taken_off() {
        let inner = output(Value::secret(output("x".into(), "urn:b")), "urn:a");
        let value = Value::List(vec![Value::Null, inner]);
        assert_eq!(value.dependencies(), BTreeSet::from(["urn:a".to_owned(), "urn:b".to_owned()]));
        assert!(value.has_secrets() && !value.has_unknowns());
        assert_eq!(value.without_dependencies(), Value::List(vec![Value::Null, Value::secret("x")]));
    }

    #[test]
    fn a_reference_to_a_resource_that_does_not_exist_yet_is_unknown() {
        let reference = ResourceReference { id: Some(Box::new(Value::Unknown)), ..Default::default() };
        assert!(Value::Resource(reference).has_unknowns());
    }

    #[test]
    fn assets_archives_and_resources_are_revealed_as_their_parts() {
        let entries = [("a.txt".to_owned(), ArchiveEntry::Asset(Asset::text("hi")))];
        let archive = Archive::assets(entries);
        assert_eq!(Value::from(archive).reveal(), serde_json::json!({"assets": {"a.txt": {"text": "hi"}}}));
        let reference = ResourceReference { urn: "urn:a".to_owned(), ..Default::default() };
        assert_eq!(Value::from(reference).reveal(), serde_json::json!({"urn": "urn:a"}));
    }
}
