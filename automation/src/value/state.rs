//! Values as states and events have them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{SECRET, SIGNATURE_KEY, Value, from_wire, to_wire};
use crate::wire::{Kind, ListValue, Struct, Value as WireValue};

/// Only states have it.
const FLOAT: &str = "8ad145fe-0d11-4827-bfd7-1abcbf086f5c";

/// State files encode values as the wire does, but for secrets: those hold JSON text, or, in a state that
/// was exported without them, a ciphertext. The latter is told as a secret that is not known.
pub(crate) fn from_state(json: &Json) -> Result<Value, String> {
    Ok(from_wire(&wire(json)?))
}

fn wire(json: &Json) -> Result<WireValue, String> {
    let kind = match json {
        Json::Null => Kind::Null(0),
        Json::Bool(flag) => Kind::Bool(*flag),
        Json::Number(number) => Kind::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::Text(text.clone()),
        Json::Array(items) => {
            Kind::List(ListValue { values: items.iter().map(wire).collect::<Result<_, _>>()? })
        }
        Json::Object(map) => {
            let mut fields = BTreeMap::new();
            for (key, value) in map {
                fields.insert(key.clone(), wire(value)?);
            }
            if map.get(SIGNATURE_KEY).is_some_and(|signature| signature == FLOAT) {
                return float(map.get("value"));
            }
            if map.get(SIGNATURE_KEY).is_some_and(|signature| signature == SECRET) {
                fields.retain(|key, _| key == SIGNATURE_KEY);
                fields.insert("value".to_owned(), secret(map.get("plaintext"))?);
            }
            Kind::Object(Struct { fields })
        }
    };
    Ok(WireValue { kind: Some(kind) })
}

/// JSON has no infinite numbers, and none that are not numbers: a state has their bits.
fn float(bits: Option<&Json>) -> Result<WireValue, String> {
    let bits = bits.and_then(Json::as_str).and_then(|bits| u64::from_str_radix(bits, 16).ok());
    let number = f64::from_bits(bits.ok_or("a number cannot be read")?);
    Ok(WireValue { kind: Some(Kind::Number(number)) })
}

/// What a state has for a number.
#[cfg(feature = "fake")]
pub(crate) fn number_in_state(number: f64) -> Json {
    match serde_json::Number::from_f64(number) {
        Some(finite) => Json::Number(finite),
        None => serde_json::json!({SIGNATURE_KEY: FLOAT, "value": format!("{:016x}", number.to_bits())}),
    }
}

fn secret(plaintext: Option<&Json>) -> Result<WireValue, String> {
    let Some(Json::String(text)) = plaintext else { return Ok(to_wire(&Value::Unknown)) };
    // The parser's words could quote the secret.
    let inner = crate::json::read(text).map_err(|_| "a secret output is not JSON".to_owned())?;
    wire(&inner)
}
