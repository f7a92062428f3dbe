//! JSON as deep as Pulumi has it: the parser's own limit of 128 levels is less than a state may hold.

use serde::de::{DeserializeOwned, Error as _};

/// How deep values may be nested, wherever they are read: more than people write, and little enough for any stack.
pub(crate) const MAX_DEPTH: usize = 256;

/// How deep the parser goes by itself, at least.
const PARSERS_DEPTH: usize = 127;

/// Reads one document.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    match serde_json::from_str(text) {
        // Only what the parser itself has refused is looked at once more.
        Err(_) if depth(text) > PARSERS_DEPTH => {}
        read => return read,
    }
    if depth(text) > MAX_DEPTH {
        return Err(serde_json::Error::custom(format!("it is nested deeper than {MAX_DEPTH} levels")));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The most brackets that are open at once.
fn depth(text: &str) -> usize {
    let (mut open, mut most, mut bytes) = (0_usize, 0, text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
    }
    most
}

/// To the quote that ends it.
fn skip_text(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn values_are_read_as_deep_as_they_may_be_and_no_deeper() {
        let nested =
            |levels: usize| format!("{}1{}", r#"{"a":["#.repeat(levels / 2), "]}".repeat(levels / 2));
        assert_eq!(read::<Value>(&nested(MAX_DEPTH)).unwrap().to_string(), nested(MAX_DEPTH));
        let error = read::<Value>(&nested(MAX_DEPTH + 2)).unwrap_err();
        assert_eq!(error.to_string(), "it is nested deeper than 256 levels");
        assert!(read::<Value>("[1] 2").is_err());
    }

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth(r#"{"a [[[ \" [[ \\": ["]", {}]}"#), 3);
    }
}
