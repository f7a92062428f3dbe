//! What encrypts a stack's secrets.

use std::time::Duration;

use super::*;
use crate::engine::Passphrase;
use crate::workspace::{StackSettings, replace};

/// What encrypts a stack's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretsProvider {
    /// The passphrase in this file; surrounding white space does not count, and it is one line.
    Passphrase(PathBuf),
    /// The empty passphrase: secrets are encoded, not protected.
    EmptyPassphrase,
    /// `awskms://...`, `azurekeyvault://...`, `gcpkms://...`, `hashivault://...`, or `default` for the
    /// one of Pulumi Cloud.
    Url(String),
}

impl Stack {
    /// Encrypts the stack's configuration and state anew; `pulumi stack change-secrets-provider`, which
    /// reads a new passphrase from its standard input. The stack that is returned knows the new provider;
    /// `self` and other copies keep the old one. [`Error::Secrets`] when the present passphrase is wrong. After
    /// any error settings and state belong together: both are as they were unless the state was changed
    /// already, and then both are changed. A lock that is held is not waited for.
    pub async fn change_secrets_provider(&self, provider: &SecretsProvider) -> Result<Stack> {
        let mut after = self.clone();
        let place = &mut after.workspace.place;
        let (name, phrase) = match provider {
            SecretsProvider::Url(url) => {
                place.secrets_provider = Some(url.clone());
                (url.as_str(), None)
            }
            SecretsProvider::Passphrase(file) => {
                place.passphrase = Passphrase::File(file.clone());
                place.secrets_provider = None;
                ("passphrase", Some(read_phrase(file)?))
            }
            SecretsProvider::EmptyPassphrase => {
                place.passphrase = Passphrase::Empty;
                place.secrets_provider = None;
                ("passphrase", Some(String::new()))
            }
        };
        let mut command = Command::new(["stack", "change-secrets-provider"]).stack(&self.name);
        command = command.arg(name).locking(&self.name);
        // From passphrase to passphrase the CLI takes the old one from its environment and reads the new
        // one; from any other provider it takes the new one from its environment and reads nothing.
        let settings = self.workspace.stack_settings(&self.name)?.unwrap_or_default();
        let rotates = matches!(settings.secrets_provider.as_deref(), None | Some("" | "passphrase"));
        let mut runs_in = match phrase {
            Some(phrase) if rotates => {
                command = command.input(format!("{phrase}\n"));
                self.workspace.clone()
            }
            Some(_) => after.workspace.clone(),
            None => self.workspace.clone(),
        };
        // The CLI saves the settings before it locks and saves the state. Half a change is taken back, and
        // not tried again on top of itself.
        runs_in.place.lock_timeout = Duration::ZERO;
        let path = self.workspace.stack_settings_path(&self.name);
        let before = std::fs::read_to_string(&path).ok();
        if let Err(error) = runs_in.command(&command).await {
            let now = std::fs::read_to_string(&path).ok();
            if let (Some(before), Some(now)) = (before, now)
                && before != now
            {
                let put = |text: &str| replace(&path, text).map_err(Error::io("restore the settings"));
                // With its own settings a state can be read, and what it says of its key is proof.
                put(&before)?;
                if !self.state_is_of(&settings).await.unwrap_or(false) {
                    put(&now)?;
                    let new = self.workspace.stack_settings(&self.name)?.unwrap_or_default();
                    match after.state_is_of(&new).await {
                        Ok(true) => tracing::warn!(stack = self.name, "the state has its new key already"),
                        // It has another key than these settings, so they are of no use.
                        Ok(false) | Err(Error::Secrets { .. }) => put(&before)?,
                        // The state knows its own key, so that neither of them is lost.
                        Err(unread) => tracing::warn!(stack = self.name, %unread, "the new settings stay"),
                    }
                }
            }
            return Err(error);
        }
        Ok(after)
    }

    /// True when the secrets in the state are encrypted as the settings say, or there are none.
    async fn state_is_of(&self, settings: &StackSettings) -> Result<bool> {
        let deployment = self.export().await?;
        let provider = &deployment.json()["deployment"]["secrets_providers"];
        let of_state = |part: &str| provider["state"][part].as_str();
        Ok(match (of_state("salt"), of_state("encryptedkey")) {
            (Some(salt), _) => settings.encryption_salt.as_deref() == Some(salt),
            (_, Some(key)) => settings.encrypted_key.as_deref() == Some(key),
            // That of a service keeps nothing in the settings.
            (None, None) => {
                provider.is_null() || (settings.encryption_salt.is_none() && settings.encrypted_key.is_none())
            }
        })
    }
}

