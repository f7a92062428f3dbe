//! The programs that Pilot runs and does not contain: where they are, and what to do when they are not.

use std::path::{Path, PathBuf};

use automation::{Cli, Engine as _, Host};
use contracts::{ErrorCode, Problem};

pub const PULUMI_VERSION: &str = automation::versions::NEWEST;
/// Versions of each workspace's state that are kept; Pulumi itself would keep all.
const HISTORY: u32 = 20;
pub const OPENCODE_VERSION: &str = "1.18.33";

/// What runs stacks.
#[derive(Debug, Clone)]
pub enum Driver {
    /// Pulumi's engine, kept warm. It needs no CLI for anything that Pilot asks of it.
    Host(Host),
    /// The CLI for each operation, which is slower and otherwise the same.
    Cli(Cli),
}

/// Where to look. Every field has a default; a set one is used as it is.
#[derive(Debug, Clone, Default)]
pub struct ToolPaths {
    pub pulumi: Option<PathBuf>,
    /// `pilot-engine`, which keeps Pulumi's engine warm.
    pub host: Option<PathBuf>,
    pub opencode: Option<PathBuf>,
    /// `pilot-instance`; default: beside this program.
    pub instance: Option<PathBuf>,
    /// The folder with `pulumi-resource-pilot`; default: this program's.
    pub plugin_folder: Option<PathBuf>,
}

/// `$PILOT_TOOLS`, else `$XDG_CACHE_HOME/pilot/tools`, else `~/.cache/pilot/tools`: where
/// `cargo xtask tools` puts what it builds.
pub fn cache() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = var("PILOT_TOOLS") {
        return folder;
    }
    let cache = var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(|| PathBuf::from("/var/cache")).join("pilot/tools")
}

impl ToolPaths {
    /// The CLI of exactly the pinned version: given, on PATH, or in the cache.
    pub async fn pulumi(&self) -> Result<Cli, Problem> {
        let cached = cache().join(format!("pulumi-{PULUMI_VERSION}/pulumi"));
        let candidates = match &self.pulumi {
            Some(path) => vec![path.clone()],
            None => {
                on_path("pulumi").into_iter().filter(|path| has_yaml_host(path)).chain([cached]).collect()
            }
        };
        let mut found = Vec::new();
        for path in &candidates {
            match Cli::open(path).await {
                Ok(cli) if self.pulumi.is_some() || is_pinned(&cli) => return Ok(cli),
                Ok(cli) => found.push(format!("{} is {}", path.display(), cli.version())),
                Err(error) => found.push(error.to_string()),
            }
        }
        let detail =
            format!("Pulumi {PULUMI_VERSION} with its YAML host was not found: {}.", found.join("; "));
        Err(Problem::new(ErrorCode::PulumiMissing, detail)
            .with_action("Run `cargo xtask tools`, which builds it once, or put it on PATH."))
    }

    /// What runs stacks here: the engine host where there is one, else the CLI. A CLI that was given must be
    /// good, because somebody means it.
    pub async fn driver(&self) -> Result<Driver, Problem> {
        let cli = self.pulumi().await;
        if self.pulumi.is_some() {
            cli.clone()?;
        }
        match (self.host(cli.as_ref().ok()).await, cli) {
            (Ok(host), _) => Ok(Driver::Host(host)),
            (Err(problem), Ok(cli)) => {
                tracing::warn!(reason = %problem.detail, "running stacks with the Pulumi CLI, which is slower");
                Ok(Driver::Cli(cli))
            }
            (Err(host), Err(cli)) => {
                let detail = format!("Nothing that runs stacks is here. {} {}", host.detail, cli.detail);
                Err(Problem::new(ErrorCode::PulumiMissing, detail).with_action(
                    "With Go, `cargo xtask up` builds the engine host and `cargo xtask tools` the CLI too. Without \
                     Go, put the CLI on PATH with its YAML host.",
                ))
            }
        }
    }

