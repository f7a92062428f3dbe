//! What can be typed about servers that are kept by name.

use std::path::PathBuf;

use clap::Subcommand;
use url::Url;

#[derive(Debug, clap::Args)]
#[command(after_help = LOGIN_EXAMPLES)]
pub struct Login {
    /// The orchestrator, as in https://pilot.example.com:14010
    pub url: Url,
    /// What the context is to be called [default: the server's host name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where browsers reach the server's workspaces; without it `pilot ws open` has no links
    #[arg(long, value_name = "URL")]
    pub gateway: Option<Url>,
    /// A file (PEM) with the only authorities to trust for https:// [default: the machine's, or those of SSL_CERT_FILE]
    #[arg(long, env = "PILOT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Read the token from stdin; otherwise it is asked for
    #[arg(long)]
    pub token_stdin: bool,
}

const LOGIN_EXAMPLES: &str = "\
Examples:
  pilot login https://pilot.example.com --gateway https://pilot.example.com
  ssh host cat /var/lib/pilot/secrets/admin-token | pilot login https://host --name prod --token-stdin
  pilot login https://pilot.internal --ca company-ca.pem

The token is tried, then kept in contexts.json, which only you can read. The context becomes the current one.";

#[derive(Debug, clap::Args)]
pub struct Context {
    #[command(subcommand)]
    pub command: ContextCommand,
}

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List the contexts, without their tokens
    #[command(visible_alias = "list")]
    Ls,
    /// Make a context the current one
    Use {
        /// As `pilot context ls` shows it
        name: String,
    },
    /// Forget a context and its token
    #[command(visible_alias = "delete")]
    Rm {
        /// As `pilot context ls` shows it
        name: String,
    },
}
