//! What an operator gives a provider: where its cloud is and with which credentials.
//!
//! A module declares its settings; the program that holds the modules reads them from its environment,
//! once, at its edge. The setting `apiToken` of `fly` is `PILOT_FLY_API_TOKEN`, and
//! `PILOT_FLY_API_TOKEN_FILE` names a file that holds it.

use std::collections::BTreeMap;
use std::path::Path;

use contracts::{ErrorCode, ProviderName};

use crate::error::{ProviderError, Result};

/// One setting of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// In camelCase.
    pub name: &'static str,
    /// Completes "the provider has no ...:".
    pub description: &'static str,
    /// Without it the module cannot work.
    pub required: bool,
    /// Never shown.
    pub secret: bool,
    /// When none is given.
    pub default: Option<&'static str>,
}

impl Setting {
    /// Without it the module cannot work.
    pub const fn required(name: &'static str, description: &'static str) -> Self {
        Self { name, description, required: true, secret: false, default: None }
    }

    /// The module can work without it.
    pub const fn optional(name: &'static str, description: &'static str) -> Self {
        Self { name, description, required: false, secret: false, default: None }
    }

    /// The same setting, never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same setting with a value for when none is given.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// `PILOT_FLY_API_TOKEN`
    pub fn variable(&self, provider: &ProviderName) -> String {
        variable(provider, self.name)
    }
}

fn variable(provider: &ProviderName, setting: &str) -> String {
    let mut variable = format!("PILOT_{}_", provider.as_str().to_uppercase().replace('-', "_"));
    for letter in setting.chars() {
        if letter.is_ascii_uppercase() {
            variable.push('_');
        }
        variable.push(letter.to_ascii_uppercase());
    }
    variable
}

/// The error for a value that cannot be meant. `reason` says why, and may show the value unless that is a secret.
pub fn unusable(provider: &ProviderName, name: &str, reason: &str) -> ProviderError {
    let variable = variable(provider, name);
    ProviderError::new(ErrorCode::ProviderNotConfigured, format!("the setting {name} of {provider}: {reason}"))
        .with_action(format!(
            "Correct {variable} in the environment of the program that holds the providers, or the file that {variable}_FILE names."
        ))
}

/// A setting that cannot be read. It does not hold the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {reason}")]
pub struct SettingProblem {
    /// Which one.
    pub variable: String,
    /// Why, without its value.
    pub reason: String,
}

/// The settings of one module as they were given. What is missing is found when the module is used, so
/// that an operator need not configure clouds that nobody uses.
#[derive(Clone)]
pub struct Settings {
    provider: ProviderName,
    known: Vec<Setting>,
    values: BTreeMap<&'static str, String>,
}

impl Settings {
    /// `var` gives variables by name. All problems are told together.
    pub fn read(
        provider: &ProviderName,
        known: &[Setting],
        var: impl Fn(&str) -> Option<String>,
    ) -> std::result::Result<Self, Vec<SettingProblem>> {
        let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
        for setting in known {
            let variable = setting.variable(provider);
            let file = var(&format!("{variable}_FILE"));
            let value = match (var(&variable), file) {
                (Some(_), Some(_)) => Err(format!("it is given, and {variable}_FILE as well")),
                (Some(value), None) => Ok(Some(value)),
                (None, Some(path)) => content(Path::new(&path)).map(Some),
                (None, None) => Ok(None),
            };
            match value {
                Ok(value) => {
                    let value = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
                    values.extend(
                        value.or(setting.default.map(str::to_owned)).map(|value| (setting.name, value)),
                    );
                }
                Err(reason) => problems.push(SettingProblem { variable, reason }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { provider: provider.clone(), known: known.to_vec(), values })
    }

    /// One that was given or has a default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// See [`unusable`].
    pub fn unusable(&self, name: &str, reason: &str) -> ProviderError {
        unusable(&self.provider, name, reason)
    }

    /// A required setting, or the error that says which variable is missing.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| {
            let setting = self.known.iter().find(|setting| setting.name == name);
            let variable = variable(&self.provider, name);
            let purpose = setting.map(|setting| setting.description).unwrap_or_default();
            let message = format!("the provider {} has no {name}: {purpose}", self.provider);
            ProviderError::new(ErrorCode::ProviderNotConfigured, message)
                .with_action(format!("Set {variable}, or {variable}_FILE to a file that holds it."))
        })
    }
}

/// Values may be secrets.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |setting: &Setting| match (self.values.get(setting.name), setting.secret) {
            (Some(_), true) => "(secret)".to_owned(),
            (Some(value), false) => value.clone(),
            (None, _) => "(none)".to_owned(),
        };
        f.debug_map().entries(self.known.iter().map(|setting| (setting.name, shown(setting)))).finish()
    }
}

fn content(path: &Path) -> std::result::Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Setting; 3] = [
        Setting::required("apiToken", "an access token").secret(),
        Setting::optional("apiUrl", "where the API is").default("https://api.example"),
        Setting::optional("org", "the organisation"),
    ];

    fn read(
        variables: &[(&str, &str)],
    ) -> (ProviderName, std::result::Result<Settings, Vec<SettingProblem>>) {
        let provider: ProviderName = "my-cloud".parse().unwrap();
        let var = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::read(&provider, &KNOWN, var);
        (provider, settings)
    }

    #[test]
    fn a_setting_comes_from_its_variable_or_a_file_or_its_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret-1\n").unwrap();
        let path = file.path().to_str().unwrap();
        let (_, settings) =
            read(&[("PILOT_MY_CLOUD_API_TOKEN_FILE", path), ("PILOT_MY_CLOUD_ORG", " acme ")]);
        let settings = settings.unwrap();
        assert_eq!(settings.require("apiToken").unwrap(), "secret-1");
        assert_eq!(settings.get("apiUrl"), Some("https://api.example"));
        assert_eq!(settings.get("org"), Some("acme"));
    }

    #[test]
    fn what_is_missing_is_named_with_its_variable_when_it_is_needed() {
        let (_, settings) = read(&[("PILOT_MY_CLOUD_API_TOKEN", "")]);
        let error = settings.unwrap().require("apiToken").unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
        assert!(error.action.unwrap().contains("PILOT_MY_CLOUD_API_TOKEN"));
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_with_its_reason_and_its_variable() {
        let (_, settings) = read(&[]);
        let error = settings.unwrap().unusable("apiUrl", "\"x\" is no URL");
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
        assert_eq!(error.message, "the setting apiUrl of my-cloud: \"x\" is no URL");
        assert!(error.action.unwrap().contains("PILOT_MY_CLOUD_API_URL "));
    }

    #[test]
    fn problems_are_told_together_and_hold_no_value() {
        let (_, settings) = read(&[
            ("PILOT_MY_CLOUD_API_TOKEN", "canary"),
            ("PILOT_MY_CLOUD_API_TOKEN_FILE", "/x"),
            ("PILOT_MY_CLOUD_ORG_FILE", "/nowhere/at/all"),
        ]);
        let problems = settings.unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(!format!("{problems:?}").contains("canary"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let (_, settings) = read(&[("PILOT_MY_CLOUD_API_TOKEN", "canary")]);
        let shown = format!("{:?}", settings.unwrap());
        assert!(!shown.contains("canary") && shown.contains("api.example"), "{shown}");
    }
}
