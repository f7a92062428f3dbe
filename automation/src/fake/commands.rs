//! Commands of the fake engine: those about stacks, their state and their configuration.

use serde_json::{Value as Json, json};

use super::Inner;
use super::state::StackState;
use crate::engine::{Command, Place};
use crate::error::{Error, Result};

pub(super) fn run(inner: &mut Inner, place: &Place, command: &Command) -> Result<String> {
    let words: Vec<&str> = command.args.iter().map(String::as_str).collect();
    let parsed = Parsed::of(&words);
    let place = Scope { project: &place.project };
    match parsed.words.as_slice() {
        ["stack", "init", name] => place.init(inner, name),
        ["stack", "select", ..] => place.select(inner, parsed.stack()),
        ["stack", "ls"] => place.list(inner),
        ["stack", "rm"] => place.remove(inner, &parsed),
        ["stack", "rename", to] => place.rename(inner, parsed.stack(), to),
        ["stack", "export"] => place
            .state(inner, parsed.stack())
            .map(|state| state.export(parsed.has("--show-secrets")).to_string()),
        // Nothing damages a state that is in memory alone.
        ["stack", "repair"] => place.state(inner, parsed.stack()).map(|_| json!({}).to_string()),
        ["stack", "import"] => place.import(inner, &parsed, command),
        ["stack", "history"] => place.history(inner, &parsed),
        ["stack", "tag", "get", key] => {
            let tags = &place.state(inner, parsed.stack())?.tags;
            tags.get(*key).cloned().ok_or_else(|| invalid(command, &format!("stack tag {key:?} not found")))
        }
        ["stack", "tag", "set", key, value] => {
            let tags = &mut place.state(inner, parsed.stack())?.tags;
            tags.insert((*key).to_owned(), (*value).to_owned());
            Ok(String::new())
        }
        ["stack", "tag", "rm", key] => {
            place.state(inner, parsed.stack())?.tags.remove(*key);
            Ok(String::new())
        }
        ["stack", "tag", "ls"] => Ok(json!(place.state(inner, parsed.stack())?.tags).to_string()),
        ["config", "set", key, value @ ..] => place.set(inner, &parsed, key, value, command),
        ["config", "get", key] => place.get(inner, &parsed, key, command),
        ["config", "set-all"] => place.set_all(inner, &parsed),
        ["config", "rm" | "rm-all", keys @ ..] => {
            let config = &mut place.state(inner, parsed.stack())?.config;
            for key in keys {
                config.remove(&place.full(key));
            }
            Ok(String::new())
        }
        ["config"] => place.configuration(inner, &parsed),
        ["cancel", ..] => {
            let name = parsed.words.get(1).copied().unwrap_or_else(|| parsed.stack());
            place.state(inner, name)?.busy = false;
            Ok(String::new())
        }
        ["whoami"] => Ok(json!({"user": "fake", "organizations": [], "url": "fake://"}).to_string()),
        _ => Err(invalid(command, "the fake engine does not know this command")),
    }
}

fn invalid(command: &Command, message: &str) -> Error {
    Error::Invalid { command: command.name(), message: message.to_owned() }
}

/// A command line in parts. What follows `--` is data.
struct Parsed<'a> {
    words: Vec<&'a str>,
    flags: Vec<(&'a str, Option<&'a str>)>,
}

/// Flags whose value is the next word.
const VALUED: [&str; 5] = ["--stack", "--config-file", "--copy-config-from", "--file", "--secrets-provider"];

impl<'a> Parsed<'a> {
    fn of(args: &[&'a str]) -> Self {
        let (mut words, mut flags) = (Vec::new(), Vec::new());
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            if arg == "--" {
                words.extend(args.by_ref());
            } else if let Some((flag, value)) = arg.split_once('=').filter(|_| arg.starts_with("--")) {
                flags.push((flag, Some(value)));
            } else if VALUED.contains(&arg) {
                flags.push((arg, args.next()));
            } else if arg.starts_with("--") {
                flags.push((arg, None));
            } else {
                words.push(arg);
            }
        }
        Self { words, flags }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, _)| *name == flag)
    }

    fn value(&self, flag: &str) -> Option<&'a str> {
        self.flags.iter().find(|(name, _)| *name == flag).and_then(|(_, value)| *value)
    }

    /// The stack that the command is about; the real CLI's last word counts as well.
    fn stack(&self) -> &'a str {
        let last = || self.words.get(2).copied();
        self.value("--stack").or_else(last).unwrap_or_default()
    }
}

struct Scope<'a> {
    project: &'a str,
}

