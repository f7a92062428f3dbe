//! Commands of the fake engine: those about stacks, their state and their configuration.

use serde_json::{Value as Json, json};

use super::Inner;
use super::state::StackState;
use crate::engine::{Command, Place};
use crate::error::{Error, Result};

pub(super) fn run(inner: &mut Inner, place: &Place, command: &Command) -> Result<String> {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
    let (scope, stack) = (Scope { project: &place.project }, command.about());
    match (words.as_slice(), args.as_slice()) {
        (["stack", "init"], []) => scope.init(inner, stack),
        (["stack", "select"], []) => scope.select(inner, stack),
        (["stack", "ls"], []) => scope.list(inner),
        (["stack", "rm"], []) => scope.remove(inner, command),
        (["stack", "rename"], [to]) => scope.rename(inner, stack, to),
        (["stack", "export"], []) => {
            scope.state(inner, stack).map(|state| state.export(command.is_set("show-secrets")).to_string())
        }
        // Nothing damages a state that is in memory alone.
        (["stack", "repair"], []) => scope.state(inner, stack).map(|_| json!({}).to_string()),
        (["stack", "import"], []) => scope.import(inner, command),
        (["stack", "history"], []) => scope.history(inner, command),
        (["stack", "tag", "get"], [key]) => {
            let tags = &scope.state(inner, stack)?.tags;
            tags.get(*key).cloned().ok_or_else(|| invalid(command, &format!("stack tag {key:?} not found")))
        }
        (["stack", "tag", "set"], [key, value]) => {
            let tags = &mut scope.state(inner, stack)?.tags;
            tags.insert((*key).to_owned(), (*value).to_owned());
            Ok(String::new())
        }
        (["stack", "tag", "rm"], [key]) => {
            scope.state(inner, stack)?.tags.remove(*key);
            Ok(String::new())
        }
        (["stack", "tag", "ls"], []) => Ok(json!(scope.state(inner, stack)?.tags).to_string()),
        (["config", "set"], [key]) => scope.set(inner, key, command),
        (["config", "get"], [key]) => scope.get(inner, key, command),
        (["config", "set-all"], []) => scope.set_all(inner, command),
        (["config", "rm" | "rm-all"], keys) => {
            let config = &mut scope.state(inner, stack)?.config;
            for key in keys {
                config.remove(&scope.full(key));
            }
            Ok(String::new())
        }
        (["config"], []) => scope.configuration(inner, command),
        (["cancel"], []) => {
            scope.state(inner, stack)?.busy = false;
            Ok(String::new())
        }
        (["whoami"], []) => Ok(json!({"user": "fake", "organizations": [], "url": "fake://"}).to_string()),
        _ => Err(invalid(command, "the fake engine does not know this command")),
    }
}

fn invalid(command: &Command, message: &str) -> Error {
    Error::Invalid { command: command.name(), message: message.to_owned() }
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

    fn remove(&self, inner: &mut Inner, command: &Command) -> Result<String> {
        let name = command.about();
        let state = self.state(inner, name)?;
        if state.busy {
            let owner = "another operation of this process".to_owned();
            return Err(Error::ConcurrentUpdate { stack: name.to_owned(), owner, unproven: false });
        }
        let left = state.resources.iter().any(|resource| resource.kind != crate::wire::STACK_TYPE);
        if left && !command.is_set("force") {
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

    fn import(&self, inner: &mut Inner, command: &Command) -> Result<String> {
        let text =
            command.input.as_deref().ok_or_else(|| invalid(command, "there is no deployment to import"))?;
        let deployment = crate::json::read(text).map_err(|error| invalid(command, &error.to_string()))?;
        let state = self.state(inner, command.about())?;
        state.import(&deployment).map_err(|message| invalid(command, &message))?;
        Ok(String::new())
    }

    /// The newest first, in pages.
    fn history(&self, inner: &mut Inner, command: &Command) -> Result<String> {
        let number = |option| command.options.get(option).and_then(Json::as_u64).unwrap_or(0) as usize;
        // Zero is all.
        let size = Some(number("page-size")).filter(|size| *size > 0).unwrap_or(usize::MAX);
        let page = number("page").max(1);
        let history = &self.state(inner, command.about())?.history;
        let shown: Vec<&Json> =
            history.iter().rev().skip((page - 1).saturating_mul(size)).take(size).collect();
        Ok(json!(shown).to_string())
    }

    fn set(&self, inner: &mut Inner, key: &str, command: &Command) -> Result<String> {
        let value = command.input.clone().ok_or_else(|| invalid(command, "there is no value to set"))?;
        let config = &mut self.state(inner, command.about())?.config;
        config.insert(self.full(key), (value, command.is_set("secret")));
        Ok(String::new())
    }

    fn set_all(&self, inner: &mut Inner, command: &Command) -> Result<String> {
        let mut entries = Vec::new();
        if let Some(json) = command.options.get("json").and_then(Json::as_str) {
            let parsed = crate::config::parse_json(json)?;
            entries.extend(parsed.into_iter().map(|(key, entry)| (key, entry.value, entry.secret)));
        }
        let pairs = command.options.get("plaintext").and_then(Json::as_array).into_iter().flatten();
        for pair in pairs.filter_map(Json::as_str) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            entries.push((key.to_owned(), value.to_owned(), false));
        }
        let config = &mut self.state(inner, command.about())?.config;
        config.extend(entries.into_iter().map(|(key, value, secret)| (self.full(&key), (value, secret))));
        Ok(String::new())
    }

    fn get(&self, inner: &mut Inner, key: &str, command: &Command) -> Result<String> {
        let full = self.full(key);
        let config = &self.state(inner, command.about())?.config;
        let (value, secret) = config
            .get(&full)
            .ok_or_else(|| invalid(command, &format!("configuration key {key:?} not found")))?;
        Ok(json!({"name": full, "value": value, "secret": secret}).to_string())
    }

    fn configuration(&self, inner: &mut Inner, command: &Command) -> Result<String> {
        let config = &self.state(inner, command.about())?.config;
        let all = config.iter().map(|(key, (value, secret))| {
            let shown = match *secret && !command.is_set("show-secrets") {
                true => json!({"secret": true}),
                false => json!({"value": value, "secret": secret}),
            };
            (key.clone(), shown)
        });
        Ok(Json::Object(all.collect()).to_string())
    }
}
