//! The programs that Pilot runs and does not contain: where they are, and what to do when they are not.

use std::path::{Path, PathBuf};

use automation::{Cli, Engine as _, Host};
use contracts::{ErrorCode, Problem};

pub const PULUMI_VERSION: &str = automation::versions::NEWEST;
/// Versions of each workspace's state that are kept; Pulumi itself would keep all.
const HISTORY: u32 = 20;
pub const OPENCODE_VERSION: &str = "1.18.33";

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

    /// The engine host of the pinned version: given, on PATH, or in the cache. Without one every operation
    /// starts the CLI, which is slower and otherwise the same.
    pub async fn host(&self, cli: &Cli) -> Result<Host, Problem> {
        let cached = cache().join(format!("pilot-engine-{PULUMI_VERSION}/pilot-engine"));
        let candidates = match &self.host {
            Some(path) => vec![path.clone()],
            None => on_path("pilot-engine").into_iter().chain([cached]).collect(),
        };
        let mut found = Vec::new();
        for path in candidates {
            match Host::open(&path).await {
                Ok(host) if host.version() == cli.version() => {
                    return Ok(host.with_cli(cli.clone()).with_history(HISTORY));
                }
                Ok(host) => found.push(format!("{} is {}", path.display(), host.version())),
                Err(error) => found.push(error.to_string()),
            }
        }
        let detail =
            format!("The engine host of Pulumi {PULUMI_VERSION} was not found: {}.", found.join("; "));
        Err(Problem::new(ErrorCode::PulumiMissing, detail)
            .with_action("Install Go and run `cargo xtask tools`, which builds it once."))
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

    #[tokio::test]
    async fn a_missing_pulumi_says_how_to_get_it() {
        let paths = ToolPaths { pulumi: Some("/nonexistent/pulumi".into()), ..ToolPaths::default() };
        let problem = paths.pulumi().await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::PulumiMissing);
        assert!(problem.action.unwrap().contains("cargo xtask tools"));
    }
}
