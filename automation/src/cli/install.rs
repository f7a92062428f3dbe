//! Installing the CLI with Pulumi's own script.

use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use super::*;

/// Where Pulumi's script for Linux and macOS is.
const SCRIPT_URL: &str = "https://get.pulumi.com/install.sh";

/// A CLI to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliInstall {
    /// The CLI will be `bin/pulumi` in it.
    pub root: PathBuf,
    /// Such as `3.276.0`.
    pub version: String,
    /// Pulumi's `install.sh`, if it is on this machine; it is downloaded by `curl` when absent.
    pub script: Option<PathBuf>,
}

impl CliInstall {
    /// The words of the process that gets the script, if it must be got; it prints the script.
    fn download(&self) -> Option<Vec<String>> {
        let words = ["curl", "--fail", "--silent", "--show-error", "--location", SCRIPT_URL];
        self.script.is_none().then(|| words.map(str::to_owned).to_vec())
    }

    /// The words of the process that installs. Without a file, the script is its standard input.
    fn install(&self) -> Vec<String> {
        let mut words = vec!["sh".to_owned()];
        match &self.script {
            Some(script) => words.push(script.display().to_string()),
            None => words.extend(["-s".to_owned(), "--".to_owned()]),
        }
        words.push("--no-edit-path".to_owned());
        words.extend(["--install-root".to_owned(), self.root.display().to_string()]);
        words.extend(["--version".to_owned(), self.version.trim_start_matches('v').to_owned()]);
        words
    }
}

impl Cli {
    /// Installs the CLI of a version by running Pulumi's `install.sh`, and opens it; one that is there
    /// already in that version is used as it is. `sh`, and `curl` or `wget`, are looked for in the usual
    /// folders; nothing of the environment is inherited. [`Error::Command`] when the script fails,
    /// otherwise as [`Cli::open`].
    pub async fn install(install: &CliInstall) -> Result<Self> {
        let path = install.root.join("bin/pulumi");
        if let Ok(there) = Self::open(&path).await
            && there.version.trim_start_matches('v') == install.version.trim_start_matches('v')
        {
            return Ok(there);
        }
        std::fs::create_dir_all(&install.root).map_err(Error::io("create the CLI's folder"))?;
        let script = match install.download() {
            Some(words) => Some(run(install, &words, None).await?),
            None => None,
        };
        run(install, &install.install(), script.as_deref()).await?;
        Self::open(path).await
    }
}

async fn run(install: &CliInstall, words: &[String], input: Option<&str>) -> Result<String> {
    let (program, args) = words.split_first().map_or(("sh", words), |(first, rest)| (first.as_str(), rest));
    let stdin = match input {
        Some(text) => Stdio::from(file_of(text).map_err(Error::io("hand over the script"))?),
        None => Stdio::null(),
    };
    let output = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &install.root)
        .stdin(stdin)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io("start the installation of pulumi"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Command {
        command: "install.sh".to_owned(),
        code: output.status.code().unwrap_or(-1),
        message,
    })
}

/// The shell must not lose a part of the script that it has not read yet, so it is no pipe.
fn file_of(text: &str) -> std::io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(root: &str, script: Option<&str>) -> CliInstall {
        CliInstall { root: root.into(), version: "v3.276.0".to_owned(), script: script.map(PathBuf::from) }
    }

    #[test]
    fn the_script_gets_root_and_version_and_leaves_path_alone() {
        let downloaded = install("/opt/p", None);
        assert_eq!(
            downloaded.download().unwrap().join(" "),
            "curl --fail --silent --show-error --location https://get.pulumi.com/install.sh"
        );
        assert_eq!(
            downloaded.install().join(" "),
            "sh -s -- --no-edit-path --install-root /opt/p --version 3.276.0"
        );
        let local = install("/opt/p", Some("/s/install.sh"));
        assert_eq!(local.download(), None);
        assert_eq!(
            local.install().join(" "),
            "sh /s/install.sh --no-edit-path --install-root /opt/p --version 3.276.0"
        );
    }

    /// Writes a CLI that only knows its version, and counts its own runs.
    const SCRIPT: &str = "root=$3; version=$5; mkdir -p $root/bin; echo run >> $root/runs\n\
                          printf '#!/bin/sh\\necho v%s\\n' $version > $root/bin/pulumi; chmod +x $root/bin/pulumi\n";

    #[tokio::test]
    async fn a_cli_is_installed_once() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("install.sh");
        std::fs::write(&script, SCRIPT).unwrap();
        let root = folder.path().join("root");
        let wanted = install(root.to_str().unwrap(), script.to_str());
        for _ in 0..2 {
            let cli = Cli::install(&wanted).await.unwrap();
            assert_eq!((cli.version(), cli.path()), ("v3.276.0", root.join("bin/pulumi").as_path()));
        }
        assert_eq!(std::fs::read_to_string(root.join("runs")).unwrap(), "run\n");
    }

    #[tokio::test]
    async fn a_script_that_fails_is_a_typed_error() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("install.sh");
        std::fs::write(&script, "echo no such version >&2; exit 3").unwrap();
        let error =
            Cli::install(&install(folder.path().to_str().unwrap(), script.to_str())).await.unwrap_err();
        let Error::Command { code: 3, message, .. } = &error else { panic!("{error}") };
        assert_eq!(message, "no such version");
    }
}
