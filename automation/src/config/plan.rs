//! From entries to commands that set them. A secret goes through the standard input, one command for
//! each: the CLI takes several at once only as arguments, which every process of the machine can read.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{ConfigOptions, ConfigValue};
use crate::engine::Command;
use crate::error::{Error, Result};

/// The kernel's limit for one argument is 128 KiB.
const ARGUMENT_LIMIT: usize = 64 * 1024;

/// The commands that set all entries, in the order in which they must run.
pub(crate) fn write_commands(
    stack: &str,
    entries: &BTreeMap<String, ConfigValue>,
    options: &ConfigOptions,
) -> Result<Vec<Command>> {
    entries.iter().try_for_each(|(key, value)| value.is_kept(key))?;
    let scope = Scope { stack, options };
    let (single, shared): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, value)| scope.alone(key, value));
    let mut commands = scope.together(&shared);
    for (key, value) in single {
        match &value.object {
            None => commands.push(scope.set(key, value, options.path)),
            Some(object) => commands.extend(scope.set_object(key, value, object)?),
        }
    }
    Ok(commands)
}

impl ConfigValue {
    /// Pulumi writes texts of several lines in a form of YAML that loses a line break at the beginning.
    pub(crate) fn is_kept(&self, key: &str) -> Result<()> {
        if self.secret || !self.value.starts_with('\n') {
            return Ok(());
        }
        let message =
            format!("Pulumi's settings lose the line break with which {key} begins; make it a secret");
        Err(Error::Invalid { command: "config set".to_owned(), message })
    }
}

/// A command about the configuration of `stack`.
pub(crate) fn config_command<const N: usize>(
    words: [&str; N],
    stack: &str,
    options: &ConfigOptions,
) -> Command {
    let file = options.file.as_ref().map(|file| file.display().to_string());
    Command::new(words).stack(stack).option("config-file", file)
}

/// Reads what `pulumi config --json` prints.
pub(crate) fn parse_json(text: &str) -> Result<BTreeMap<String, ConfigValue>> {
    let refuse = |message: String| Error::Invalid { command: "config set-all".to_owned(), message };
    // The parser's words could quote a secret.
    let place = |error: serde_json::Error| {
        refuse(format!("it is not JSON of entries, see line {} column {}", error.line(), error.column()))
    };
    let entries: Map<String, Json> = crate::json::read(text).map_err(place)?;
    let entry = |(key, value): (String, Json)| {
        if !value["value"].is_string() {
            return Err(refuse(format!("the entry {key} has no value")));
        }
        let value = serde_json::from_value(value).map_err(|_| refuse(format!("{key} is not an entry")))?;
        Ok((key, value))
    };
    entries.into_iter().map(entry).collect()
}

struct Scope<'a> {
    stack: &'a str,
    options: &'a ConfigOptions,
}

impl Scope<'_> {
    fn command<const N: usize>(&self, words: [&str; N]) -> Command {
        config_command(words, self.stack, self.options)
    }

    /// True for what must not, or cannot, be an argument among others.
    fn alone(&self, key: &str, value: &ConfigValue) -> bool {
        // `KEY=VALUE` is cut at the first `=`, and quotes around a key are taken off.
        let no_pair = key.contains('=') || key.starts_with(['"', '\'']) || value.value.contains('\0');
        value.secret || value.value.len() > ARGUMENT_LIMIT / 2 || (self.options.path && no_pair)
    }

    /// Plain entries, as many in a command as its arguments can hold.
    fn together(&self, entries: &[(&String, &ConfigValue)]) -> Vec<Command> {
        let mut commands = Vec::new();
        for chunk in chunks(entries) {
            let command = self.command(["config", "set-all"]);
            commands.push(if self.options.path {
                let pairs = chunk.iter().map(|(key, value)| format!("{key}={}", value.value));
                command.flag("path", true).values("plaintext", pairs)
            } else {
                let all: Map<String, Json> =
                    chunk.iter().map(|(key, value)| ((*key).clone(), json!(value))).collect();
                command.option("json", Some(Json::Object(all).to_string()))
            });
        }
        commands
    }

    /// One text through the standard input.
    fn set(&self, key: &str, value: &ConfigValue, path: bool) -> Command {
        let kind = if value.secret { "secret" } else { "plaintext" };
        let command = self.command(["config", "set"]).flag("raw", true).flag(kind, true).flag("path", path);
        command.arg(key).input(value.value.as_str())
    }

    /// A list or map, leaf by leaf, after what was there is gone.
    fn set_object(&self, key: &str, value: &ConfigValue, object: &Json) -> Result<Vec<Command>> {
        let path = self.options.path;
        let root = if path { key.to_owned() } else { path_of_key(key) };
        let mut leaves = Vec::new();
        collect(object, &root, &mut leaves).map_err(|at| Error::Invalid {
            command: "config set".to_owned(),
            message: format!("{at} is empty, and an empty list, map or null cannot be hidden"),
        })?;
        let mut commands = vec![self.command(["config", "rm"]).flag("path", path).arg(key)];
        for (path, text) in leaves {
            let leaf = ConfigValue { value: text, secret: value.secret, object: None };
            commands.push(self.set(&path, &leaf, true));
        }
        Ok(commands)
    }
}

fn chunks<'a>(entries: &'a [(&'a String, &'a ConfigValue)]) -> Vec<&'a [(&'a String, &'a ConfigValue)]> {
    let (mut chunks, mut start, mut size) = (Vec::new(), 0, 0);
    for (at, (key, value)) in entries.iter().enumerate() {
        // JSON escapes can make a text six times as long; most are none.
        let length = json!([key, value]).to_string().len();
        if size + length > ARGUMENT_LIMIT && at > start {
            chunks.push(&entries[start..at]);
            (start, size) = (at, 0);
        }
        size += length;
    }
    if start < entries.len() {
        chunks.push(&entries[start..]);
    }
    chunks
}

/// A key as the root of a path: `ns:a.b` is one key, and only quotes tell a path so.
fn path_of_key(key: &str) -> String {
    let (namespace, name) = key.rsplit_once(':').map_or((None, key), |(ns, name)| (Some(ns), name));
    if !name.contains(['.', '[', ']', '"']) {
        return key.to_owned();
    }
    let prefix = namespace.map(|namespace| format!("{namespace}:")).unwrap_or_default();
    format!("{prefix}{}", segment(name))
}

fn segment(name: &str) -> String {
    format!("[\"{}\"]", name.replace('"', "\\\""))
}

fn collect(value: &Json, path: &str, leaves: &mut Vec<(String, String)>) -> std::result::Result<(), String> {
    match value {
        Json::Object(map) if !map.is_empty() => {
            map.iter().try_for_each(|(key, value)| collect(value, &format!("{path}{}", segment(key)), leaves))
        }
        Json::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .try_for_each(|(at, value)| collect(value, &format!("{path}[{at}]"), leaves)),
        Json::Object(_) | Json::Array(_) | Json::Null => Err(path.to_owned()),
        Json::String(text) => {
            leaves.push((path.to_owned(), text.clone()));
            Ok(())
        }
        scalar => {
            leaves.push((path.to_owned(), scalar.to_string()));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
