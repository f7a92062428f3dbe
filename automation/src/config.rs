//! Configuration of stacks as values, and the commands that write it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::setters::setters;

mod plan;

pub(crate) use plan::{config_command, parse_json, write_commands};

/// One entry of a stack's configuration.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigValue {
    /// The text; of a list or map, its JSON. Empty for a secret that was not asked to be shown.
    #[serde(default)]
    pub value: String,
    /// Encrypted in the settings file.
    #[serde(default)]
    pub secret: bool,
    /// The list or map, when it is one. An entry that is set with it becomes a list or map.
    #[serde(rename = "objectValue", default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Json>,
}

impl ConfigValue {
    /// A text that anybody may see.
    pub fn plain(value: impl Into<String>) -> Self {
        Self { value: value.into(), secret: false, object: None }
    }

    /// A text that is encrypted.
    pub fn secret(value: impl Into<String>) -> Self {
        Self { value: value.into(), secret: true, object: None }
    }

    /// A list or map that anybody may see.
    pub fn object(object: Json) -> Self {
        Self { value: object.to_string(), secret: false, object: Some(object) }
    }

    /// A list or map in which every leaf is encrypted. Numbers and truth values in it become texts, as
    /// with `pulumi config set --secret --path`.
    pub fn secret_object(object: Json) -> Self {
        Self { value: object.to_string(), secret: true, object: Some(object) }
    }
}

/// Hides secrets.
impl fmt::Debug for ConfigValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret { formatter.write_str("[secret]") } else { self.value.fmt(formatter) }
    }
}

impl From<&str> for ConfigValue {
    fn from(value: &str) -> Self {
        Self::plain(value)
    }
}

impl From<String> for ConfigValue {
    fn from(value: String) -> Self {
        Self::plain(value)
    }
}

/// Where configuration is read and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigOptions {
    /// Keys are paths into lists and maps: `outer.inner`, `names[0]`, `["a.b"].c` (the CLI's `--path`).
    pub path: bool,
    /// This settings file instead of the stack's own (the CLI's `--config-file`); a relative path begins at
    /// the workspace's folder.
    pub file: Option<PathBuf>,
}

setters!(ConfigOptions { path(bool), file(Option<PathBuf>) });