    /// The engine host of the CLI's version, and without a CLI of the pinned one: given, on PATH, or in the
    /// cache.
    pub async fn host(&self, cli: Option<&Cli>) -> Result<Host, Problem> {
        let cached = cache().join(format!("pilot-engine-{PULUMI_VERSION}/pilot-engine"));
        let candidates = match &self.host {
            Some(path) => vec![path.clone()],
            None => on_path("pilot-engine").into_iter().chain([cached]).collect(),
        };
        let version = cli.map_or(PULUMI_VERSION, Cli::version).trim_start_matches('v');
        let mut found = Vec::new();
        for path in candidates {
            match Host::open(&path).await {
                Ok(host) if host.version().trim_start_matches('v') == version => {
                    let host = host.with_history(HISTORY);
                    return Ok(match cli {
                        Some(cli) => host.with_cli(cli.clone()),
                        None => host,
                    });
                }
                Ok(host) => found.push(format!("{} is {}", path.display(), host.version())),
                Err(error) => found.push(error.to_string()),
            }
        }
        let detail = format!("The engine host of Pulumi {version} was not found: {}.", found.join("; "));
        Err(Problem::new(ErrorCode::PulumiMissing, detail)
            .with_action("Install Go and run `cargo xtask tools`, which builds it once."))
    }

    /// The folder of the CLI, or where it will be once somebody has it built.
    pub async fn pulumi_folder(&self) -> PathBuf {
        match self.pulumi().await {
            Ok(cli) => cli.path().parent().map(Path::to_owned).unwrap_or_default(),
            Err(_) => cache().join(format!("pulumi-{PULUMI_VERSION}")),
        }
    }

    /// Not checked for existence: the `local` provider does that before it accepts work.
    pub fn opencode(&self) -> PathBuf {
        let cached = || cache().join(format!("opencode-{OPENCODE_VERSION}/opencode"));
        self.opencode.clone().unwrap_or_else(cached)
    }

    pub fn instance(&self) -> PathBuf {
        self.instance.clone().unwrap_or_else(|| beside_this_program().join("pilot-instance"))
    }

    /// Another program of this build.
    pub fn beside(&self, program: &str) -> PathBuf {
        beside_this_program().join(program)
    }

    pub fn plugin_folder(&self) -> PathBuf {
        self.plugin_folder.clone().unwrap_or_else(beside_this_program)
    }
}

fn is_pinned(cli: &Cli) -> bool {
    cli.version().trim_start_matches('v') == PULUMI_VERSION
}

fn has_yaml_host(pulumi: &Path) -> bool {
    pulumi.with_file_name("pulumi-language-yaml").exists()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn beside_this_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that only tells a version. Written by a shell, because a file that this process has open for
    /// writing cannot be executed by the child of another test.
    fn stand_in(folder: &Path, name: &str, version: &str) -> PathBuf {
        let path = folder.join(name);
        let script = format!("printf '#!/bin/sh\\necho v{version}\\n' > {0}; chmod +x {0}", path.display());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        path
    }

    #[tokio::test]
    async fn a_missing_pulumi_says_how_to_get_it() {
        let paths = ToolPaths { pulumi: Some("/nonexistent/pulumi".into()), ..ToolPaths::default() };
        let problem = paths.pulumi().await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::PulumiMissing);
        assert!(problem.action.unwrap().contains("cargo xtask tools"));
    }

    #[tokio::test]
    async fn the_engine_host_needs_no_cli_and_is_of_the_pinned_version() {
        let folder = tempfile::tempdir().unwrap();
        let right = stand_in(folder.path(), "right", PULUMI_VERSION);
        let older = stand_in(folder.path(), "older", automation::versions::OLDEST);
        let host = |path: &Path| ToolPaths { host: Some(path.to_owned()), ..ToolPaths::default() };
        assert!(host(&right).host(None).await.is_ok());
        let problem = host(&older).host(None).await.unwrap_err();
        assert!(problem.detail.contains("was not found"), "{problem:?}");
    }

    #[tokio::test]
    async fn a_cli_that_was_given_and_is_not_there_is_an_error_even_beside_a_host() {
        let folder = tempfile::tempdir().unwrap();
        let host = Some(stand_in(folder.path(), "host", PULUMI_VERSION));
        let paths = ToolPaths { pulumi: Some("/nonexistent/pulumi".into()), host, ..ToolPaths::default() };
        assert_eq!(paths.driver().await.unwrap_err().code, ErrorCode::PulumiMissing);
    }

    #[tokio::test]
    async fn the_cli_runs_stacks_where_there_is_no_host() {
        let folder = tempfile::tempdir().unwrap();
        let pulumi = Some(stand_in(folder.path(), "pulumi", PULUMI_VERSION));
        let paths = ToolPaths { pulumi, host: Some("/nonexistent/host".into()), ..ToolPaths::default() };
        assert!(matches!(paths.driver().await, Ok(Driver::Cli(_))));
    }
}
