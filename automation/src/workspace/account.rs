//! Who the backend says we are.

use serde::Deserialize;

use super::*;

/// The user of the backend.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WhoAmI {
    /// The account; of a folder or bucket backend, the user of this machine.
    pub user: String,
    /// Organisations the user belongs to; Pulumi Cloud only.
    #[serde(default)]
    pub organizations: Vec<String>,
    /// The backend.
    #[serde(default)]
    pub url: String,
    /// About the access token, when it is not simply the user's.
    pub token_information: Option<TokenInformation>,
}

/// An access token of Pulumi Cloud.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenInformation {
    /// As it was named when it was made.
    pub name: String,
    /// Of an organisation's token, the organisation.
    pub organization: Option<String>,
    /// Of a team's token, the team.
    pub team: Option<String>,
    /// RFC 3339; absent when it does not expire.
    pub expires_at: Option<String>,
}

impl Workspace {
    /// The user of the backend; `pulumi whoami`. [`Error::Auth`] when nobody is logged in.
    pub async fn whoami(&self) -> Result<WhoAmI> {
        self.json(&Command::new(["whoami"]).flag("json", true)).await
    }

    /// The organisation of stack names that name none; `pulumi org get-default`. None when there is no
    /// default. Pulumi Cloud only.
    pub async fn default_organization(&self) -> Result<Option<String>> {
        let printed = self.command(&Command::new(["org", "get-default"])).await?;
        let name = printed.trim();
        Ok((!name.is_empty()).then(|| name.to_owned()))
    }

    /// Makes an organisation the default of this workspace's home folder; `pulumi org set-default`. Pulumi
    /// Cloud only.
    pub async fn set_default_organization(&self, name: &str) -> Result<()> {
        self.command(&Command::new(["org", "set-default"]).arg(name)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn a_token_is_told_with_its_owner() {
        let printed = r#"{"user": "me", "organizations": ["me", "acme"], "url": "https://app.pulumi.com/me",
            "tokenInformation": {"name": "ci", "organization": "acme", "team": "ops"}}"#;
        let recorder = Recorder::answering([printed, "acme\n", "\n", ""]);
        let workspace = recorder.workspace();
        let me = workspace.whoami().await.unwrap();
        assert_eq!((me.user.as_str(), me.organizations.len()), ("me", 2));
        let token = me.token_information.unwrap();
        assert_eq!((token.organization.as_deref(), token.team.as_deref()), (Some("acme"), Some("ops")));
        assert_eq!(workspace.default_organization().await.unwrap().as_deref(), Some("acme"));
        assert_eq!(workspace.default_organization().await.unwrap(), None);
        workspace.set_default_organization("acme").await.unwrap();
        let lines = ["whoami --json", "org get-default", "org get-default", "org set-default -- acme"];
        assert_eq!(recorder.lines(), lines);
    }
}