fn read_phrase(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(Error::io("read the new passphrase"))?;
    let phrase = text.trim();
    if phrase.contains('\n') {
        // The CLI would read the first line only, and take all of them the next time.
        let message = "a passphrase must be one line".to_owned();
        return Err(Error::Invalid { command: "stack change-secrets-provider".to_owned(), message });
    }
    Ok(phrase.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn a_new_passphrase_is_input_and_the_old_one_stays_in_the_environment() {
        let recorder = Recorder::default();
        let workspace = recorder.workspace();
        let file = workspace.directory().join("phrase");
        std::fs::write(&file, " new one \n").unwrap();
        let provider = SecretsProvider::Passphrase(file.clone());
        let changed = workspace.stack("dev").change_secrets_provider(&provider).await.unwrap();
        assert_eq!(recorder.lines(), ["stack change-secrets-provider --stack=dev -- passphrase"]);
        assert_eq!(recorder.commands()[0].input.as_deref(), Some("new one\n"));
        assert_eq!(recorder.places()[0].passphrase, Passphrase::Absent);
        assert_eq!(changed.workspace().place().passphrase, Passphrase::File(file));
    }

    #[tokio::test]
    async fn from_a_key_service_to_a_passphrase_the_environment_has_the_new_one() {
        let recorder = Recorder::default();
        let workspace = recorder.workspace();
        let settings = workspace.directory().join("Pulumi.dev.yaml");
        std::fs::write(settings, "secretsprovider: awskms://a\nencryptedkey: k\n").unwrap();
        let file = workspace.directory().join("phrase");
        std::fs::write(&file, "new").unwrap();
        let provider = SecretsProvider::Passphrase(file.clone());
        workspace.stack("dev").change_secrets_provider(&provider).await.unwrap();
        assert_eq!(recorder.commands()[0].input, None);
        assert_eq!(recorder.places()[0].passphrase, Passphrase::File(file));
    }

    #[tokio::test]
    async fn a_key_service_needs_no_input_and_is_kept_for_new_stacks() {
        let recorder = Recorder::default();
        let stack = recorder.workspace().stack("dev");
        let changed =
            stack.change_secrets_provider(&SecretsProvider::Url("awskms://a".into())).await.unwrap();
        assert_eq!(recorder.lines(), ["stack change-secrets-provider --stack=dev -- awskms://a"]);
        assert_eq!(recorder.commands()[0].input, None);
        assert_eq!(changed.workspace().place().secrets_provider.as_deref(), Some("awskms://a"));
    }

    #[tokio::test]
    async fn a_passphrase_of_several_lines_is_refused() {
        let recorder = Recorder::default();
        let workspace = recorder.workspace();
        let file = workspace.directory().join("phrase");
        std::fs::write(&file, "one\ntwo").unwrap();
        let provider = SecretsProvider::Passphrase(file);
        let error = workspace.stack("dev").change_secrets_provider(&provider).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        assert!(recorder.lines().is_empty());
    }

    /// Writes new settings and then fails; its state has this salt.
    #[derive(Debug)]
    struct Late(Option<&'static str>);

    #[async_trait::async_trait]
    impl crate::Engine for Late {
        fn version(&self) -> &str {
            "late"
        }

        async fn command(&self, place: &crate::Place, command: &Command) -> Result<String> {
            match (command.name().as_str(), self.0) {
                ("stack export", Some(salt)) => {
                    let provider = serde_json::json!({"type": "passphrase", "state": {"salt": salt}});
                    let deployment = serde_json::json!({"secrets_providers": provider, "resources": []});
                    Ok(serde_json::json!({"version": 3, "deployment": deployment}).to_string())
                }
                ("stack export", None) => Err(Error::HostDown { message: "away".to_owned() }),
                _ => {
                    std::fs::write(place.directory.join("Pulumi.dev.yaml"), "encryptionsalt: new\n").unwrap();
                    Err(Error::Interrupted { signal: 9 })
                }
            }
        }

        async fn operate(
            &self,
            _: &crate::Place,
            _: &crate::Operation<'_>,
        ) -> Result<crate::OperationResult> {
            unreachable!("nothing operates")
        }
    }

    #[tokio::test]
    async fn after_a_failure_settings_and_state_have_the_same_key() {
        for (salt, left) in [(Some("old"), "old"), (Some("new"), "new"), (None, "new")] {
            let workspace = Workspace::temporary(Late(salt), "shop").unwrap();
            let settings = workspace.stack_settings_path("dev");
            std::fs::write(&settings, "encryptionsalt: old\n").unwrap();
            let stack = workspace.stack("dev");
            let error = stack.change_secrets_provider(&SecretsProvider::EmptyPassphrase).await.unwrap_err();
            assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
            assert_eq!(std::fs::read_to_string(settings).unwrap(), format!("encryptionsalt: {left}\n"));
        }
    }
}
