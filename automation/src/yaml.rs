//! YAML of settings files: read into JSON values, and edited so that whatever is not changed keeps its
//! text: comments, order and style.
//!
//! What is written is block mappings with JSON (which is YAML) for everything else: every text is quoted,
//! so none can be mistaken for another type.

use serde_json::{Map, Value};

use crate::json::MAX_DEPTH;

/// Reads one document, which must be a mapping; an empty one has no entries.
pub(crate) fn read(text: &str) -> Result<Map<String, Value>, String> {
    // Nothing but comments is no document, and the parser says so with an error.
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line == "---";
    if text.lines().all(blank) {
        return Ok(Map::new());
    }
    let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH };
    let options = serde_saphyr::options! { budget: budget };
    match serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|error| error.to_string())? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err("it is not a mapping".to_owned()),
    }
}

/// The text of `wanted`, made from `old` by rewriting only the top-level entries that differ. Where that
/// does not give `wanted` (a document in flow style, say), everything is written anew.
pub(crate) fn edit(old: &str, wanted: &Map<String, Value>) -> String {
    let Ok(before) = read(old) else { return write(wanted) };
    if before == *wanted {
        return old.to_owned();
    }
    let edited = splice(old, &before, wanted);
    match read(&edited) {
        Ok(after) if after == *wanted => edited,
        _ => write(wanted),
    }
}

/// All of it, without regard for an older text.
pub(crate) fn write(map: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, value) in map {
        entry(key, value, 0, &mut text);
    }
    text
}

/// Top-level entries are told by lines that begin with a key; an entry ends where the next one, or a
/// comment or blank line before it, begins.
fn splice(old: &str, before: &Map<String, Value>, wanted: &Map<String, Value>) -> String {
    let mut out = String::new();
    let mut lines = old.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let Some(key) = before.keys().find(|key| starts_entry(line, key)) else {
            out.push_str(line);
            continue;
        };
        let mut block = line.to_owned();
        let mut gap = String::new();
        while let Some(next) = lines.next_if(|next| !starts_any_entry(next, before)) {
            gap.push_str(next);
            let content = !next.trim().is_empty() && !next.starts_with('#');
            if content {
                block.push_str(&gap);
                gap.clear();
            }
        }
        match wanted.get(key) {
            Some(value) if before.get(key) == Some(value) => out.push_str(&block),
            Some(value) => entry(key, value, 0, &mut out),
            None => {}
        }
        out.push_str(&gap);
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    for (key, value) in wanted.iter().filter(|(key, _)| !before.contains_key(*key)) {
        entry(key, value, 0, &mut out);
    }
    out
}

fn starts_any_entry(line: &str, map: &Map<String, Value>) -> bool {
    map.keys().any(|key| starts_entry(line, key))
}

/// True for `key:`, `"key":` and `'key':` at the beginning of a line.
fn starts_entry(line: &str, key: &str) -> bool {
    let quoted = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
    quoted.iter().any(|name| {
        let rest = line.strip_prefix(name.as_str()).map(str::trim_start).and_then(|l| l.strip_prefix(':'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    })
}

fn entry(key: &str, value: &Value, indent: usize, out: &mut String) {
    out.push_str(&" ".repeat(indent));
    out.push_str(&key_text(key));
    out.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            for (key, value) in map {
                entry(key, value, indent + 2, out);
            }
        }
        scalar => {
            out.push(' ');
            out.push_str(&printable(&scalar.to_string()));
            out.push('\n');
        }
    }
}

fn key_text(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:./".contains(&b))
        && !key.ends_with(':');
    // Words that YAML 1.1 reads as something else are quoted too.
    let lower = key.to_ascii_lowercase();
    let word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&lower.as_str());
    if plain && !word { key.to_owned() } else { printable(&Value::from(key).to_string()) }
}

/// JSON lets some characters stand as they are that YAML does not, or reads as line breaks.
fn printable(json: &str) -> String {
    let odd = |c: char| c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) || c == '\u{feff}';
    let odd = |c: char| odd(c) || ('\u{fffe}'..='\u{ffff}').contains(&c);
    if !json.contains(odd) {
        return json.to_owned();
    }
    let escape = |c: char| match odd(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    json.chars().map(escape).collect()
}

#[cfg(test)]
mod tests;
