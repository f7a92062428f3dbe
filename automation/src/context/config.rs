//! The stack's configuration, as `pulumi config` has it.

use std::collections::{BTreeSet, HashMap};

use serde::de::DeserializeOwned;

use super::Context;
use crate::program_error::ProgramError;
use crate::value::Input;
use crate::value::Value;

/// Decrypted values by their full key, and which of them are secret.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub values: HashMap<String, String>,
    pub secret_keys: BTreeSet<String>,
}

/// A key is `namespace:name`; without a namespace it is of the project's own. Values are text, those that
/// were set with `--path` or as numbers, truth values or objects are JSON text.
impl Context {
    /// All of it, keys as `namespace:name`, secrets decrypted.
    pub fn config(&self) -> &HashMap<String, String> {
        &self.inner.config.values
    }

    /// One value; secrets decrypted.
    pub fn config_value(&self, key: &str) -> Option<&str> {
        self.inner.config.values.get(&self.full_key(key)).map(String::as_str)
    }

    /// One value that must be there; [`ProgramError::ConfigMissing`] when it is not.
    pub fn require_config(&self, key: &str) -> Result<&str, ProgramError> {
        self.config_value(key).ok_or_else(|| ProgramError::ConfigMissing { key: self.full_key(key) })
    }

    /// One value as an input: secret when it is secret in the configuration.
    pub fn config_input(&self, key: &str) -> Option<Input> {
        let input = Input::from(self.config_value(key)?);
        Some(if self.config_is_secret(key) { input.into_secret() } else { input })
    }

    /// One value, read from its JSON text; [`ProgramError::ConfigInvalid`] when it is not of that form.
    pub fn config_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ProgramError> {
        let Some(text) = self.config_value(key) else { return Ok(None) };
        // The text of a secret must not get into a message, and serde's messages may quote it.
        let invalid = |error: serde_json::Error| ProgramError::ConfigInvalid {
            key: self.full_key(key),
            message: match self.config_is_secret(key) {
                true => "it is not JSON of the form that is wanted".to_owned(),
                false => error.to_string(),
            },
        };
        crate::json::read(text).map(Some).map_err(invalid)
    }

    /// One value, read from its JSON text, as an input: secret when it is secret in the configuration.
    pub fn config_json_input(&self, key: &str) -> Result<Option<Input>, ProgramError> {
        let json: Option<serde_json::Value> = self.config_json(key)?;
        let input = json.map(|json| Input::from(Value::from(json)));
        Ok(input.map(|input| if self.config_is_secret(key) { input.into_secret() } else { input }))
    }

    /// True when the value is kept encrypted.
    pub fn config_is_secret(&self, key: &str) -> bool {
        self.inner.config.secret_keys.contains(&self.full_key(key))
    }

    /// Full keys of all values that are kept encrypted.
    pub fn config_secret_keys(&self) -> &BTreeSet<String> {
        &self.inner.config.secret_keys
    }

    fn full_key(&self, key: &str) -> String {
        match key.contains(':') {
            true => key.to_owned(),
            false => format!("{}:{key}", self.project()),
        }
    }
}
