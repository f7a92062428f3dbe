//! The encoding of values in `google.protobuf.Struct`.
//!
//! What protobuf has no kind for is an object with a signature key, unknowns are reserved strings (see
//! `sdk/go/common/resource` of Pulumi for the constants).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Archive, ArchiveEntry, ArchiveSource, Asset, AssetSource, ResourceReference, Value};
use crate::wire::{Kind, ListValue, Struct, Value as WireValue};

pub(crate) const SIGNATURE_KEY: &str = "4dabf18193072939515e22adb298388d";
pub(crate) const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";
pub(crate) const BYTE_STRING: &str = "803fd3297a5875dc03ca845dda5d2a98";
const OUTPUT: &str = "d0e6a833031e9bbcd3f4e8bde6ca49a4";
const RESOURCE: &str = "5cf8f73096256a8f31e491e813e4eb8e";
const ASSET: &str = "c44067f5952c0a294b673a41bacd8c17";
const ARCHIVE: &str = "0def7320c3a5731c473e5ecbe6d01bc7";
const UNKNOWN: &str = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/// Every type has a reserved string of its own; SDKs send the first only.
const UNKNOWNS: [&str; 7] = [
    UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
];

/// True for an id or reference part that stands for what is not known yet.
pub(crate) fn is_unknown(text: &str) -> bool {
    UNKNOWNS.contains(&text)
}

/// The id of a provider reference whose resource does not exist yet.
pub(crate) const UNKNOWN_ID: &str = UNKNOWN;

/// Encodes an object's properties.
pub(crate) fn struct_of(properties: &BTreeMap<String, Value>) -> Struct {
    Struct { fields: properties.iter().map(|(key, value)| (key.clone(), to_wire(value))).collect() }
}

/// Decodes an object's properties; an absent struct has none.
pub(crate) fn properties_of(object: Option<&Struct>) -> BTreeMap<String, Value> {
    object
        .map(|object| object.fields.iter().map(|(key, value)| (key.clone(), from_wire(value))).collect())
        .unwrap_or_default()
}

pub(crate) fn to_wire(value: &Value) -> WireValue {
    match value {
        Value::Null => wire(Kind::Null(0)),
        Value::Bool(flag) => wire(Kind::Bool(*flag)),
        Value::Number(number) => wire(Kind::Number(*number)),
        Value::String(string) => text(string),
        Value::Bytes(bytes) => match str::from_utf8(bytes) {
            Ok(string) => text(string),
            Err(_) => signed(BYTE_STRING, [("value", text(&BASE64.encode(bytes)))]),
        },
        Value::List(items) => list(items.iter().map(to_wire)),
        Value::Object(map) => wire(Kind::Object(struct_of(map))),
        Value::Unknown => text(UNKNOWN),
        Value::Secret(inner) => signed(SECRET, [("value", to_wire(inner))]),
        Value::Output { value, dependencies } if dependencies.is_empty() => to_wire(value),
        Value::Output { value, dependencies } => {
            let (secret, plain) = match value.as_ref() {
                Value::Secret(inner) => (true, inner.as_ref()),
                plain => (false, plain),
            };
            let dependencies = list(dependencies.iter().map(|urn| text(urn)));
            let fields = [("secret", wire(Kind::Bool(secret))), ("dependencies", dependencies)];
            // Without a value it is one that is not known yet.
            let value = (*plain != Value::Unknown).then(|| ("value", to_wire(plain)));
            signed(OUTPUT, fields.into_iter().chain(value))
        }
        Value::Asset(asset) => asset_to_wire(asset),
        Value::Archive(archive) => archive_to_wire(archive),
        Value::Resource(reference) => {
            let id = reference.id.as_deref().map_or_else(|| text(""), to_wire);
            let known = [
                ("name", &reference.name),
                ("type", &reference.resource_type),
                ("packageVersion", &reference.package_version),
            ];
            let known = known.into_iter().filter(|(_, part)| !part.is_empty());
            let fields = [("urn", text(&reference.urn)), ("id", id)];
            signed(RESOURCE, fields.into_iter().chain(known.map(|(key, part)| (key, text(part)))))
        }
    }
}

fn asset_to_wire(asset: &Asset) -> WireValue {
    let content = match &asset.source {
        AssetSource::Text(content) => ("text", text(content)),
        AssetSource::Path(path) => ("path", text(path)),
        AssetSource::Uri(uri) => ("uri", text(uri)),
    };
    signed(ASSET, [content].into_iter().chain(hash(&asset.hash)))
}

fn archive_to_wire(archive: &Archive) -> WireValue {
    let content = match &archive.source {
        ArchiveSource::Path(path) => ("path", text(path)),
        ArchiveSource::Uri(uri) => ("uri", text(uri)),
        ArchiveSource::Assets(entries) => {
            let fields = entries.iter().map(|(name, entry)| match entry {
                ArchiveEntry::Asset(asset) => (name.clone(), asset_to_wire(asset)),
                ArchiveEntry::Archive(archive) => (name.clone(), archive_to_wire(archive)),
            });
            ("assets", wire(Kind::Object(Struct { fields: fields.collect() })))
        }
    };
    signed(ARCHIVE, [content].into_iter().chain(hash(&archive.hash)))
}

