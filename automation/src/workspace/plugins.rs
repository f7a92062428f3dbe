//! Plugins in Pulumi's home folder.

use serde::Deserialize;

use super::*;
use crate::setters::setters;

/// A plugin that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PluginInfo {
    /// Such as `random`.
    pub name: String,
    /// `resource`, `language`, `analyzer`, `converter` or `tool`.
    pub kind: String,
    /// Without a leading `v`; empty when it is not known.
    #[serde(default)]
    pub version: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// RFC 3339.
    pub install_time: Option<String>,
    /// RFC 3339.
    pub last_used_time: Option<String>,
}

/// A plugin to install.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginSource {
    /// `resource` by default.
    pub kind: String,
    /// Such as `random`.
    pub name: String,
    /// Such as `v4.16.0`; the latest when absent.
    pub version: Option<String>,
    /// Where to download it from, instead of the place that its publisher has.
    pub server: Option<String>,
    /// A program, folder or packed folder of this machine, instead of a download.
    pub file: Option<PathBuf>,
    /// The SHA-256 that the packed folder must have, in hex.
    pub checksum: Option<String>,
    /// A newer version that is there does not do.
    pub exact: bool,
    /// Install it again if it is there.
    pub reinstall: bool,
}

setters!(PluginSource {
    server(Option<String>),
    file(Option<PathBuf>),
    checksum(Option<String>),
    exact(bool),
    reinstall(bool),
});

impl PluginSource {
    /// A provider of this version.
    pub fn resource(name: &str, version: &str) -> Self {
        Self {
            kind: "resource".to_owned(),
            name: name.to_owned(),
            version: Some(version.to_owned()),
            server: None,
            file: None,
            checksum: None,
            exact: false,
            reinstall: false,
        }
    }
}

impl Workspace {
    /// Installs a plugin; `pulumi plugin install`.
    pub async fn install_plugin(&self, plugin: &PluginSource) -> Result<()> {
        let command = Command::new(["plugin", "install"])
            .option("server", plugin.server.as_deref())
            .option("file", plugin.file.as_ref().map(|file| file.display().to_string()))
            .option("checksum", plugin.checksum.as_deref())
            .flag("exact", plugin.exact)
            .flag("reinstall", plugin.reinstall)
            .args([&plugin.kind, &plugin.name])
            .args(plugin.version.as_deref());
        self.command(&command).await.map(drop)
    }

    /// Removes a provider's plugin, or all its versions; `pulumi plugin rm resource`. One that is not there
    /// is a success.
    pub async fn remove_plugin(&self, name: &str, version: Option<&str>) -> Result<()> {
        let command = Command::new(["plugin", "rm"]).flag("yes", true).args(["resource", name]);
        self.command(&command.args(version)).await.map(drop)
    }

    /// The plugins in Pulumi's home folder, or those that the project uses;
    /// `pulumi plugin ls [--project]`.
    pub async fn plugins(&self, of_project: bool) -> Result<Vec<PluginInfo>> {
        let command = Command::new(["plugin", "ls"]).flag("json", true).flag("project", of_project);
        let plugins: Option<_> = self.json(&command).await?;
        Ok(plugins.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn plugins_are_installed_removed_and_listed() {
        let listed = r#"[{"name": "random", "kind": "resource", "version": "4.16.0", "size": 7,
            "installTime": "2026-11-25T13:22:49.525Z"}]"#;
        let recorder = Recorder::answering(["", "", "", "", listed]);
        let workspace = recorder.workspace();
        let random = PluginSource::resource("random", "v4.16.0");
        workspace.install_plugin(&random).await.unwrap();
        let mirrored = PluginSource {
            server: Some("https://m.example".to_owned()),
            exact: true,
            reinstall: true,
            ..random.clone()
        };
        workspace.install_plugin(&mirrored).await.unwrap();
        workspace.remove_plugin("random", Some("v4.16.0")).await.unwrap();
        workspace.remove_plugin("random", None).await.unwrap();
        let plugin = workspace.plugins(true).await.unwrap().remove(0);
        assert_eq!((plugin.size, plugin.last_used_time), (7, None));
        assert_eq!(
            recorder.lines(),
            [
                "plugin install -- resource random v4.16.0",
                "plugin install --exact --reinstall --server=https://m.example -- resource random v4.16.0",
                "plugin rm --yes -- resource random v4.16.0",
                "plugin rm --yes -- resource random",
                "plugin ls --json --project",
            ]
        );
    }
}
