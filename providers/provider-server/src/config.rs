//! The configuration of the package: the settings of all modules that are no credentials. Credentials
//! come from the process's environment alone, so that no state and no program holds one.

use std::collections::{BTreeMap, BTreeSet};

use automation::Value;
use provider_api::{CheckFailure, Setting};
use tonic::Status;

use crate::Registry;

/// One setting of one module.
pub(crate) struct Variable {
    /// `flyApiUrl`
    pub key: String,
    /// `PILOT_FLY_API_URL`
    pub variable: String,
    pub setting: Setting,
}

/// All settings of all modules, credentials too.
pub(crate) fn variables(registry: &Registry) -> impl Iterator<Item = Variable> + '_ {
    let modules = registry.modules().iter().map(|module| &module.description);
    modules.flat_map(|module| {
        module.settings.iter().map(|setting| Variable {
            key: key(module.name.as_str(), setting.name),
            variable: setting.variable(&module.name),
            setting: setting.clone(),
        })
    })
}

fn key(module: &str, setting: &str) -> String {
    let mut key = String::new();
    for part in module.split('-').chain([setting]) {
        let mut letters = part.chars();
        let first = letters.next();
        match key.is_empty() {
            true => key.extend(first),
            false => key.extend(first.map(|letter| letter.to_ascii_uppercase())),
        }
        key.push_str(letters.as_str());
    }
    key
}

/// Everything that cannot be used, at once.
pub(crate) fn check(registry: &Registry, given: &BTreeMap<String, Value>) -> Vec<CheckFailure> {
    let known: BTreeMap<String, Variable> =
        variables(registry).map(|variable| (variable.key.clone(), variable)).collect();
    let mut failures = Vec::new();
    for (property, value) in settings(given) {
        let reason = match known.get(property) {
            None => unknown(&known),
            Some(known) if known.setting.secret => format!(
                "it is a credential and would be in the state: set {} in the environment instead",
                known.variable
            ),
            Some(known) if registry.rebuild().is_none() => {
                format!("this program takes it from its environment alone: set {} there", known.variable)
            }
            Some(_) if value.has_unknowns() || text(value).is_some() => continue,
            Some(_) => "it must be text".to_owned(),
        };
        failures.push(CheckFailure { property: property.clone(), reason });
    }
    failures
}

fn unknown(known: &BTreeMap<String, Variable>) -> String {
    let names: Vec<&str> =
        known.values().filter(|known| !known.setting.secret).map(|known| known.key.as_str()).collect();
    match names.is_empty() {
        true => "there is no such setting; no module has one that can be set here".to_owned(),
        false => format!("there is no such setting; there are {}", names.join(", ")),
    }
}

/// Keys whose values differ. None of them replaces anything: the objects stay what they are.
pub(crate) fn changed(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<String> {
    let keys: BTreeSet<&String> = settings(old).chain(settings(new)).map(|(key, _)| key).collect();
    keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
}

/// The modules with these settings; none when there is nothing to change.
pub(crate) fn configured(
    registry: &Registry,
    given: &BTreeMap<String, Value>,
) -> Result<Option<Registry>, Status> {
    let failures = check(registry, given);
    if !failures.is_empty() {
        let words = failures.iter().map(|failure| format!("{}: {}", failure.property, failure.reason));
        return Err(Status::invalid_argument(words.collect::<Vec<_>>().join("; ")));
    }
    let overrides: BTreeMap<String, String> = variables(registry)
        .filter_map(|variable| Some((variable.variable, text(given.get(&variable.key)?)?)))
        .collect();
    let rebuild = registry.rebuild().filter(|_| !overrides.is_empty());
    let rebuilt = rebuild.map(|rebuild| rebuild(&overrides)).transpose();
    rebuilt.map_err(|problem| Status::failed_precondition(problem.detail))
}

/// The engine adds keys of its own.
fn settings(given: &BTreeMap<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let ours = |key: &str| !key.starts_with("__") && !matches!(key, "version" | "pluginDownloadURL");
    given.iter().filter(move |(key, value)| ours(key) && **value != Value::Null)
}

fn text(value: &Value) -> Option<String> {
    match value.reveal() {
        serde_json::Value::String(text) => Some(text),
        value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_setting_begins_with_its_module() {
        assert_eq!(key("fly", "apiUrl"), "flyApiUrl");
        assert_eq!(key("my-cloud", "org"), "myCloudOrg");
    }

    #[test]
    fn keys_of_the_engine_are_no_settings() {
        let given = |url: &str| {
            BTreeMap::from([
                ("__internal".to_owned(), Value::Object(BTreeMap::new())),
                ("version".to_owned(), Value::from(url)),
                ("flyApiUrl".to_owned(), Value::from(url)),
            ])
        };
        assert_eq!(changed(&given("a"), &given("b")), ["flyApiUrl"]);
        let failures = check(&Registry::default(), &given("a"));
        assert_eq!(
            failures.iter().map(|failure| failure.property.as_str()).collect::<Vec<_>>(),
            ["flyApiUrl"]
        );
    }
}
