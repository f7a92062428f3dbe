//! A stack's configuration, in the settings file that belongs to it.
//!
//! Each method that writes is one command or more, and the file is written as often; two writers at once
//! can lose an entry. No lock is taken, and no value of a secret is ever an argument.

use super::*;
use crate::classify::is_absent_key;
use crate::config::{ConfigOptions, ConfigValue, config_command, parse_json, write_commands};

impl Stack {
    /// One entry, secrets in plain text; none when it is not set. `pulumi config get`.
    pub async fn get_config(&self, key: &str, options: &ConfigOptions) -> Result<Option<ConfigValue>> {
        let command = config_command(["config", "get"], &self.name, options)
            .flag("json", true)
            .flag("path", options.path);
        match self.workspace.json(&command.arg(key)).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_absent_key(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every entry by its full key (`project:key`), secrets in plain text; `pulumi config --show-secrets`.
    /// The project's own defaults are among them.
    pub async fn get_all_config(&self, options: &ConfigOptions) -> Result<BTreeMap<String, ConfigValue>> {
        let command = config_command(["config"], &self.name, options);
        self.workspace.json(&command.flag("json", true).flag("show-secrets", true)).await
    }

    /// Sets one entry; `pulumi config set`, which reads the value from its standard input. Any text is kept as it is:
    /// empty, with line breaks, beginning with a dash. One that begins with a line break must be a secret, else it is
    /// [`Error::Invalid`]: Pulumi's settings files lose that.
    pub async fn set_config(
        &self,
        key: &str,
        value: impl Into<ConfigValue>,
        options: &ConfigOptions,
    ) -> Result<()> {
        let value = value.into();
        value.is_kept(key)?;
        if value.object.is_some() {
            return self.set_all_config(&BTreeMap::from([(key.to_owned(), value)]), options).await;
        }
        let command = config_command(["config", "set"], &self.name, options)
            .flag("raw", true)
            .flag(if value.secret { "secret" } else { "plaintext" }, true)
            .flag("path", options.path)
            .arg(key)
            .input(value.value);
        self.command(command).await.map(drop)
    }

    /// Sets entries: one `pulumi config set-all` for those that are no secrets, then one `config set` for
    /// each secret. When a command fails, those before it have been done.
    pub async fn set_all_config(
        &self,
        entries: &BTreeMap<String, ConfigValue>,
        options: &ConfigOptions,
    ) -> Result<()> {
        for command in write_commands(&self.name, entries, options)? {
            self.command(command).await?;
        }
        Ok(())
    }

    /// Sets entries from JSON as `pulumi config --json` prints it: an object of
    /// `{"value": "...", "secret": false, "objectValue": ...}` by key; `pulumi config set-all --json`.
    /// [`Error::Invalid`] when it is something else.
    pub async fn set_all_config_json(&self, json: &str, options: &ConfigOptions) -> Result<()> {
        let options = ConfigOptions { path: false, ..options.clone() };
        self.set_all_config(&parse_json(json)?, &options).await
    }

    /// Removes one entry, set or not; `pulumi config rm`.
    pub async fn remove_config(&self, key: &str, options: &ConfigOptions) -> Result<()> {
        let command = config_command(["config", "rm"], &self.name, options);
        self.command(command.flag("path", options.path).arg(key)).await.map(drop)
    }

    /// Removes entries, set or not; `pulumi config rm-all`.
    pub async fn remove_all_config(&self, keys: &[&str], options: &ConfigOptions) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let command = config_command(["config", "rm-all"], &self.name, options).flag("path", options.path);
        self.command(command.args(keys.iter().copied())).await.map(drop)
    }

    /// Makes the settings file what it was in the last update, and returns every entry;
    /// `pulumi config refresh --force`, then [`Stack::get_all_config`].
    pub async fn refresh_config(&self, options: &ConfigOptions) -> Result<BTreeMap<String, ConfigValue>> {
        let command = config_command(["config", "refresh"], &self.name, options).flag("force", true);
        self.command(command).await?;
        self.get_all_config(options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn keys_are_data_and_values_are_input() {
        let all = r#"{"shop:a": {"value": "1", "secret": true}}"#;
        let recorder = Recorder::answering([r#"{"value": "1", "secret": true}"#, all, "", "", "", "", all]);
        let stack = recorder.workspace().stack("dev");
        let (plain, other) =
            (ConfigOptions::default(), ConfigOptions { path: true, file: Some("/x.yaml".into()) });
        assert_eq!(stack.get_config("-k", &other).await.unwrap(), Some(ConfigValue::secret("1")));
        assert_eq!(stack.get_all_config(&plain).await.unwrap()["shop:a"], ConfigValue::secret("1"));
        stack.set_config("--secret", ConfigValue::secret("hush"), &plain).await.unwrap();
        stack.remove_config("a", &plain).await.unwrap();
        stack.remove_all_config(&["a.b", "-c"], &other).await.unwrap();
        stack.remove_all_config(&[], &other).await.unwrap();
        assert_eq!(stack.refresh_config(&plain).await.unwrap().len(), 1);
        assert_eq!(
            recorder.lines(),
            [
                "config get --config-file=/x.yaml --json --path --stack=dev -- -k",
                "config --json --show-secrets --stack=dev",
                "config set --raw --secret --stack=dev -- --secret",
                "config rm --stack=dev -- a",
                "config rm-all --config-file=/x.yaml --path --stack=dev -- a.b -c",
                "config refresh --force --stack=dev",
                "config --json --show-secrets --stack=dev",
            ]
        );
        assert_eq!(recorder.commands()[2].input.as_deref(), Some("hush"));
    }

    #[tokio::test]
    async fn the_fake_engine_keeps_configuration_as_well() {
        let workspace = Workspace::temporary(crate::FakeEngine::new(), "shop").unwrap();
        let stack = workspace.create_stack("dev").await.unwrap();
        let options = ConfigOptions::default();
        let entries = [("a", "1".into()), ("-b", "=".into()), ("pin", ConfigValue::secret("hush"))];
        let entries: BTreeMap<_, _> =
            entries.into_iter().map(|(key, value): (&str, _)| (key.to_owned(), value)).collect();
        stack.set_all_config(&entries, &options).await.unwrap();
        let all = stack.get_all_config(&options).await.unwrap();
        assert_eq!(all["shop:-b"], "=".into());
        assert_eq!(stack.get_config("pin", &options).await.unwrap(), Some(ConfigValue::secret("hush")));
        stack.remove_all_config(&["a", "-b"], &options).await.unwrap();
        stack.remove_config("pin", &options).await.unwrap();
        assert!(stack.get_all_config(&options).await.unwrap().is_empty());
        assert_eq!(stack.get_config("pin", &options).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_entry_that_is_not_set_is_none_and_any_other_failure_is_an_error() {
        let failed = |message: &str| Error::Command {
            command: "config get".to_owned(),
            code: 1,
            message: message.to_owned(),
        };
        let options = ConfigOptions::default();
        let absent = Recorder::failing(failed("configuration key 'a' not found for stack 'dev'"));
        assert_eq!(absent.workspace().stack("dev").get_config("a", &options).await.unwrap(), None);
        let broken = Recorder::failing(failed("could not parse a:b:c as a configuration key"));
        assert!(broken.workspace().stack("dev").get_config("a:b:c", &options).await.is_err());
    }
}
