//! A stack's state as a whole: taken out, put back.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::*;

/// A stack's state in Pulumi's exchange format (Pulumi: *untyped deployment*): an object with a `version`
/// and a `deployment`. Everything in it is kept, known to this crate or not.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deployment(Json);

impl Deployment {
    /// The version of the format; 3 and 4 are in use.
    pub fn version(&self) -> u64 {
        self.0["version"].as_u64().unwrap_or_default()
    }

    /// The resources as the format has them, in the order of their dependencies; the stack itself is one.
    pub fn resources(&self) -> &[Json] {
        self.0["deployment"]["resources"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Operations that were cut off before their end (Pulumi: *pending operations*).
    pub fn pending_operations(&self) -> &[Json] {
        self.0["deployment"]["pending_operations"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// All of it.
    pub fn json(&self) -> &Json {
        &self.0
    }

    /// All of it, to be changed; [`Deployment::from`] takes it back.
    pub fn into_json(self) -> Json {
        self.0
    }
}

/// Whether it is a deployment is for the engine to say, in [`Stack::import`].
impl From<Json> for Deployment {
    fn from(json: Json) -> Self {
        Self(json)
    }
}

impl std::ops::Index<&str> for Deployment {
    type Output = Json;

    fn index(&self, key: &str) -> &Json {
        &self.0[key]
    }
}

/// The JSON text.
impl fmt::Display for Deployment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Sizes only: a state can hold plain secrets.
impl fmt::Debug for Deployment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resources = self.resources().len();
        formatter
            .debug_struct("Deployment")
            .field("version", &self.version())
            .field("resources", &resources)
            .finish()
    }
}

impl Stack {
    /// The state with its secrets encrypted; `pulumi stack export`. Takes no lock.
    pub async fn export(&self) -> Result<Deployment> {
        self.run_export(false).await
    }

    /// The state with its secrets in plain text; `pulumi stack export --show-secrets`. Takes no lock.
    /// [`Error::Secrets`] when they cannot be decrypted.
    pub async fn export_with_secrets(&self) -> Result<Deployment> {
        self.run_export(true).await
    }

    /// Replaces the state; `pulumi stack import`, which reads it from its standard input and encrypts what
    /// is secret in it. [`Error::Command`] when it is not sound or belongs to another stack.
    pub async fn import(&self, deployment: &Deployment) -> Result<()> {
        self.run_import_state(deployment, false).await
    }

    /// As [`Stack::import`], also with a state in which the engine finds errors;
    /// `pulumi stack import --force`.
    pub async fn force_import(&self, deployment: &Deployment) -> Result<()> {
        self.run_import_state(deployment, true).await
    }

    async fn run_export(&self, show_secrets: bool) -> Result<Deployment> {
        let command = Command::new(["stack", "export"]).flag("show-secrets", show_secrets).stack(&self.name);
        self.workspace.json(&command).await
    }

    async fn run_import_state(&self, deployment: &Deployment, force: bool) -> Result<()> {
        let command = Command::new(["stack", "import"])
            .flag("force", force)
            .stack(&self.name)
            .input(deployment.to_string())
            .locking(&self.name);
        self.command(command).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn an_export_keeps_everything_and_an_import_reads_it_from_its_input() {
        let state = r#"{"version":3,"deployment":{"resources":[{"urn":"u","new":{"a":1}}]},"later":true}"#;
        let recorder = Recorder::answering([state, "", ""]);
        let stack = recorder.workspace().stack("dev");
        let deployment = stack.export_with_secrets().await.unwrap();
        assert_eq!((deployment.version(), deployment.resources().len()), (3, 1));
        assert_eq!(deployment["later"], json!(true));
        stack.import(&deployment).await.unwrap();
        stack.force_import(&deployment).await.unwrap();
        assert_eq!(
            recorder.lines(),
            [
                "stack export --show-secrets --stack=dev",
                "stack import --stack=dev",
                "stack import --force --stack=dev"
            ]
        );
        let command = &recorder.commands()[1];
        let input: Json = serde_json::from_str(command.input.as_deref().unwrap()).unwrap();
        assert_eq!((&input, command.locks.as_deref()), (deployment.json(), Some("dev")));
    }

    #[test]
    fn a_deployment_does_not_show_its_content_to_logs() {
        let state = Deployment::from(json!({"version": 3, "deployment": {"resources": ["hush"]}}));
        assert_eq!(format!("{state:?}"), "Deployment { version: 3, resources: 1 }");
    }
}
