//! The instance's configuration: flags with environment twins, parsed once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use contracts::identity::Platform;
use contracts::{InstallationId, RuntimeId};
use tracing::level_filters::LevelFilter;

/// The init of a Pilot instance: runs OpenCode and serves the backend in front of it.
#[derive(Debug, Clone, Parser)]
#[command(name = "pilot-instance", version, about)]
pub struct Config {
    /// Where the backend listens; the only port that leaves the instance.
    #[arg(long, env = "PILOT_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// The loopback port of OpenCode.
    #[arg(long, env = "PILOT_OPENCODE_PORT", value_name = "PORT", default_value_t = 4096)]
    pub opencode_port: u16,

    /// The OpenCode binary: a path, or a name on PATH.
    #[arg(long, env = "PILOT_OPENCODE_BIN", value_name = "PATH", default_value = "opencode")]
    pub opencode_bin: PathBuf,

    /// The runtime that this instance is. Requests for another one are refused.
    #[arg(long, env = "PILOT_RUNTIME", value_name = "ID")]
    pub runtime_id: RuntimeId,

    /// The installation whose gateway may speak to this instance; any whose key fits, if not given.
    #[arg(long, env = "PILOT_INSTALLATION", value_name = "ID")]
    pub installation: Option<InstallationId>,

    /// Home of the instance's user: boot files, OpenCode's state and the workspace live below it.
    #[arg(long, env = "HOME", value_name = "FOLDER")]
    pub home: PathBuf,

    /// Where the agent works [default: workspace below the home].
    #[arg(long, env = "PILOT_WORKSPACE", value_name = "FOLDER")]
    pub workspace: Option<PathBuf>,

    /// A repository to clone into the workspace while that is empty.
    #[arg(long, env = "PILOT_GIT_URL", value_name = "URL", value_parser = text)]
    pub git_url: Option<String>,

    /// The branch or tag to clone [default: the repository's default branch].
    #[arg(long, env = "PILOT_GIT_REF", value_name = "REF", value_parser = text)]
    pub git_ref: Option<String>,

    /// How long the clone may take.
    #[arg(long, env = "PILOT_GIT_TIMEOUT", value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub git_timeout: Duration,

    /// What the instance says it is.
    #[arg(long, env = "PILOT_PLATFORM", value_enum, default_value_t = PlatformArg::Runtime)]
    pub platform: PlatformArg,

    /// `mock` answers canned responses without OpenCode, for UI work.
    #[arg(long, env = "PILOT_ADAPTER", value_enum, default_value_t = Adapter::Local)]
    pub adapter: Adapter,

    /// off, error, warn, info, debug or trace.
    #[arg(long, env = "PILOT_LOG", value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

/// Which adapter serves the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Adapter {
    Local,
    Mock,
}

/// The command line's twin of [`Platform`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlatformArg {
    Compute,
    Sandbox,
    Runtime,
}

impl From<PlatformArg> for Platform {
    fn from(argument: PlatformArg) -> Self {
        match argument {
            PlatformArg::Compute => Platform::Compute,
            PlatformArg::Sandbox => Platform::Sandbox,
            PlatformArg::Runtime => Platform::Runtime,
        }
    }
}

impl Config {
    /// The folder in which OpenCode starts.
    pub fn workspace(&self) -> PathBuf {
        self.workspace.clone().unwrap_or_else(|| self.home.join("workspace"))
    }
}

/// In seconds. No boot is waited for that long.
const A_DAY: u64 = 24 * 60 * 60;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (1..=A_DAY).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("a whole number of seconds from 1 to {A_DAY} is expected")),
    }
}

/// What must not be empty once it is given: an empty variable is a mistake, not a default.
fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        let base = ["pilot-instance", "--runtime-id", "rt-1", "--home", "/home/pilot"];
        Config::try_parse_from(base.iter().chain(arguments))
    }

    #[test]
    fn the_workspace_is_below_home_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().workspace(), PathBuf::from("/home/pilot/workspace"));
        assert_eq!(parse(&["--workspace", "/w"]).unwrap().workspace(), PathBuf::from("/w"));
    }

    #[test]
    fn the_default_ports_are_those_of_the_network_file() {
        let (config, network) = (parse(&[]).unwrap(), contracts::network::network());
        assert_eq!(config.listen.port(), network.instance.backend);
        assert_eq!(config.opencode_port, network.instance.opencode);
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused() {
        for arguments in [
            ["--runtime-id", "x"],
            ["--git-url", " "],
            ["--git-timeout", "0"],
            ["--git-timeout", "86401"],
            ["--git-timeout", "18446744073709551615"],
            ["--listen", "3000"],
            ["--adapter", "none"],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }
}