impl Scope<'_> {
    fn key(&self, name: &str) -> (String, String) {
        (self.project.to_owned(), name.to_owned())
    }

    fn full(&self, key: &str) -> String {
        if key.contains(':') { key.to_owned() } else { format!("{}:{key}", self.project) }
    }

    fn state<'a>(&self, inner: &'a mut Inner, name: &str) -> Result<&'a mut StackState> {
        let key = self.key(name);
        inner.stacks.get_mut(&key).ok_or_else(|| Error::StackNotFound { stack: name.to_owned() })
    }

    fn init(&self, inner: &mut Inner, name: &str) -> Result<String> {
        let key = self.key(name);
        if inner.stacks.contains_key(&key) {
            return Err(Error::StackExists { stack: name.to_owned() });
        }
        inner.stacks.insert(key, StackState::default());
        Ok(String::new())
    }

    fn select(&self, inner: &mut Inner, name: &str) -> Result<String> {
        self.state(inner, name)?;
        inner.selected = Some(name.to_owned());
        Ok(String::new())
    }

    fn list(&self, inner: &Inner) -> Result<String> {
        let stacks = inner.stacks.iter().filter(|((project, _), _)| project == self.project);
        let stacks: Vec<Json> = stacks
            .map(|((_, name), state)| {
                json!({
                    "name": name,
                    "current": inner.selected.as_deref() == Some(name),
                    "updateInProgress": state.busy,
                    "resourceCount": state.resources.len(),
                })
            })
            .collect();
        Ok(Json::Array(stacks).to_string())
    }

    fn remove(&self, inner: &mut Inner, parsed: &Parsed<'_>) -> Result<String> {
        let name = parsed.stack();
        let state = self.state(inner, name)?;
        if state.busy {
            let owner = "another operation of this process".to_owned();
            return Err(Error::ConcurrentUpdate { stack: name.to_owned(), owner, unproven: false });
        }
        let left = state.resources.iter().any(|resource| resource.kind != crate::wire::STACK_TYPE);
        if left && !parsed.has("--force") {
            let message = format!("'{name}' still has resources; removal rejected");
            return Err(Error::Command { command: "stack rm".to_owned(), code: 1, message });
        }
        inner.stacks.remove(&self.key(name));
        Ok(String::new())
    }

    fn rename(&self, inner: &mut Inner, from: &str, to: &str) -> Result<String> {
        let (from, to) = (self.key(from), self.key(to));
        if inner.stacks.contains_key(&to) {
            return Err(Error::StackExists { stack: to.1 });
        }
        let missing = || Error::StackNotFound { stack: from.1.clone() };
        let mut state = inner.stacks.remove(&from).ok_or_else(missing)?;
        state.rename(self.project, &from.1, &to.1);
        inner.stacks.insert(to, state);
        Ok(String::new())
    }

    fn import(&self, inner: &mut Inner, parsed: &Parsed<'_>, command: &Command) -> Result<String> {
        let text = match (parsed.value("--file"), &command.input) {
            (Some(file), _) => std::fs::read_to_string(file).map_err(Error::io("read the deployment"))?,
            (None, Some(input)) => input.clone(),
            (None, None) => return Err(invalid(command, "there is no deployment to import")),
        };
        let deployment = serde_json::from_str(&text).map_err(|error| invalid(command, &error.to_string()))?;
        let state = self.state(inner, parsed.stack())?;
        state.import(&deployment).map_err(|message| invalid(command, &message))?;
        Ok(String::new())
    }

    /// The newest first, in pages.
    fn history(&self, inner: &mut Inner, parsed: &Parsed<'_>) -> Result<String> {
        let number = |flag| parsed.value(flag).and_then(|text: &str| text.parse::<usize>().ok());
        // Zero is all.
        let size = number("--page-size").filter(|size| *size > 0).unwrap_or(usize::MAX);
        let page = number("--page").unwrap_or(1).max(1);
        let history = &self.state(inner, parsed.stack())?.history;
        let shown: Vec<&Json> =
            history.iter().rev().skip((page - 1).saturating_mul(size)).take(size).collect();
        Ok(json!(shown).to_string())
    }

    fn set(
        &self,
        inner: &mut Inner,
        parsed: &Parsed<'_>,
        key: &str,
        value: &[&str],
        command: &Command,
    ) -> Result<String> {
        let value = match (value, &command.input) {
            ([value], _) => (*value).to_owned(),
            ([], Some(input)) => input.clone(),
            _ => return Err(invalid(command, "a key takes exactly one value")),
        };
        let entry = (value, parsed.has("--secret"));
        self.state(inner, parsed.stack())?.config.insert(self.full(key), entry);
        Ok(String::new())
    }

    fn set_all(&self, inner: &mut Inner, parsed: &Parsed<'_>) -> Result<String> {
        let mut entries = Vec::new();
        for (flag, value) in &parsed.flags {
            match (*flag, value) {
                ("--json", Some(json)) => {
                    let parsed = crate::config::parse_json(json)?;
                    entries.extend(parsed.into_iter().map(|(key, entry)| (key, entry.value, entry.secret)));
                }
                ("--plaintext", Some(pair)) => {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    entries.push((key.to_owned(), value.to_owned(), false));
                }
                _ => {}
            }
        }
        let config = &mut self.state(inner, parsed.stack())?.config;
        config.extend(entries.into_iter().map(|(key, value, secret)| (self.full(&key), (value, secret))));
        Ok(String::new())
    }

    fn get(&self, inner: &mut Inner, parsed: &Parsed<'_>, key: &str, command: &Command) -> Result<String> {
        let full = self.full(key);
        let config = &self.state(inner, parsed.stack())?.config;
        let (value, secret) = config
            .get(&full)
            .ok_or_else(|| invalid(command, &format!("configuration key {key:?} not found")))?;
        Ok(json!({"name": full, "value": value, "secret": secret}).to_string())
    }

    fn configuration(&self, inner: &mut Inner, parsed: &Parsed<'_>) -> Result<String> {
        let config = &self.state(inner, parsed.stack())?.config;
        let all = config.iter().map(|(key, (value, secret))| {
            let shown = match *secret && !parsed.has("--show-secrets") {
                true => json!({"secret": true}),
                false => json!({"value": value, "secret": secret}),
            };
            (key.clone(), shown)
        });
        Ok(Json::Object(all.collect()).to_string())
    }
}
