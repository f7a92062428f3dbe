//! Values as states and events have them.

use std::collections::BTreeMap;

use prost_types::{ListValue, Struct, Value as WireValue, value::Kind};
use serde_json::Value as Json;

use super::{SECRET, SIGNATURE_KEY, Value, from_wire, to_wire};

/// State files encode values as the wire does, but for secrets: those hold JSON text, or, in a state that
/// was exported without them, a ciphertext. The latter is told as a secret that is not known.
pub(crate) fn from_state(json: &Json) -> Result<Value, String> {
    Ok(from_wire(&wire(json)?))
}

fn wire(json: &Json) -> Result<WireValue, String> {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(wire).collect::<Result<_, _>>()? })
        }
        Json::Object(map) => {
            let mut fields = BTreeMap::new();
            for (key, value) in map {
                fields.insert(key.clone(), wire(value)?);
            }
            if map.get(SIGNATURE_KEY).is_some_and(|signature| signature == SECRET) {
                fields.retain(|key, _| key == SIGNATURE_KEY);
                fields.insert("value".to_owned(), secret(map.get("plaintext"))?);
            }
            Kind::StructValue(Struct { fields })
        }
    };
    Ok(WireValue { kind: Some(kind) })
}

fn secret(plaintext: Option<&Json>) -> Result<WireValue, String> {
    let Some(Json::String(text)) = plaintext else { return Ok(to_wire(&Value::Unknown)) };
    // The parser's words could quote the secret.
    let inner = serde_json::from_str(text).map_err(|_| "a secret output is not JSON".to_owned())?;
    wire(&inner)
}
