//! `google.protobuf.Struct` as deep as values may be: prost ends after 100 messages in each other, which are 33 objects.

use std::cell::Cell;
use std::collections::BTreeMap;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, skip_field};
use prost::{DecodeError, Message, Oneof};

use crate::json::MAX_DEPTH;

/// An object.
#[derive(Clone, PartialEq, Message)]
pub struct Struct {
    /// By name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// A list.
#[derive(Clone, PartialEq, Message)]
pub struct ListValue {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value of any kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value {
    /// None is what a peer wrote that knows more kinds.
    pub kind: Option<Kind>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// Nothing.
    #[prost(int32, tag = "1")]
    Null(i32),
    /// A number.
    #[prost(double, tag = "2")]
    Number(f64),
    /// Text.
    #[prost(string, tag = "3")]
    Text(String),
    /// A truth value.
    #[prost(bool, tag = "4")]
    Bool(bool),
    /// An object.
    #[prost(message, tag = "5")]
    Object(Struct),
    /// A list.
    #[prost(message, tag = "6")]
    List(ListValue),
}

impl Message for Value {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        if let Some(kind) = &self.kind {
            kind.encode(buffer);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let level = Level::enter();
        // Each value gets prost's whole allowance, until values are too deep: then the one that is left comes to its end.
        let context = if level.0 <= MAX_DEPTH { DecodeContext::default() } else { context };
        match tag {
            1..=6 => Kind::merge(&mut self.kind, tag, wire_type, buffer, context),
            _ => skip_field(wire_type, tag, buffer, context),
        }
    }

    fn encoded_len(&self) -> usize {
        self.kind.as_ref().map_or(0, Kind::encoded_len)
    }

    fn clear(&mut self) {
        self.kind = None;
    }
}

impl From<Struct> for prost_types::Struct {
    fn from(object: Struct) -> Self {
        Self { fields: object.fields.into_iter().map(|(key, value)| (key, value.into())).collect() }
    }
}

impl From<Value> for prost_types::Value {
    fn from(value: Value) -> Self {
        use prost_types::value::Kind as Theirs;
        let kind = value.kind.map(|kind| match kind {
            Kind::Null(null) => Theirs::NullValue(null),
            Kind::Number(number) => Theirs::NumberValue(number),
            Kind::Text(text) => Theirs::StringValue(text),
            Kind::Bool(flag) => Theirs::BoolValue(flag),
            Kind::Object(object) => Theirs::StructValue(object.into()),
            Kind::List(list) => Theirs::ListValue(prost_types::ListValue {
                values: list.values.into_iter().map(Into::into).collect(),
            }),
        });
        Self { kind }
    }
}

impl From<&prost_types::Struct> for Struct {
    fn from(object: &prost_types::Struct) -> Self {
        Self { fields: object.fields.iter().map(|(key, value)| (key.clone(), value.into())).collect() }
    }
}

impl From<&prost_types::Value> for Value {
    fn from(value: &prost_types::Value) -> Self {
        use prost_types::value::Kind as Theirs;
        let kind = value.kind.as_ref().map(|kind| match kind {
            Theirs::NullValue(null) => Kind::Null(*null),
            Theirs::NumberValue(number) => Kind::Number(*number),
            Theirs::StringValue(text) => Kind::Text(text.clone()),
            Theirs::BoolValue(flag) => Kind::Bool(*flag),
            Theirs::StructValue(object) => Kind::Object(object.into()),
            Theirs::ListValue(list) => {
                Kind::List(ListValue { values: list.values.iter().map(Into::into).collect() })
            }
        });
        Self { kind }
    }
}

thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });

/// How many values this thread is in the middle of.
struct Level(usize);

impl Level {
    fn enter() -> Self {
        Self(DEPTH.with(|depth| depth.replace(depth.get() + 1)) + 1)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(self.0 - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Struct {
        let mut object = Struct::default();
        for level in 0..levels {
            let kind = match level % 2 {
                0 => Kind::Object(object),
                _ => Kind::List(ListValue { values: vec![Value { kind: Some(Kind::Object(object)) }] }),
            };
            object = Struct { fields: [("a".to_owned(), Value { kind: Some(kind) })].into() };
        }
        object
    }

    #[test]
    fn objects_are_read_as_deep_as_values_may_be_and_refused_when_much_deeper() {
        // Two of three levels are of lists' items.
        let deep = nested(MAX_DEPTH * 2 / 3);
        assert_eq!(Struct::decode(&*deep.encode_to_vec()).unwrap(), deep);
        let error = Struct::decode(&*nested(MAX_DEPTH).encode_to_vec()).unwrap_err();
        assert!(error.to_string().contains("recursion limit reached"), "{error}");
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn it_is_what_protobufs_own_type_is() {
        use prost_types::value::Kind as Theirs;
        let of = |kind| Value { kind: Some(kind) };
        let values = vec![
            of(Kind::Null(0)),
            of(Kind::Number(-0.5)),
            of(Kind::Text("\u{fc}".to_owned())),
            of(Kind::Bool(true)),
            of(Kind::Object(nested(3))),
            Value::default(),
        ];
        let ours = Struct { fields: [("l".to_owned(), of(Kind::List(ListValue { values })))].into() };
        let bytes = ours.encode_to_vec();
        let theirs = prost_types::Struct::decode(&*bytes).unwrap();
        assert!(matches!(&theirs.fields["l"].kind, Some(Theirs::ListValue(list)) if list.values.len() == 6));
        assert_eq!(theirs.encode_to_vec(), bytes);
        assert_eq!(theirs, ours.clone().into());
        assert_eq!(Struct::from(&theirs), ours);
        assert_eq!(Struct::decode(&*bytes).unwrap(), ours);
    }
}