fn hash(hash: &str) -> Option<(&'static str, WireValue)> {
    (!hash.is_empty()).then(|| ("hash", text(hash)))
}

fn signed(signature: &str, fields: impl IntoIterator<Item = (&'static str, WireValue)>) -> WireValue {
    let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
    let fields = fields.chain([(SIGNATURE_KEY.to_owned(), text(signature))]).collect();
    wire(Kind::Object(Struct { fields }))
}

fn list(items: impl Iterator<Item = WireValue>) -> WireValue {
    wire(Kind::List(ListValue { values: items.collect() }))
}

fn text(text: &str) -> WireValue {
    wire(Kind::Text(text.to_owned()))
}

fn wire(kind: Kind) -> WireValue {
    WireValue { kind: Some(kind) }
}

pub(crate) fn from_wire(value: &WireValue) -> Value {
    match &value.kind {
        None | Some(Kind::Null(_)) => Value::Null,
        Some(Kind::Bool(flag)) => Value::Bool(*flag),
        Some(Kind::Number(number)) => Value::Number(*number),
        Some(Kind::Text(text)) if is_unknown(text) => Value::Unknown,
        Some(Kind::Text(text)) => Value::String(text.clone()),
        Some(Kind::List(list)) => Value::List(list.values.iter().map(from_wire).collect()),
        Some(Kind::Object(object)) => Fields(object).read(),
    }
}

/// The fields of an object that may be signed.
struct Fields<'a>(&'a Struct);

impl Fields<'_> {
    fn read(&self) -> Value {
        match self.text(SIGNATURE_KEY) {
            Some(SECRET) => Value::Secret(Box::new(self.value().unwrap_or(Value::Null))),
            Some(BYTE_STRING) => self.bytes().unwrap_or_else(|| self.object()),
            Some(OUTPUT) => self.output(),
            Some(RESOURCE) => Value::Resource(self.reference()),
            Some(ASSET) => Value::Asset(self.asset()),
            Some(ARCHIVE) => Value::Archive(self.archive()),
            _ => self.object(),
        }
    }

    fn object(&self) -> Value {
        Value::Object(properties_of(Some(self.0)))
    }

    fn bytes(&self) -> Option<Value> {
        let encoded = self.0.fields.get("value").and_then(as_text)?;
        BASE64.decode(encoded).ok().map(Value::bytes)
    }

    fn output(&self) -> Value {
        let plain = self.value().unwrap_or(Value::Unknown);
        let secret = matches!(self.kind("secret"), Some(Kind::Bool(true)));
        let value = Box::new(if secret { Value::Secret(Box::new(plain)) } else { plain });
        let dependencies: BTreeSet<String> = match self.kind("dependencies") {
            Some(Kind::List(list)) => list.values.iter().filter_map(as_text).map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        if dependencies.is_empty() { *value } else { Value::Output { value, dependencies } }
    }

    fn reference(&self) -> ResourceReference {
        let id = match self.0.fields.get("id").map(from_wire) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(id) => Some(Box::new(id)),
        };
        ResourceReference {
            urn: self.owned("urn"),
            id,
            name: self.owned("name"),
            resource_type: self.owned("type"),
            package_version: self.owned("packageVersion"),
        }
    }

    fn asset(&self) -> Asset {
        let source = match (self.text("path"), self.text("uri")) {
            (Some(path), _) => AssetSource::Path(path.to_owned()),
            (None, Some(uri)) => AssetSource::Uri(uri.to_owned()),
            (None, None) => AssetSource::Text(self.owned("text")),
        };
        Asset { source, hash: self.owned("hash") }
    }

    fn archive(&self) -> Archive {
        let source = match (self.text("path"), self.text("uri")) {
            (Some(path), _) => ArchiveSource::Path(path.to_owned()),
            (None, Some(uri)) => ArchiveSource::Uri(uri.to_owned()),
            (None, None) => ArchiveSource::Assets(self.entries()),
        };
        Archive { source, hash: self.owned("hash") }
    }

    fn entries(&self) -> BTreeMap<String, ArchiveEntry> {
        let Some(Kind::Object(entries)) = self.kind("assets") else { return BTreeMap::new() };
        let entries = entries.fields.iter().filter_map(|(name, entry)| match from_wire(entry) {
            Value::Asset(asset) => Some((name.clone(), ArchiveEntry::Asset(asset))),
            Value::Archive(archive) => Some((name.clone(), ArchiveEntry::Archive(archive))),
            // The engine lets nothing else into an archive.
            _ => None,
        });
        entries.collect()
    }

    fn value(&self) -> Option<Value> {
        self.0.fields.get("value").map(from_wire)
    }

    fn kind(&self, key: &str) -> Option<&Kind> {
        self.0.fields.get(key)?.kind.as_ref()
    }

    /// Absent and empty are the same, as they are for the engine.
    fn text(&self, key: &str) -> Option<&str> {
        self.0.fields.get(key).and_then(as_text).filter(|text| !text.is_empty())
    }

    fn owned(&self, key: &str) -> String {
        self.text(key).unwrap_or_default().to_owned()
    }
}

fn as_text(value: &WireValue) -> Option<&str> {
    match &value.kind {
        Some(Kind::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
